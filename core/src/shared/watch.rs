//! The changes of a shared object as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use thiserror::Error;

use super::error::SharedError;
use super::keeper::{self, Watching};
use super::object::Object;
use super::store::log::Read;
use super::store::refusal::Refusal;
use super::store::reply::Version;
use crate::actor::call::Call;
use crate::actor::claim::{Claim, send_on};
use crate::actor::held::{Held, SHARED};
use crate::actor::message::{DEFAULT_DEADLINE, Message};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::CallError;

/// One operation that changed an object: all that it changed, and the version after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<C> {
    /// The object's version after it.
    pub version: Version,
    /// What it changed, in order; a transaction changes many keys at once.
    pub changes: Vec<C>,
}

/// Why a watch has no change to tell.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WatchError {
    /// So many operations were missed, because they came faster than they were read. The watch goes on behind them: take a
    /// snapshot, and follow from its version on.
    #[error("{0} changes were missed")]
    Lagged(u64),
    /// The object could not be asked, or is gone.
    #[error(transparent)]
    Failed(#[from] SharedError),
}

/// The changes of a shared object from one moment on, whole operations in the order in which they were executed.
///
/// A stream, and [`next`](Self::next) for those who have no combinators. The object keeps the latest operations for those
/// who have not read them, 1,024 unless its spec says otherwise: who is slower is told how much was missed, and nobody waits
/// for a watcher. Many small changes come in one message.
///
/// To follow an object from its present state on, begin to watch, take a snapshot, and skip what is not newer than that:
/// ```
/// # async fn follow(list: procession::shared::List<u32>) -> procession::Result<()> {
/// let mut watch = list.watch().await?;
/// let snapshot = list.snapshot().await?;
/// loop {
///     let changed = watch.next().await?;
///     if changed.version > snapshot.version { /* apply it */ }
///     # return Ok(());
/// }
/// # }
/// ```
///
/// # Cancellation
/// Dropping it ends the watch. Where a process ends, its watches do.
#[must_use = "a watch is read by `next`"]
pub struct Watch<C> {
    object: Object,
    watcher: u64,
    /// The number of the operation that comes next.
    next: u64,
    since: Version,
    missed: u64,
    here: VecDeque<Changed<C>>,
    reader: Box<dyn Reader<C> + Send + Sync>,
}

/// Asks for changes, and decodes them.
trait Reader<C> {
    /// What the watcher has not read from this number on, once there is something.
    fn poll_read(
        &mut self,
        object: &Object,
        watcher: u64,
        from: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Read<C>, SharedError>>;

    /// Takes the question back.
    fn clear(&mut self);
}

/// A question under way, and how an encoded change becomes one of the user's types.
struct Question<E, C> {
    call: Option<Call<Read<E>, Refusal>>,
    open: fn(E) -> Result<C, SharedError>,
}

impl<E: Payload, C> Reader<C> for Question<E, C> {
    fn poll_read(
        &mut self,
        object: &Object,
        watcher: u64,
        from: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Read<C>, SharedError>> {
        let ask = || object.call("changes", keeper::CHANGES, &(watcher, from)).no_timeout();
        let answer = ready!(Pin::new(self.call.get_or_insert_with(ask)).poll(cx));
        self.call = None;
        let Read { missed, changes, next } = answer.map_err(unheard)?;
        let open = |(version, changes): (Version, Vec<E>)| {
            let changes = changes.into_iter().map(self.open).collect::<Result<_, _>>()?;
            Ok::<_, SharedError>((version, changes))
        };
        let changes = changes.into_iter().map(open).collect::<Result<_, _>>()?;
        Poll::Ready(Ok(Read { missed, changes, next }))
    }

    fn clear(&mut self) {
        self.call = None;
    }
}

/// An object that ended while its watcher waited has executed nothing for it.
fn unheard(error: CallError<Refusal>) -> SharedError {
    match error {
        CallError::Died { .. } => SharedError::Gone,
        other => other.into(),
    }
}

/// Begins to watch.
pub(super) async fn watch<E: Payload, C: 'static>(
    object: Object,
    open: fn(E) -> Result<C, SharedError>,
) -> Result<Watch<C>, SharedError> {
    let (held, to) = (object.held().clone(), object.held().destination());
    // A watcher that nobody knows of would keep the object's changes for nobody.
    let give_back = move |answer: Parcel| {
        if let Ok(Watching { watcher, .. }) = answer.open() {
            end(&held, watcher);
        }
    };
    let message = Message::service("watch", keeper::WATCH, &());
    let begun = Claim::<Watching, Refusal>::new(to, message, give_back).timeout(DEFAULT_DEADLINE).await;
    let Watching { watcher, next, version: since } = begun?;
    let reader = Box::new(Question { call: None, open });
    Ok(Watch { object, watcher, next, since, missed: 0, here: VecDeque::new(), reader })
}

/// The message holds the object, which is there until it is read.
fn end(object: &Held<SHARED>, watcher: u64) {
    send_on(object.destination(), Message::service("unwatch", keeper::UNWATCH, &(watcher, object)));
}

impl<C> Watch<C> {
    /// The object's version when the watch began: all changes after it are told.
    #[must_use]
    pub fn since(&self) -> Version {
        self.since
    }

    /// The next operation that changed the object.
    ///
    /// # Errors
    /// [`WatchError::Lagged`], once, where operations were missed; [`WatchError::Failed`] where the object is gone or could
    /// not be asked, or the deadline of the message passed whose handler waits. Outside of handlers it has none.
    ///
    /// # Cancellation
    /// Safe: a change is either returned or still to come.
    pub async fn next(&mut self) -> Result<Changed<C>, WatchError> {
        /// A wait does not outlive the handler in which it was begun, whose deadline it has.
        struct Waiting<'a, C>(&'a mut Watch<C>);
        impl<C> Drop for Waiting<'_, C> {
            fn drop(&mut self) {
                self.0.reader.clear();
            }
        }
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_change(cx)).await
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<Changed<C>, WatchError>> {
        loop {
            if self.missed > 0 {
                return Poll::Ready(Err(WatchError::Lagged(std::mem::take(&mut self.missed))));
            }
            if let Some(changed) = self.here.pop_front() {
                return Poll::Ready(Ok(changed));
            }
            let read = ready!(self.reader.poll_read(&self.object, self.watcher, self.next, cx))?;
            self.missed = read.missed;
            self.here = read.changes.into_iter().map(|(version, changes)| Changed { version, changes }).collect();
            self.next = read.next;
        }
    }
}

impl<C> Stream for Watch<C> {
    type Item = Result<Changed<C>, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_change(cx).map(Some)
    }
}

impl<C> Unpin for Watch<C> {}

impl<C> Drop for Watch<C> {
    fn drop(&mut self) {
        self.reader.clear();
        end(self.object.held(), self.watcher);
    }
}

impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("of", &self.object).field("since", &self.since).finish_non_exhaustive()
    }
}
