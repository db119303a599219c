//! The bytes of one connection: what waits to be written, and when there is something to read.
//!
//! Nobody's reading waits for their own writing: both are tried in turn, neither blocks.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::outgoing::Outgoing;
use super::signal::Signal;
use crate::shm::outbox::{Outbox, Shared};
use crate::sys::{Child, SharedMemory, Stream};
use crate::wire::codec::Handle;
use crate::wire::frame::{Frame, MemoryAbout, MemoryForm};
use crate::wire::rope::{Output, Rope};

/// A connection's stream, with the bytes that wait for it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) data: Stream,
    /// The process at the other end, where this one has started it.
    child: Option<Child>,
    writing: Mutex<Writing>,
    /// Whether what was fetched for writing may be lost with this process.
    is_behind: AtomicBool,
    /// There are bytes to write.
    pub(crate) wake: Signal,
}

#[derive(Debug)]
struct Writing {
    data: Outgoing<Shared>,
    /// Memory that goes with a byte of data, and with which one of all that were written ever.
    memories: VecDeque<(u64, SharedMemory)>,
    /// Who waits until what there is has been written, or is safe.
    waiting: Option<Waker>,
    broken: bool,
    /// Whether somebody will look after what waits to be written.
    watched: bool,
}

/// What became of bytes that were to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// They are written.
    Written,
    /// They wait for others; the peer has them even if this process ends now.
    Waiting {
        /// Whether nobody has been asked yet to look after them.
        unwatched: bool,
    },
    /// Neither, since the peer does not read: [`Connection::poll_safe`].
    Blocked,
}

/// Whence bytes to write come, and the memory that goes ahead of some of them, in order.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut Rope) -> Vec<Given>;
/// The same, from somebody who says whether there will be more at once.
pub(crate) type Pass<'a> = &'a mut dyn FnMut(&mut Rope) -> (Vec<Given>, bool);

/// Memory that the peer is to be given ahead of what refers to it.
#[derive(Debug)]
pub(crate) struct Given {
    /// Where in the data what refers to it begins.
    pub(crate) at: usize,
    pub(crate) handle: Handle,
    pub(crate) tag: u64,
    /// Nothing where the peer can only be told of it.
    pub(crate) memory: Option<SharedMemory>,
}

impl Connection {
    /// A connection whose bytes are lost with this process until they are written.
    pub(crate) fn new(data: Stream, child: Option<Child>) -> Self {
        Self::with_outbox(data, child, None)
    }

    /// One whose peer finds in the outbox what was not written.
    pub(crate) fn with_outbox(data: Stream, child: Option<Child>, outbox: Option<Outbox>) -> Self {
        let writing = Writing {
            data: Outgoing::new(outbox),
            memories: VecDeque::new(),
            waiting: None,
            broken: false,
            watched: false,
        };
        Self { data, child, writing: Mutex::new(writing), is_behind: AtomicBool::new(false), wake: Signal::new() }
    }

    /// Whether it leads to a process that this one has started.
    pub(crate) fn leads_down(&self) -> bool {
        self.child.is_some()
    }

    /// Fetches what is to be written and writes what the stream takes; whether it is blocked, with bytes left that it does not
    /// take now.
    ///
    /// A stream that is closed takes everything: its reader learns of the end by itself.
    pub(crate) fn write(&self, fill: Fill<'_>) -> bool {
        let mut writing = self.lock();
        let writing = &mut *writing;
        self.fetch(writing, fill);
        self.write_now(writing)
    }

    /// Fetches what is to be written. It is written now, or a little later where there will be more and the peer would have
    /// it in any case.
    pub(crate) fn pass(&self, now: Instant, pass: Pass<'_>) -> Passed {
        let mut writing = self.lock();
        let writing = &mut *writing;
        self.is_behind.store(true, Ordering::Release);
        let (given, more) = pass(writing.data.bytes_mut());
        self.give(writing, given);
        if writing.data.is_empty() {
            self.is_behind.store(false, Ordering::Release);
            return Passed::Written;
        }
        if !writing.memories.is_empty() || writing.data.is_due(more, now) {
            if !self.write_now(writing) {
                return Passed::Written;
            }
            // The driver learns when the peer reads again.
            self.wake.notify_one();
        }
        match self.publish(writing) {
            true => Passed::Waiting { unwatched: !std::mem::replace(&mut writing.watched, true) },
            false => Passed::Blocked,
        }
    }

    /// Writes what has waited since somebody looked before, when the stream had taken `seen` bytes: what was taken since tells
    /// that whoever is at work here writes by themselves. False where nothing waits; if it `may_rest` nobody looks after what
    /// comes next then.
    pub(crate) fn relieve(&self, seen: &mut u64, may_rest: bool, fill: Fill<'_>) -> bool {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let writing = &mut *writing;
        let taken = writing.data.taken();
        if std::mem::replace(seen, taken) != taken {
            return true;
        }
        self.fetch(writing, fill);
        let waits = !writing.data.is_empty();
        if waits {
            self.write_now(writing);
            *seen = writing.data.taken();
        } else {
            self.publish(writing);
        }
        writing.watched = waits || !may_rest;
        waits
    }

    /// Ready when all that was passed is written, which the connection's driver goes on with meanwhile.
    pub(crate) fn poll_flush(&self, fill: Fill<'_>, cx: &mut Context<'_>) -> Poll<()> {
        self.write(fill);
        self.poll_until(cx, |writing| writing.data.is_empty())
    }

    /// Ready when the peer has all that was passed, even if this process ended then.
    pub(crate) fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |writing| self.publish(writing))
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_so: impl FnOnce(&mut Writing) -> bool) -> Poll<()> {
        let mut writing = self.lock();
        if is_so(&mut writing) {
            return Poll::Ready(());
        }
        writing.waiting = Some(cx.waker().clone());
        self.wake.notify_one();
        Poll::Pending
    }

    /// Whether what was fetched for writing may be lost with this process: it is not safe yet, or somebody has it in hand.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    fn fetch(&self, writing: &mut Writing, fill: Fill<'_>) {
        // Before it is gone from where it was.
        self.is_behind.store(true, Ordering::Release);
        let given = fill(writing.data.bytes_mut());
        self.give(writing, given);
    }

    fn publish(&self, writing: &mut Writing) -> bool {
        let is_safe = writing.publish();
        self.is_behind.store(!is_safe, Ordering::Release);
        is_safe
    }

    fn write_now(&self, writing: &mut Writing) -> bool {
        let before = writing.data.taken();
        self.write_data(writing);
        if writing.broken {
            writing.memories.clear();
            writing.data.give_up();
        }
        let moved = writing.data.taken() != before;
        self.publish(writing);
        // Whoever waits looks for themselves whether it is enough.
        if moved && let Some(waker) = writing.waiting.take() {
            waker.wake();
        }
        !writing.data.is_empty()
    }

    /// Writes data, and memory with its byte.
    fn write_data(&self, writing: &mut Writing) {
        while !writing.data.is_empty() && !writing.broken {
            let bytes = writing.data.first();
            let taken = writing.data.taken();
            // No further than to the byte with which the next memory goes.
            let until = |at: usize| {
                writing.memories.get(at).map_or(bytes.len(), |(next, _)| bytes.len().min((next - taken) as usize))
            };
            let (written, with_memory) = match writing.memories.front() {
                Some((at, memory)) if *at == taken => (self.data.try_write_with(&bytes[..until(1)], memory), true),
                _ => (self.data.try_write(&bytes[..until(0)]), false),
            };
            match written {
                Ok(n) => {
                    writing.data.take(n);
                    if with_memory && n > 0 {
                        writing.memories.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => writing.broken = true,
            }
        }
    }

    /// Puts in front of what refers to memory what tells of it.
    fn give(&self, writing: &mut Writing, given: Vec<Given>) {
        if given.is_empty() {
            return;
        }
        let taken = writing.data.taken();
        let data = writing.data.bytes_mut();
        let mut rest = std::mem::take(data);
        let mut moved = 0;
        for Given { at, handle, tag, memory } in given {
            let mut before = rest.split_to(at - moved);
            moved = at;
            data.take(&mut before);
            // Who cannot be given it is told so: that costs one message, and not the connection.
            let offered = memory.and_then(|memory| {
                let told = self.data.offer_memory(self.child.as_ref(), &memory).ok()?;
                Some((told, memory))
            });
            let about = match &offered {
                Some((told, memory)) => {
                    let form = match memory {
                        SharedMemory::Sealed(_) => MemoryForm::Sealed,
                        SharedMemory::Parted(_) => MemoryForm::Parted,
                    };
                    MemoryAbout { tag, len: memory.len() as u64, told: *told, form }
                }
                None => MemoryAbout { tag, len: 0, told: 0, form: MemoryForm::Lost },
            };
            if let Some((_, memory)) = offered {
                writing.memories.push_back((taken + data.len() as u64, memory));
            }
            Frame::Memory { handle, about }.encode(data);
        }
        data.take(&mut rest);
    }

    /// Takes the memory that the peer has told of; nothing where there was no room for it on its way here.
    pub(crate) fn take_memory(&self, about: &MemoryAbout) -> io::Result<Option<SharedMemory>> {
        let parted = match about.form {
            MemoryForm::Lost => return Ok(None),
            MemoryForm::Sealed => false,
            MemoryForm::Parted => true,
        };
        self.data.take_memory(self.child.as_ref(), about.told, about.len, parted)
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same as [`write`](Self::write), for whoever is not the connection's driver; left to that where it cannot be done
    /// at once.
    pub(crate) fn write_from_outside(&self, fill: Fill<'_>) {
        let writing = match self.writing.try_lock() {
            Ok(writing) => Some(writing),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let written = writing.is_some_and(|mut writing| {
            let writing = &mut *writing;
            self.fetch(writing, fill);
            !self.write_now(writing)
        });
        if !written {
            self.wake.notify_one();
        }
    }

    /// Whether there is something new to write, as its driver would be told.
    pub(crate) fn is_told(&self) -> bool {
        self.wake.take()
    }

    /// Waits until there is something to read, something new to write, or room for what is blocked.
    ///
    /// Nothing to read counts while the connection is `stalled`.
    pub(crate) async fn ready(&self, is_blocked: bool, stalled: bool) -> Woken {
        let data = async {
            if stalled {
                let _ = self.data.writable().await;
                return Woken::Writable;
            }
            match self.data.ready(is_blocked).await {
                Ok(ready) if !ready.readable => Woken::Writable,
                _ => Woken::Readable,
            }
        };
        tokio::select! {
            biased;
            woken = data => woken,
            () = self.wake.notified() => Woken::Told,
        }
    }
}

/// Why a driver goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to read, or the end.
    Readable,
    /// The stream takes bytes again.
    Writable,
    /// There is something to write.
    Told,
}

impl Writing {
    /// Whether the peer has all of it, even if this process ends now. Memory does not go by the outbox, nor what comes after.
    fn publish(&mut self) -> bool {
        let first = self.memories.front().map_or(usize::MAX, |(at, _)| (at - self.data.taken()) as usize);
        self.data.publish(first)
    }
}
