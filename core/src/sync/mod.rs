//! Locks that any process may hold and no dead one keeps.
//!
//! A supervisor has one table of named locks. What holds a lock is an actor, or a task; wherever it runs and however it
//! ends, its locks are free at once, and the next holder is told. Guards are released by being dropped. Every grant has a
//! token that grows, by which what a lock protects can refuse a holder that was frozen for longer than its lease; who waits
//! for each other, through any locks and calls of actors, is told within 100 ms.
//!
//! ```no_run
//! # use procession::prelude::*;
//! # async fn example(sup: Supervisor) -> procession::Result<()> {
//! let account = sup.mutex_with("account", 100_u64).await?;
//! let mut balance = account.lock().await?;
//! if let Some(poison) = balance.poisoned_by() {
//!     eprintln!("the last change may have been half done: {poison}");
//! }
//! *balance -= 30;
//! balance.release().await?; // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! # When not to use them
//! A lock here is a message to the supervisor's process and back: tens of microseconds, where a mutex of one process, or a
//! futex in shared memory, takes some tens of nanoseconds: 600 times less. Within one process use `std::sync` or
//! `tokio::sync`. Between processes, do not lock what one actor can do by one message: an actor's handlers run one at a
//! time already. And do not lock for each small step; lock once and do many. These locks are for what no single process
//! owns: a device, a file, a terminal, several actors at once.
//!
//! # Who holds a lock
//! The actor whose handler asked for it, or the task of `tokio::spawn` or `ctx.spawn`. Futures that one task joins are one
//! party: two of them that want the same mutex look like a task that waits for itself. A guard may be moved to another
//! task, and released there; deadlocks are looked for as if the one that asked had kept it.
//!
//! Deadlocks are found among the locks of one supervisor, and through the calls between actors that handlers make and wait
//! for, as far as they pass its process. A lock that the main program, a `tick` or a spawned task holds while it calls an
//! actor that waits for it ends by the call's deadline.

mod barrier;
mod condition;
mod error;
mod event;
mod fence;
mod handle;
mod hold;
mod info;
mod kind;
mod mutex;
mod open;
mod protocol;
mod rwlock;
mod semaphore;
mod service;
mod table;
mod wait;

pub use barrier::{Arrival, Barrier};
pub use condition::Condition;
pub use error::{BarrierBreach, DeadlockStep, LockError, Poison, PoisonCause, Wanted};
pub use event::Event;
pub use fence::Fence;
pub use info::{LockHolder, LockInfo, LockWaiter};
pub use kind::LockKind;
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{ReadGuard, RwLock};
pub use semaphore::{Permit, Semaphore};
pub use wait::{Guard, Wait};

pub use crate::actor::fence::FencingToken;
