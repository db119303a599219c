//! The decisions of a supervisor, without its processes: events and the time go in, actions and the next time come out.
//!
//! ```text
//! loop {
//!     while let Some(action) = policy.poll_action() { perform(action) }        // never waits for a start or a stop
//!     select! { event = inbox.recv() => policy.handle_..(now(), event),
//!               _ = sleep_until(policy.poll_timeout()) => policy.handle_timeout(now()) }
//! }
//! ```
//!
//! What the shell owes in return:
//! - Every [`Action::Start`] begins an incarnation and is answered by [`Policy::handle_ready`], or by the incarnation's end.
//! - Every incarnation **ends once**: by [`Policy::handle_start_failed`], [`Policy::handle_exited`] or
//!   [`Policy::handle_stopped`]. The three differ only while no stop is asked for; after [`Action::Stop`] the first of them
//!   is the end, whichever it is. So a process that dies while its stop is on the way needs no second report, and a
//!   `Stop` that meets an incarnation whose end is already reported needs no answer.
//! - Nothing of an incarnation is reported after its end. (A shell with one task for each incarnation has this for
//!   nothing: the task's return value is the end.)
//!
//! Whatever comes at a moment when it cannot be true, or for a child that is not there, is ignored.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

pub(crate) use crate::actor::restart::Restart;
pub(crate) use action::{Action, DoneReason, EndReason};
pub use child::Counts;
pub(crate) use child::{Cause, ChildId, ChildPolicy, State, Then};

use super::{
    backoff::{Backoff, SplitMix64},
    intensity::{Intensity, Window},
};
use child::Children;

mod action;
mod child;
#[cfg(test)]
mod tests;

/// Which children are restarted when one of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// The one that failed; the others never notice.
    #[default]
    OneForOne,
}

/// What a supervisor is told once, at its start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) strategy: Strategy,
    pub(crate) intensity: Intensity,
    pub(crate) backoff: Backoff,
    /// Of the jitter; supervisors that may fail together want different ones.
    pub(crate) seed: u64,
}

/// How a process ended that nobody had told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was through.
    Normal,
    /// It shut itself down, for instance because it was told to by a peer.
    Shutdown,
    /// Everything else: an error, a panic, a signal, an exit code.
    Abnormal,
}

/// Why a request was not taken; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the supervisor has no such child")]
    Unknown,
    #[error("the supervisor has a child of this id already")]
    Known,
    /// Once its end has been told, it can be restarted.
    #[error("the child is being terminated")]
    Stopping,
    #[error("the supervisor is ending")]
    Ending,
}

/// Where the supervisor as a whole stands; it only ever moves down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until all children of the initial start are ready.
    Opening,
    Open,
    /// Stopping its children, last added first, one after another.
    Closing(DoneReason),
    Closed,
}

/// The decisions of one supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    strategy: Strategy,
    backoff: Backoff,
    intensity: Intensity,
    window: Window,
    rng: SplitMix64,
    phase: Phase,
    children: Children,
    /// The rest of an ordered start; the front is the one that the others wait for.
    queue: VecDeque<ChildId>,
    actions: VecDeque<Action>,
}

impl Policy {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            strategy: config.strategy,
            backoff: config.backoff,
            intensity: config.intensity,
            window: Window::new(config.intensity),
            rng: SplitMix64::new(config.seed),
            phase: Phase::Opening,
            children: Children::default(),
            queue: VecDeque::new(),
            actions: VecDeque::new(),
        }
    }

    /// The next thing to do, in order.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next; it may have changed after any other call.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.children.next_due().map(|(due, _)| due)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.children.counts()
    }

    /// Where a child stands; none if there is no such child (any more).
    pub(crate) fn state(&self, id: ChildId) -> Option<State> {
        self.children.state(id)
    }

    // What users ask for.

    /// Adds children that start one after another, each when the one before it is ready.
    ///
    /// The first ones that a supervisor gets are its initial start, which is followed by [`Action::Ready`] (at once, if
    /// there are none) or fails as a whole. With any later group a child that cannot be started is left out.
    pub(crate) fn add_all(
        &mut self,
        now: Instant,
        children: impl IntoIterator<Item = (ChildId, ChildPolicy)>,
    ) -> Result<(), Refused> {
        self.check_open()?;
        let children: Vec<_> = children.into_iter().collect();
        let mut new = HashSet::new();
        if children.iter().any(|&(id, _)| self.children.contains(id) || !new.insert(id)) {
            return Err(Refused::Known);
        }
        for (id, policy) in children {
            self.children.insert(id, policy.restart);
            self.queue.push_back(id);
        }
        self.settle(now);
        Ok(())
    }

    /// Adds a child and starts it at once, whatever else is starting; during the initial start it is the last of that.
    ///
    /// Answered by its being ready, or by [`Action::Ended`].
    pub(crate) fn add(&mut self, now: Instant, id: ChildId, policy: ChildPolicy) -> Result<(), Refused> {
        if self.phase == Phase::Opening {
            return self.add_all(now, [(id, policy)]);
        }
        self.check_open()?;
        if self.children.contains(id) {
            return Err(Refused::Known);
        }
        self.children.insert(id, policy.restart);
        self.start(now, id, Cause::First);
        Ok(())
    }

    /// Stops a child and keeps its spec (unless it is temporary), as OTP's `terminate_child`.
    ///
    /// Always answered by [`Action::Ended`], also if it was down before.
    #[cfg_attr(not(test), expect(dead_code, reason = "OTP has it; no public verb asks for it yet"))]
    pub(crate) fn terminate(&mut self, now: Instant, id: ChildId) -> Result<(), Refused> {
        self.check_open()?;
        match self.children.state(id).ok_or(Refused::Unknown)? {
            State::Waiting | State::BackingOff { .. } | State::Stopped => {
                self.end(id, EndReason::Terminated);
            }
            State::Starting { .. } | State::Running { .. } => self.stop(now, id, Then::Keep),
            State::Stopping { then, since } => match then {
                Then::Keep | Then::Forget(_) => {}
                Then::Start => {
                    let then = Then::Keep;
                    self.children.set(id, State::Stopping { then, since });
                }
            },
        }
        self.settle(now);
        Ok(())
    }

    /// Starts a child that is down or backing off now, as OTP's `restart_child`; stops and starts one that is running.
    ///
    /// It does not count against the intensity. A child that is starting, or will be in its turn, is left to it; one
    /// whose termination is under way is refused. Answered by its being ready, or by [`Action::Ended`].
    pub(crate) fn restart(&mut self, now: Instant, id: ChildId) -> Result<(), Refused> {
        self.check_open()?;
        match self.children.state(id).ok_or(Refused::Unknown)? {
            State::Stopped => self.start(now, id, Cause::Asked),
            State::BackingOff { .. } => self.start(now, id, Cause::Again),
            State::Running { .. } => self.stop(now, id, Then::Start),
            State::Waiting | State::Starting { .. } => {}
            State::Stopping { then, .. } => match then {
                Then::Start => {}
                Then::Keep => return Err(Refused::Stopping),
                // For a caller it is gone.
                Then::Forget(_) => return Err(Refused::Unknown),
            },
        }
        Ok(())
    }

    /// Stops a child, if it runs, and forgets it. Always answered by [`Action::Ended`].
    pub(crate) fn remove(&mut self, now: Instant, id: ChildId) -> Result<(), Refused> {
        self.check_open()?;
        let then = Then::Forget(EndReason::Removed);
        match self.children.state(id).ok_or(Refused::Unknown)? {
            State::Waiting | State::BackingOff { .. } | State::Stopped => {
                self.forget(id, EndReason::Removed);
            }
            State::Starting { .. } | State::Running { .. } => self.stop(now, id, then),
            State::Stopping { since, .. } => self.children.set(id, State::Stopping { then, since }),
        }
        self.settle(now);
        Ok(())
    }

    /// Stops all children, last added first, one after another, and ends. Asked again, it changes nothing.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening | Phase::Open => {
                self.close(DoneReason::Shutdown);
                self.settle(now);
            }
            Phase::Closing(_) | Phase::Closed => {}
        }
    }

    // What happened.

    /// The child's `init` has succeeded.
    pub(crate) fn handle_ready(&mut self, now: Instant, id: ChildId) {
        // Ready after a stop was asked for changes nothing: the stop goes on.
        if let Some(State::Starting { .. }) = self.children.state(id) {
            self.children.set(id, State::Running { since: now });
            self.settle(now);
        }
    }

    /// The start has failed and no process of it is left.
    pub(crate) fn handle_start_failed(&mut self, now: Instant, id: ChildId) {
        match self.children.state(id) {
            Some(State::Stopping { then, .. }) => self.stopped(now, id, then),
            Some(State::Starting { cause, .. }) => self.start_failed(now, id, cause),
            Some(State::Waiting | State::Running { .. } | State::BackingOff { .. } | State::Stopped) | None => return,
        }
        self.settle(now);
    }

    /// The process has ended. Before it was ready that is a failed start; while its stop is under way it is the stop's end.
    pub(crate) fn handle_exited(&mut self, now: Instant, id: ChildId, ending: Ending) {
        match self.children.state(id) {
            Some(State::Stopping { then, .. }) => self.stopped(now, id, then),
            Some(State::Starting { cause, .. }) => self.start_failed(now, id, cause),
            Some(State::Running { since }) => {
                if self.backoff.forgets_after(now.saturating_duration_since(since)) {
                    self.children.forgive(id);
                }
                self.exited(now, id, ending);
            }
            Some(State::Waiting | State::BackingOff { .. } | State::Stopped) | None => return,
        }
        self.settle(now);
    }

    /// The stop that was asked for is through and no process is left.
    #[cfg_attr(not(test), expect(dead_code, reason = "OTP has it; no public verb asks for it yet"))]
    pub(crate) fn handle_stopped(&mut self, now: Instant, id: ChildId) {
        if let Some(State::Stopping { then, .. }) = self.children.state(id) {
            self.stopped(now, id, then);
            self.settle(now);
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come; earlier nothing happens.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, id)) = self.children.next_due()
            && due <= now
        {
            self.start(now, id, Cause::Again);
        }
    }

    // What follows.

    /// One arm for each case, as in OTP's `do_restart/3`.
    fn exited(&mut self, now: Instant, id: ChildId, ending: Ending) {
        let Some(child) = self.children.get(id) else {
            return;
        };
        match (self.phase, child.restart, ending) {
            (Phase::Closing(_) | Phase::Closed, _, _) => self.forget(id, EndReason::Supervisor),
            (_, Restart::Permanent, _) => self.try_again(now, id),
            (_, _, Ending::Normal | Ending::Shutdown) => self.end(id, EndReason::Normal),
            (_, Restart::Transient, Ending::Abnormal) => self.try_again(now, id),
            (_, Restart::Temporary, Ending::Abnormal) => self.end(id, EndReason::Temporary),
        }
    }

    fn start_failed(&mut self, now: Instant, id: ChildId, cause: Cause) {
        match (self.phase, cause) {
            (Phase::Closing(_) | Phase::Closed, _) => self.forget(id, EndReason::Supervisor),
            (Phase::Opening, Cause::First) => {
                self.actions.push_back(Action::StartFailed { id });
                self.forget(id, EndReason::StartFailed);
                self.close(DoneReason::StartFailed);
            }
            (Phase::Open, Cause::First) => self.forget(id, EndReason::StartFailed),
            (_, Cause::Asked) => self.end(id, EndReason::StartFailed),
            (_, Cause::Again) => self.exited(now, id, Ending::Abnormal),
        }
    }

    fn stopped(&mut self, now: Instant, id: ChildId, then: Then) {
        match then {
            Then::Keep => self.end(id, EndReason::Terminated),
            Then::Start => {
                self.children.forgive(id);
                self.start(now, id, Cause::Again);
            }
            Then::Forget(why) => self.forget(id, why),
        }
    }

    /// A child has failed and is to run: restart what the strategy says, or give up.
    fn try_again(&mut self, now: Instant, id: ChildId) {
        if !self.window.admit(now) {
            let (restarts, within) = (self.intensity.max(), self.intensity.within());
            self.actions.push_back(Action::Escalated { id, restarts, within });
            self.forget(id, EndReason::Supervisor);
            self.close(DoneReason::Escalated);
            return;
        }
        match self.strategy {
            Strategy::OneForOne => self.start_later(now, id),
        }
    }

    fn start_later(&mut self, now: Instant, id: ChildId) {
        let Some(child) = self.children.get_mut(id) else {
            return;
        };
        child.attempt = child.attempt.saturating_add(1);
        let attempt = child.attempt;
        let delay = self.backoff.delay(attempt, &mut self.rng);
        self.actions.push_back(Action::Restarting { id, delay, attempt });
        if delay.is_zero() {
            self.start(now, id, Cause::Again);
        } else {
            self.children.set(id, State::BackingOff { until: now + delay });
        }
    }

    fn start(&mut self, now: Instant, id: ChildId, cause: Cause) {
        let Some(child) = self.children.get(id) else {
            return;
        };
        self.actions.push_back(Action::Start { id, attempt: child.attempt });
        self.children.set(id, State::Starting { cause, since: now });
    }

    fn stop(&mut self, now: Instant, id: ChildId, then: Then) {
        self.actions.push_back(Action::Stop { id });
        self.children.set(id, State::Stopping { then, since: now });
    }

    /// The child is down and its spec stays, unless it is temporary.
    fn end(&mut self, id: ChildId, why: EndReason) {
        match self.children.get(id).map(|child| child.restart) {
            Some(Restart::Permanent | Restart::Transient) => {
                self.actions.push_back(Action::Ended { id, why });
                self.children.forgive(id);
                self.children.set(id, State::Stopped);
            }
            Some(Restart::Temporary) | None => self.forget(id, why),
        }
    }

    /// The child is down and its spec goes.
    fn forget(&mut self, id: ChildId, why: EndReason) {
        self.actions.push_back(Action::Ended { id, why });
        self.children.remove(id);
    }

    /// From here on nothing starts. Children without a process go at once; the others are stopped by `stop_next`.
    fn close(&mut self, why: DoneReason) {
        self.phase = Phase::Closing(why);
        self.queue.clear();
        for id in self.children.reversed() {
            match self.children.state(id) {
                Some(State::Waiting | State::BackingOff { .. }) => {
                    self.forget(id, EndReason::Supervisor);
                }
                // Its end was told when it came.
                Some(State::Stopped) => self.children.remove(id),
                Some(State::Stopping { then, since }) => {
                    let why = match then {
                        Then::Keep => EndReason::Terminated,
                        Then::Start => EndReason::Supervisor,
                        Then::Forget(why) => why,
                    };
                    self.children.set(id, State::Stopping { then: Then::Forget(why), since });
                }
                Some(State::Starting { .. } | State::Running { .. }) | None => {}
            }
        }
    }

    /// What concerns the children as a whole, after anything has changed for one of them.
    fn settle(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening | Phase::Open => self.start_next(now),
            Phase::Closing(why) => self.stop_next(now, why),
            Phase::Closed => {}
        }
    }

    fn start_next(&mut self, now: Instant) {
        while let Some(&id) = self.queue.front() {
            match self.children.state(id) {
                Some(State::Waiting) => return self.start(now, id, Cause::First),
                Some(State::Starting { .. }) => return,
                // Ready, or not to be waited for: it failed after it was ready, or somebody stopped it.
                _ => self.queue.pop_front(),
            };
        }
        if self.phase == Phase::Opening {
            self.phase = Phase::Open;
            self.actions.push_back(Action::Ready);
        }
    }

    fn stop_next(&mut self, now: Instant, why: DoneReason) {
        let Some(id) = self.children.last() else {
            self.phase = Phase::Closed;
            self.actions.push_back(Action::Done { why });
            return;
        };
        // One whose stop is under way already brings us here again when it ends.
        if let Some(State::Starting { .. } | State::Running { .. }) = self.children.state(id) {
            self.stop(now, id, Then::Forget(EndReason::Supervisor));
        }
    }

    fn check_open(&self) -> Result<(), Refused> {
        match self.phase {
            Phase::Opening | Phase::Open => Ok(()),
            Phase::Closing(_) | Phase::Closed => Err(Refused::Ending),
        }
    }
}
