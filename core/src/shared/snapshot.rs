//! All elements at one moment, and some after the other.

use std::fmt;

use super::error::SharedError;
use super::keeper;
use super::object::{Object, Operation, unexpected};
use super::store::refusal::Refusal;
use super::store::reply::{Cursor, Reply, Row, Version};
use crate::actor::call::Call;
use crate::actor::claim::send_on;
use crate::actor::message::Message;
use crate::actor::parcel::Parcel;

/// The elements of a shared object at one moment: owned, and of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<T> {
    /// The object's version at that moment.
    pub version: Version,
    /// Its elements, in order.
    pub values: Vec<T>,
}

/// How a row becomes an element.
pub(super) type OpenRow<T> = fn(Row<Parcel>) -> Result<T, SharedError>;

/// One part of a snapshot, and the number of the rest.
pub(super) type Part = (Vec<Row<Parcel>>, Option<u64>, Version);

pub(super) fn part(reply: Reply<Parcel>) -> Result<Part, SharedError> {
    match reply {
        Reply::Snapshot { rows, rest, version } => Ok((rows, rest, version)),
        _ => Err(unexpected().into()),
    }
}

/// Fetches a snapshot, in as many messages as it takes.
pub(super) async fn take<T>(
    object: Object,
    first: Operation<Part>,
    open: OpenRow<T>,
) -> Result<Snapshot<T>, SharedError> {
    /// The rest is not kept for nobody.
    struct Kept<'a>(&'a Object, Option<u64>);
    impl Drop for Kept<'_> {
        fn drop(&mut self) {
            if let Some(rest) = self.1 {
                let object = self.0.held();
                send_on(object.destination(), Message::service("forget", keeper::FORGET, &(rest, object)));
            }
        }
    }
    let (rows, rest, version) = first.await?;
    let mut kept = Kept(&object, rest);
    let mut values = rows.into_iter().map(open).collect::<Result<Vec<T>, _>>()?;
    while let Some(rest) = kept.1 {
        let reply = object.call("rest", keeper::REST, &rest).await;
        let (rows, rest, _) = part(reply.map_err(SharedError::from)?)?;
        kept.1 = rest;
        for row in rows {
            values.push(open(row)?);
        }
    }
    Ok(Snapshot { version, values })
}

/// The elements of a shared object, some at a time, while others go on changing it. Each page costs one message there and
/// one back.
///
/// What is there from the first page to the last is given exactly once and in order. What is put in or taken out meanwhile is
/// given or not, as it lies ahead of the place that the pages have come to, or behind; a value that is replaced is given as
/// it is when its page is read.
#[must_use = "pages are read by `next`"]
pub struct Pages<T> {
    ask: Box<dyn Fn(Cursor, u32) -> Call<Reply<Parcel>, Refusal> + Send + Sync>,
    open: OpenRow<T>,
    cursor: Option<Cursor>,
    limit: u32,
}

impl<T> Pages<T> {
    pub(super) fn new(
        ask: impl Fn(Cursor, u32) -> Call<Reply<Parcel>, Refusal> + Send + Sync + 'static,
        open: OpenRow<T>,
    ) -> Self {
        Self { ask: Box::new(ask), open, cursor: Some(Cursor::default()), limit: 1000 }
    }

    /// Sets how many elements a page has at most: 1,000 by default, and never more than about half a MiB of them.
    pub fn page_len(mut self, elements: u32) -> Self {
        self.limit = elements;
        self
    }

    /// The next page; none after the last.
    ///
    /// # Errors
    /// [`CursorForgotten`](Refusal::CursorForgotten) where so much was moved about in a list since the page before that its
    /// place is not known any more: elsewhere than at its end, more than a thousand times, or all at once by `reverse`. A
    /// dict forgets no place. After any other error the same page is asked for again.
    ///
    /// # Cancellation
    /// Safe: a page is either returned or still to come.
    pub async fn next(&mut self) -> Option<Result<Vec<T>, SharedError>> {
        let cursor = self.cursor?;
        let reply = (self.ask)(cursor, self.limit).await.map_err(SharedError::from);
        match reply {
            Ok(Reply::Page { rows, next, .. }) => match rows.into_iter().map(self.open).collect() {
                Ok(values) => {
                    self.cursor = next;
                    Some(Ok(values))
                }
                Err(error) => Some(Err(error)),
            },
            Ok(_) => Some(Err(unexpected().into())),
            Err(error) => Some(Err(error)),
        }
    }

    /// All that is still to come.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<T>, SharedError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await {
            all.extend(page?);
        }
        Ok(all)
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("cursor", &self.cursor).field("limit", &self.limit).finish_non_exhaustive()
    }
}
