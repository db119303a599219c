use std::time::Duration;

use super::*;

mod intensity;
mod model;
mod order;
mod race;
mod restart;
mod table;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn id(id: u64) -> ChildId {
    ChildId(id)
}

const PERMANENT: ChildPolicy = ChildPolicy { restart: Restart::Permanent };
const TRANSIENT: ChildPolicy = ChildPolicy { restart: Restart::Transient };
const TEMPORARY: ChildPolicy = ChildPolicy { restart: Restart::Temporary };

fn start(child: u64) -> Action {
    Action::Start { id: id(child), attempt: 0 }
}

fn again(child: u64, attempt: u32) -> Action {
    Action::Start { id: id(child), attempt }
}

fn stop(child: u64) -> Action {
    Action::Stop { id: id(child) }
}

fn ended(child: u64, why: EndReason) -> Action {
    Action::Ended { id: id(child), why }
}

fn restarting(child: u64, delay: u64, attempt: u32) -> Action {
    Action::Restarting { id: id(child), delay: ms(delay), attempt }
}

fn done(why: DoneReason) -> Action {
    Action::Done { why }
}

/// A policy, a shell that does nothing by itself, and a clock that stands until it is moved.
struct Hand {
    policy: Policy,
    now: Instant,
}

impl Hand {
    /// Three restarts in 30 s; 50 ms, doubling, without jitter.
    fn new() -> Self {
        Self::with(Intensity::default(), Backoff::default().jitter(0.0))
    }

    fn with(intensity: Intensity, backoff: Backoff) -> Self {
        let config = Config { intensity, backoff, ..Config::default() };
        Self { policy: Policy::new(config), now: Instant::now() }
    }

    /// Permanent children 1 to `n`, all ready.
    fn running(n: u64) -> Self {
        let mut hand = Self::new();
        hand.all_ready((1..=n).map(|child| (id(child), PERMANENT)));
        hand
    }

    fn all_ready(&mut self, children: impl IntoIterator<Item = (ChildId, ChildPolicy)>) {
        self.policy.add_all(self.now, children).unwrap();
        while let Some(action) = self.policy.poll_action() {
            if let Action::Start { id, .. } = action {
                self.policy.handle_ready(self.now, id);
            }
        }
    }

    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.policy.handle_timeout(self.now);
        self.actions()
    }

    /// As long as the policy wants to wait.
    fn wait(&mut self) -> Vec<Action> {
        let due = self.policy.poll_timeout().expect("nothing to wait for");
        self.pass(due.saturating_duration_since(self.now))
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.policy.poll_action()).collect()
    }

    fn ready(&mut self, child: u64) -> Vec<Action> {
        self.policy.handle_ready(self.now, id(child));
        self.actions()
    }

    fn start_failed(&mut self, child: u64) -> Vec<Action> {
        self.policy.handle_start_failed(self.now, id(child));
        self.actions()
    }

    fn exited(&mut self, child: u64, ending: Ending) -> Vec<Action> {
        self.policy.handle_exited(self.now, id(child), ending);
        self.actions()
    }

    fn crashed(&mut self, child: u64) -> Vec<Action> {
        self.exited(child, Ending::Abnormal)
    }

    fn stopped(&mut self, child: u64) -> Vec<Action> {
        self.policy.handle_stopped(self.now, id(child));
        self.actions()
    }

    fn add(&mut self, child: u64, policy: ChildPolicy) -> Vec<Action> {
        self.policy.add(self.now, id(child), policy).unwrap();
        self.actions()
    }

    fn terminate(&mut self, child: u64) -> Vec<Action> {
        self.policy.terminate(self.now, id(child)).unwrap();
        self.actions()
    }

    fn restart(&mut self, child: u64) -> Vec<Action> {
        self.policy.restart(self.now, id(child)).unwrap();
        self.actions()
    }

    fn remove(&mut self, child: u64) -> Vec<Action> {
        self.policy.remove(self.now, id(child)).unwrap();
        self.actions()
    }

    fn shutdown(&mut self) -> Vec<Action> {
        self.policy.shutdown(self.now);
        self.actions()
    }
}
