//! A pool: many workers that run one queue of tasks, each of which ends exactly once.
//!
//! The queue is the pool's, not a worker's: a worker holds only the small window of tasks that keeps it busy, so a death
//! costs the one task that ran. [`Scheduler`] decides which worker gets which task and how every task ends; it is pure,
//! and the shell around it moves the bytes, starts the processes and answers the callers.
//!
//! | file | noun |
//! |---|---|
//! | `scheduler` | the decision: `handle_*` in, `poll_action` and `poll_timeout` out |
//! | `action` | what the scheduler tells its shell to do |
//! | `task` | what is known of a task that has not ended |
//! | `queue` | tasks that wait, in the order in which they were submitted |
//! | `worker` | what is known of a worker, over all its incarnations |
//! | `workers` | all of them, and which gets the next task |
//! | `window` | how many tasks a worker may hold |
//! | `load` | the workers that have room, fewest outstanding first |
//! | `report` | how the tasks of a pool ended, as counts |
#![cfg_attr(not(test), expect(dead_code, reason = "the pool's shell is the only caller, and stands on top of this"))]

mod action;
mod load;
mod queue;
mod report;
mod scheduler;
mod task;
mod window;
mod worker;
mod workers;

#[expect(unused_imports, reason = "the names that the pool's shell uses")]
pub(crate) use self::{
    action::{Action, Closed, Closing},
    report::Report,
    scheduler::Scheduler,
    task::{Ending, TaskId, Terms},
    worker::WorkerId,
};
