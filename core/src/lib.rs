//! Actors in OS processes of their own: typed, supervised, on Linux and Windows.
mod actor;
mod connection;
mod error;
mod event;
mod pool;
mod process;
mod router;
mod shm;
mod supervisor;
mod sys;
mod wire;
pub use error::call::CallError;
pub use error::exit::Down;
