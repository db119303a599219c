//! The thread on which deadlines pass.
//!
//! One for all requests of a process, so that a request costs no timer of a runtime, and so that a deadline passes though
//! every runtime of the process computes. It is started by the first request that has to wait, and sleeps until the
//! earliest deadline; one that was met meanwhile is found gone then. While there are bytes to write for which nobody waits, it
//! looks at them too.

use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// See the module.
pub(crate) struct Clock {
    state: Mutex<State>,
    changed: Condvar,
    /// Deals with the deadlines that have passed and says when to look again.
    look: fn() -> Option<Instant>,
}

#[derive(Debug)]
struct State {
    is_running: bool,
    until: Option<Instant>,
}

impl Clock {
    pub(crate) const fn new(look: fn() -> Option<Instant>) -> Self {
        Self { state: Mutex::new(State { is_running: false, until: None }), changed: Condvar::new(), look }
    }

    /// Looks at this time or before; false where the system has no thread for that.
    pub(crate) fn look_at(&'static self, at: Instant) -> bool {
        let mut state = self.lock();
        if !state.is_running {
            let thread = thread::Builder::new().name("procession-clock".to_owned()).stack_size(STACK);
            if thread.spawn(|| self.run()).is_err() {
                return false;
            }
            state.is_running = true;
        }
        if state.until.is_none_or(|until| at < until) {
            state.until = Some(at);
            self.changed.notify_one();
        }
        true
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let Some(until) = state.until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.until = None;
            drop(state);
            // A waker may be anybody's, and one that panics costs nobody else their deadlines.
            let next = catch_unwind(self.look).unwrap_or_else(|_| Some(Instant::now()));
            state = self.lock();
            state.until = [state.until, next].into_iter().flatten().min();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for wakers of foreign runtimes, which run on this thread.
const STACK: usize = 256 << 10;

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    static LOOKED: Mutex<Option<Sender<Instant>>> = Mutex::new(None);
    static CLOCK: Clock = Clock::new(look);

    /// Panics the second time.
    fn look() -> Option<Instant> {
        let mut looked = LOOKED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = looked.take() else { panic!("a waker that panics") };
        told.send(Instant::now()).unwrap();
        None
    }

    fn looked_after(wait: Duration) -> Duration {
        let (told, hear) = channel();
        *LOOKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        let began = Instant::now();
        assert!(CLOCK.look_at(began + wait));
        hear.recv_timeout(Duration::from_secs(30)).unwrap().saturating_duration_since(began)
    }

    #[test]
    fn the_clock_looks_at_the_earliest_time_and_goes_on_after_a_panic() {
        assert!(CLOCK.look_at(Instant::now() + Duration::from_secs(600)));
        let wait = Duration::from_millis(3);
        assert!(looked_after(wait) >= wait);
        assert!(looked_after(Duration::ZERO) < Duration::from_secs(30));
        // Nobody listens: this one panics until somebody does.
        assert!(CLOCK.look_at(Instant::now()));
        assert!(looked_after(wait) < Duration::from_secs(30));
    }
}
