//! What most programs use. It has no name that would shadow one of std's.

pub use crate::supervisor::policy::Strategy::OneForOne;
pub use crate::{
    Actor, Address, AtEnd, CallError, ChildSpec, Completion, Context, Down, Executed, Exit, Failure, Payload, Pool,
    PoolReport, PoolSize, PoolSpec, Reply, Restart, StopReason, Submitted, Supervisor, TaskError, TaskOptions,
    TaskPool, handlers,
};
