//! The future of something that a lock table grants.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::error::LockError;
use super::handle::{Inner, claim, tell};
use super::hold::Hold;
use super::protocol::{Acquire, Reply, Return, WaitBarrier, WaitEvent, WaitFor};
use super::table::{Share, Terms};
use crate::actor::claim::Claim;
use crate::actor::party::Party;

/// Waits for a lock, a condition, an event or a barrier: a future of `R`.
///
/// Nothing is asked for before the first poll. Who asks is the actor whose handler polls it first, or the task. It waits as
/// long as it takes, unless [`timeout`](Self::timeout) says otherwise or the message whose handler waits has a deadline.
///
/// # Cancellation
/// Dropping it leaves the line. A grant that is under way by then is given back, and the next in line gets it.
///
/// # Panics
/// It must be polled within a tokio runtime that has its clock enabled.
#[must_use = "nothing is asked for before this is awaited"]
pub struct Wait<R> {
    state: State,
    timeout: Option<Duration>,
    result: PhantomData<fn() -> R>,
}

enum State {
    Unsent(Arc<Inner>, Wish),
    Sent {
        lock: Arc<Inner>,
        party: Party,
        claim: Claim<Reply, LockError>,
        /// What a condition was given for its wait. If nobody has taken it, it is released by this.
        given: Option<Box<Hold>>,
    },
    Done,
}

/// What is waited for.
enum Wish {
    Lock(Terms),
    /// The condition of this number, by the holder of its mutex.
    Condition(u64, Box<Hold>),
    Event,
    Barrier,
}

/// What a wait may end in.
pub(super) trait Answer: Sized {
    fn accept(reply: Reply, lock: Arc<Inner>, party: Party) -> Result<Self, LockError>;
}

/// An answer that is a guard of a lock.
///
/// Implemented by the guards of this module.
pub trait Guard: sealed::Sealed {}

pub(super) mod sealed {
    pub trait Sealed {}
}

impl<R> Wait<R> {
    fn new(lock: Arc<Inner>, wish: Wish) -> Self {
        Self { state: State::Unsent(lock, wish), timeout: None, result: PhantomData }
    }

    pub(super) fn for_lock(lock: &Arc<Inner>, share: Share, wait: bool) -> Self {
        Self::new(lock.clone(), Wish::Lock(Terms { share, lease: None, wait }))
    }

    pub(super) fn for_condition(condition: u64, hold: Hold) -> Self {
        Self::new(hold.lock.clone(), Wish::Condition(condition, Box::new(hold)))
    }

    pub(super) fn for_event(lock: &Arc<Inner>) -> Self {
        Self::new(lock.clone(), Wish::Event)
    }

    pub(super) fn for_barrier(lock: &Arc<Inner>) -> Self {
        Self::new(lock.clone(), Wish::Barrier)
    }

    /// Sets how long it may take from the first poll on.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    fn send(&mut self) {
        let State::Unsent(lock, wish) = std::mem::replace(&mut self.state, State::Done) else { return };
        let party = Party::here();
        let (to, number) = (lock.to(), lock.number);
        let give_back = move |reply| {
            if let Reply::Granted(granted) = reply {
                tell(to, party, &Return { token: granted.token });
            }
        };
        let mut given = None;
        let mut claim = match wish {
            Wish::Lock(terms) => claim(to, party, &Acquire { lock: number, terms }, give_back),
            Wish::Condition(condition, mut hold) => {
                hold.is_on_its_way();
                let asked = WaitFor { mutex: number, condition, token: hold.number(), data: hold.data.clone() };
                given = Some(hold);
                claim(to, party, &asked, give_back)
            }
            Wish::Event => claim(to, party, &WaitEvent { event: number }, give_back),
            Wish::Barrier => claim(to, party, &WaitBarrier { barrier: number }, give_back),
        };
        if let Some(after) = self.timeout {
            claim = claim.timeout(after);
        }
        self.state = State::Sent { lock, party, claim, given };
    }
}

impl<R: Guard> Wait<R> {
    /// Lets the grant end by itself so long after it was given: for holders that may freeze. What it protects refuses its
    /// [token](crate::FencingToken) from then on.
    pub fn lease(mut self, lease: Duration) -> Self {
        if let State::Unsent(_, Wish::Lock(terms)) = &mut self.state {
            terms.lease = Some(lease);
        }
        self
    }
}

impl<R: Answer> Future for Wait<R> {
    type Output = Result<R, LockError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent(..) = self.state {
            self.send();
        }
        let State::Sent { claim, .. } = &mut self.state else {
            panic!("a wait was polled after it had ended");
        };
        let answer = ready!(Pin::new(claim).poll(cx));
        let State::Sent { lock, party, given, .. } = std::mem::replace(&mut self.state, State::Done) else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(reply) => {
                if let Some(mut hold) = given {
                    hold.close();
                }
                R::accept(reply, lock, party)
            }
            Err(error) => Err(error.into()),
        })
    }
}

impl<R> fmt::Debug for Wait<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Unsent(lock, _) => write!(f, "Wait({:?}, not asked for)", lock.name),
            State::Sent { lock, .. } => write!(f, "Wait({:?})", lock.name),
            State::Done => f.write_str("Wait(ended)"),
        }
    }
}
