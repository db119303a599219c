//! What most programs use. It has no name that would shadow one of std's.

pub use crate::supervisor::policy::Strategy::OneForOne;
pub use crate::{
    Actor, Address, AtEnd, CallError, ChildSpec, Completion, Context, Down, Executed, Exit, Failure, Payload, Pool,
    PoolReport, PoolSize, Reply, Restart, StopReason, Submitted, Supervisor, TaskError, TaskPool, handlers,
};
