//! Actors in OS processes of their own: typed, supervised, on Linux and Windows.
//!
//! See the README for what it is for and what it is not for.

extern crate self as procession;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod actor;
pub mod blob;
mod connection;
mod error;
mod event;
mod pool;
mod process;
mod program;
pub mod queue;
mod registry;
mod router;
pub mod shared;
mod shm;
mod supervisor;
pub mod sync;
mod sys;
mod wire;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub mod prelude;

pub use procession_derive::{Actor, handlers, main, task};

pub use actor::address::{Address, AddressControl};
pub use actor::call::{Call, Cast, Monitor, TrySendError};
pub use actor::context::{Context, TaskHandle};
#[doc(hidden)]
pub use actor::fence::LockKey;
pub use actor::fence::{FencingToken, Guarding};
pub use actor::incoming::{CastOutput, Reply};
pub use actor::lookup::LookupError;
pub use actor::restart::Restart;
pub use actor::target::Target;
pub use actor::traits::{Actor, ActorOptions, Handlers, Method, Payload, Tick};
pub use error::call::{CallError, CodecError, Executed, NoError, NotDelivered, Panic};
pub use error::exit::{Down, DownReason, Exit, ExitCause, StopReason};
pub use error::failure::Failure;
pub use error::start::StartError;
pub use event::{Event, Events, Lagged, Limit};
pub use pool::completion::Completion;
pub use pool::ended::RanOn;
pub use pool::error::{TaskError, TasksFailed, TryMapError};
pub use pool::fleet::{Broadcast, Keyed, Pool, PoolControl};
pub use pool::fleet_call::{Gather, PoolCall, PoolCast};
pub use pool::function::{Returns, Task, TaskFuture};
pub use pool::handle::TaskPool;
pub use pool::info::{PoolReport, PoolWorker, WorkerState};
pub use pool::insight::{PoolInsights, SlowTask, WorkerInsight};
pub use pool::options::{BadOptions, TaskOptions};
pub use pool::progress::{PoolProgress, ProgressStream};
pub use pool::runner::{TaskContext, task_context};
pub use pool::size::PoolSize;
pub use pool::spec::PoolSpec;
pub use pool::state::{keep_state, take_state, with_state};
pub use pool::stream::{Outcomes, Unordered};
pub use pool::submitted::Submitted;
pub use pool::task::TaskId;
pub use pool::window::Chunk;
pub use process::limits::{Limits, Priority};
pub use supervisor::backoff::{Backoff, BadBackoff};
pub use supervisor::builder::{OutputLine, SupervisorBuilder, WorkerOutput};
pub use supervisor::child::{ChildInfo, ChildState, ExitReport};
pub use supervisor::command::{Unknown, Which};
pub use supervisor::handle::{Escalated, JoinError, Supervisor, Traffic};
pub use supervisor::intensity::Intensity;
pub use supervisor::policy::{Counts, Strategy};
pub use supervisor::spec::{AtEnd, ChildSpec};
pub use wire::codec::{DecodeError, EncodeError};

/// What a program built on procession returns: any error turns into a [`Failure`], which tells its whole chain.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Makes an instance of a generic actor type known, so that it can be started as a process: once for each instance.
#[macro_export]
macro_rules! register {
    ($actor:ty $(,)?) => {
        const _: () = {
            $crate::__private::inventory::submit! { $crate::__private::ActorEntry::of::<$actor>() }
        };
    };
}

/// The way in for worker processes of a test crate: one line at its root.
///
/// It makes a test that does nothing in a run of the tests and is the entry of their workers.
#[macro_export]
macro_rules! test_workers {
    () => {
        #[test]
        fn procession_workers() {
            $crate::__private::enter_test();
        }
        const _: () = {
            $crate::__private::inventory::submit! { $crate::__private::TestEntry::new(module_path!()) }
        };
    };
}
