//! Queues between processes: bounded, of typed items, with an end.
//!
//! ```
//! use procession::prelude::*;
//! use procession::queue::{Receiver, Sender};
//!
//! #[procession::task]
//! async fn squares(numbers: Receiver<u64>, squares: Sender<u64>) -> Result<(), Failure> {
//!     while let Some(number) = numbers.recv().await? {
//!         squares.send(number * number).await?;
//!     }
//!     Ok(())
//! }
//!
//! async fn sum(sup: &Supervisor) -> procession::Result<u64> {
//!     let pool = sup.task_pool("pool", 2).await?;
//!     let (numbers, to_square) = sup.queue("numbers", 100)?;
//!     let (to_add, squared) = sup.queue::<u64>("squares", 100)?;
//!     for _ in 0..2 {
//!         pool.submit(squares, (to_square.clone(), to_add.clone())).detach();
//!     }
//!     // Only the tasks send squares from now on: when both have ended, so has the stream.
//!     drop((to_square, to_add));
//!     numbers.send_all(1..=10).await?;
//!     drop(numbers);
//!     let mut sum = 0;
//!     while let Some(square) = squared.recv().await? {
//!         sum += square;
//!     }
//!     Ok(sum)
//! }
//! ```
//!
//! A queue lives in its supervisor's process. [`Sender`] and [`Receiver`] are counted wherever they are: in a variable, in a
//! message that nobody has handled yet, in an item of another queue, in any process; a process that dies holds none any
//! more. So the end of a stream is exact, and joining a process that has sent never waits for whoever reads.
//!
//! | | plain | [acknowledged](QueueBuilder::acknowledged) |
//! |---|---|---|
//! | an item is received | at most once | at least once, or is a dead letter |
//! | its receiver dies | it is lost with it | it is handed out again |
//! | messages an item | 2 | 3 |
//!
//! A send waits for the queue to say that it has the item, which costs a round trip: send many with
//! [`send_all`](Sender::send_all), receive many with [`recv_many`](Receiver::recv_many).

mod builder;
mod delivery;
mod duplex;
mod error;
mod ledger;
mod names;
mod protocol;
#[expect(clippy::module_inception, reason = "the queue itself, among its sides")]
mod queue;
mod receive;
mod receiver;
mod sender;
mod service;
mod waiting;

pub use builder::{QueueBuilder, ReceivingEnd};
pub use delivery::{AckReceiver, Delivery};
pub use duplex::{Duplex, DuplexEnds};
pub use error::{QueueError, SendError};
pub use ledger::DeadReason;
pub use queue::{DeadLetter, Queue, QueueStatus};
pub use receiver::{Items, Receiver};
pub use sender::Sender;
pub use waiting::Waiting;
