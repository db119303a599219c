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
//! | `task`, `tasks` | what is known of a task that has not ended, and of all of them |
//! | `table` | something for each of these |
//! | `span` | tasks whose numbers follow each other |
//! | `backlog` | tasks that wait, by priority |
//! | `queue` | those of one priority, in the order in which they were submitted |
//! | `worker`, `held` | what is known of a worker, over all its incarnations, and what it was given |
//! | `workers` | all of them, and which gets the next task |
//! | `window` | how many tasks a worker may hold, and how many travel together |
//! | `load` | the workers that have room, fewest outstanding first |
//! | `rules` | when workers are replaced, put to rest and held in reserve |
//! | `report` | how the tasks of a pool ended, as counts |
//! | `progress`, `insight` | how far it has come, and what its workers spend their time on |
//! | `shell` | the pool's task: feeds the scheduler and does what it says |
//! | `calls` | the calls of tasks, as bytes |
//! | `chunk` | tasks that travelled together, and what became of each |
//! | `team` | the workers as processes |
//! | `inbox` | what the pool's task is told, all at once |
//! | `spec`, `options` | what is asked of a pool, and of its tasks |
//! | `handle` | the pool as its user holds it |
//! | `function` | a function that workers know by an id |
//! | `runner` | the actor in each worker |
//! | `state` | what a worker keeps between tasks |
//! | `submitted`, `stream` | who awaits tasks: one, or many |
//! | `fleet`, `fleet_call` | a pool of any actor, and messages through it |
//! | `ended` | the end of a task on its way to them |
//! | `completion`, `forward` | the end of a task as a message to an actor |

mod action;
mod backlog;
mod calls;
mod chunk;
pub(crate) mod completion;
pub(crate) mod ended;
pub(crate) mod error;
pub(crate) mod fleet;
pub(crate) mod fleet_call;
mod forward;
pub(crate) mod function;
pub(crate) mod handle;
mod held;
mod inbox;
pub(crate) mod info;
pub(crate) mod insight;
mod load;
pub(crate) mod options;
pub(crate) mod progress;
mod queue;
mod report;
mod rules;
pub(crate) mod runner;
mod scheduler;
mod shell;
pub(crate) mod size;
mod span;
pub(crate) mod spec;
pub(crate) mod state;
pub(crate) mod stream;
pub(crate) mod submitted;
mod table;
pub(crate) mod task;
mod tasks;
mod team;
pub(crate) mod window;
mod worker;
mod workers;
