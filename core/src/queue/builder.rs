//! How a queue is made and found.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::delivery::AckReceiver;
use super::error::QueueError;
use super::ledger::{Acknowledged, Bounds};
use super::names::{Known, Names};
use super::queue::{Queue, item_type};
use super::receiver::Receiver;
use super::sender::Sender;
use super::service::QueueService;
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::traits::Payload;
use crate::supervisor::handle::Supervisor;

/// Items that a queue takes unless told otherwise.
const ITEMS: usize = 1024;
/// Bytes that a queue takes unless told otherwise.
const BYTES: usize = 64 << 20;

/// A queue that is not open yet.
#[must_use = "a builder does nothing until the queue is opened"]
pub struct QueueBuilder<'a, T, R = Receiver<T>> {
    sup: &'a Supervisor,
    name: String,
    bounds: Bounds,
    acknowledged: Option<(u32, Option<Duration>)>,
    ends: PhantomData<fn() -> (T, R)>,
}

/// A receiving side, of either kind.
pub trait ReceivingEnd: private::FromHeld {}

mod private {
    use super::{Held, QUEUE_RECEIVER};

    pub trait FromHeld {
        #[doc(hidden)]
        fn from_held(held: Opaque) -> Self;
    }

    #[expect(missing_debug_implementations, reason = "nobody outside has one")]
    pub struct Opaque(pub(super) Held<QUEUE_RECEIVER>);
}

impl<T: Payload> private::FromHeld for Receiver<T> {
    fn from_held(held: private::Opaque) -> Self {
        Self::new(held.0)
    }
}

impl<T: Payload> private::FromHeld for AckReceiver<T> {
    fn from_held(held: private::Opaque) -> Self {
        Self::new(held.0)
    }
}

impl<T: Payload> ReceivingEnd for Receiver<T> {}
impl<T: Payload> ReceivingEnd for AckReceiver<T> {}

impl Supervisor {
    /// Opens a queue of at most so many items, at least one, and 64 MiB, and returns its two sides.
    ///
    /// The queue lives in this process, beside the supervisor's children, and ends after them, or as soon as nobody holds a
    /// side of it. Its stream ends when no sender is left: whoever does not send any more drops its own.
    ///
    /// # Errors
    /// [`NameTaken`](QueueError::NameTaken), or a supervisor that has ended.
    pub fn queue<T: Payload>(&self, name: &str, items: usize) -> Result<(Sender<T>, Receiver<T>), QueueError> {
        self.queue_builder(name).items(items).open()
    }

    /// A queue with terms of its own.
    pub fn queue_builder<T: Payload>(&self, name: &str) -> QueueBuilder<'_, T> {
        QueueBuilder {
            sup: self,
            name: name.to_owned(),
            bounds: Bounds { items: ITEMS, bytes: BYTES },
            acknowledged: None,
            ends: PhantomData,
        }
    }

    /// The queue of this name; none where there is none any more.
    ///
    /// # Errors
    /// [`OtherType`](QueueError::OtherType).
    pub fn find_queue<T: Payload>(&self, name: &str) -> Result<Option<Queue<T>>, QueueError> {
        match self.services().slot::<Names>().find(name) {
            None => Ok(None),
            Some(Known { to, item }) if item == item_type::<T>() => Ok(Some(Queue::new(to))),
            Some(_) => Err(QueueError::OtherType { wanted: type_name::<T>() }),
        }
    }
}

impl<'a, T: Payload, R: ReceivingEnd> QueueBuilder<'a, T, R> {
    /// How many items it takes, at least one; 1,024 unless told otherwise.
    pub fn items(mut self, items: usize) -> Self {
        self.bounds.items = items.max(1);
        self
    }

    /// How many bytes of encoded items it takes; 64 MiB unless told otherwise. A single item that is larger passes alone.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Has its items acknowledged: one that is not, because its receiver died, dropped it or gave it back, is handed out
    /// again, at most `deliveries` times in all, at least once; then it is a dead letter.
    ///
    /// As many items as the queue takes may be out at a time; receivers wait while there are as many.
    pub fn acknowledged(self, deliveries: u32) -> QueueBuilder<'a, T, AckReceiver<T>> {
        let within = self.acknowledged.and_then(|(_, within)| within);
        let Self { sup, name, bounds, .. } = self;
        QueueBuilder { sup, name, bounds, acknowledged: Some((deliveries.max(1), within)), ends: PhantomData }
    }

    /// Opens the queue and returns its two sides.
    ///
    /// # Errors
    /// [`NameTaken`](QueueError::NameTaken), or a supervisor that has ended.
    pub fn open(self) -> Result<(Sender<T>, R), QueueError> {
        let names = self.sup.services().slot::<Names>();
        let Some(claimed) = names.claim(&self.name) else {
            return Err(QueueError::NameTaken { name: self.name });
        };
        let bounds = self.bounds;
        let acknowledged = self.acknowledged.map(|(attempts, within)| Acknowledged { attempts, within, bounds });
        let service = QueueService::new(self.sup.launcher().owner, claimed, bounds, acknowledged);
        let to = self.sup.services().serve(&self.name, service).map_err(|_| QueueError::Gone)?;
        // The first two: without them it would have ended before it began.
        let (sender, receiver) = (Held::new(to), Held::new(to));
        names.settle(&self.name, Known { to, item: item_type::<T>() });
        Ok((Sender::new(sender), R::from_held(private::Opaque(receiver))))
    }
}

impl<T: Payload> QueueBuilder<'_, T, AckReceiver<T>> {
    /// How long a receiver may keep an item; then it is as if it had dropped it. For receivers that may freeze. Without it
    /// only their end counts.
    pub fn ack_within(mut self, within: Duration) -> Self {
        self.acknowledged = self.acknowledged.map(|(deliveries, _)| (deliveries, Some(within)));
        self
    }
}

impl<T, R> fmt::Debug for QueueBuilder<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("name", &self.name)
            .field("bounds", &self.bounds)
            .field("acknowledged", &self.acknowledged)
            .finish_non_exhaustive()
    }
}
