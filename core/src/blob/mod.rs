//! Blobs: many bytes for many processes, without a copy.
//!
//! ```
//! use procession::blob::{Blob, BlobWriter};
//! use procession::prelude::*;
//!
//! #[procession::task]
//! fn sum(numbers: Blob) -> Result<f64, Failure> {
//!     Ok(numbers.view::<f64>()?.iter().sum())
//! }
//!
//! async fn sums(sup: &Supervisor) -> procession::Result<Vec<f64>> {
//!     let mut writer = BlobWriter::with_len(8 << 20)?;
//!     for (at, number) in writer.view_mut::<f64>()?.iter_mut().enumerate() {
//!         *number = at as f64;
//!     }
//!     let numbers = writer.finish()?;
//!     let pool = sup.task_pool("pool", 2).await?;
//!     let halves = [numbers.slice(..4 << 20), numbers.slice(4 << 20..)];
//!     Ok(pool.map(sum, halves).await?.into_iter().collect::<Result<_, _>>()?)
//! }
//! ```
//!
//! A [`BlobWriter`] is memory that one process writes. When it has [finished](BlobWriter::finish) nobody writes it any more,
//! and it is a [`Blob`], which is a value: cheap to clone and to cut, good in any message, reply, queue item or shared value.
//! What travels is its name; the processes it comes to read the same memory.
//!
//! - A process that has a blob has it mapped once, for all its clones and parts and for all messages that bring it again.
//! - It lives as long as a value or a message refers to it, in any process, and not longer: it has no name in a file system that
//!   could be left behind, and a process that is killed holds nothing.
//! - What a process gives is looked at before it is mapped. Who gives what is no blob, or names one that it was never given,
//!   has broken the protocol and is killed.
//! - Its memory is set aside when it is made: to write or to read it cannot fail later.
//!
//! # Limits
//! What a worker may have in blobs its spec says, by [`Limits::blobs`](crate::Limits::blobs); what this process may have,
//! [`set_limit`]. Beyond either there is an error with all its numbers, and nothing else has changed.
//!
//! # Filled by many
//! A writer can be [split](BlobWriter::split): each [`BlobSlice`] goes to a worker that fills it and answers with what it is
//! [done](BlobSlice::done) as. When all are back it is a blob. One part is open in one process at a time. A worker that dies
//! with its part is told of as ever, and [nobody has it](SplitBlob::take_again) any more.
//!
//! # Cost
//! The first message that brings a blob to a process costs some microseconds more than one without, whatever its size; the next
//! ones next to nothing. To make one costs what filling new memory costs: it pays for what is read by several, or is large.
//! Each blob takes a file descriptor (on Windows a handle) in every process that has it, so a thousand small ones
//! are better one large one in parts.
//!
//! # Platform-specific behavior
//! On Linux the system itself keeps a blob from being changed: it is sealed (`F_SEAL_WRITE` and the others), which every receiver
//! checks. On Windows there are no seals: receivers get a handle that can only be read by, and rely on the process that
//! made the blob for having given up its own view. A worker that is not trusted in that could change its own blobs. There, also,
//! a blob that a worker has sent in its very last moment may have died with it: to decode the message is an error then.

#[expect(clippy::module_inception, reason = "the blob is the module's one noun")]
mod blob;
mod error;
mod limit;
mod reference;
mod split;
mod view;
mod writer;

pub use blob::Blob;
pub use error::BlobError;
pub use limit::{BlobUsage, set_limit, usage};
pub use split::{BlobSlice, FilledSlice, SplitBlob, SplitError};
pub use view::ViewError;
pub use writer::BlobWriter;
