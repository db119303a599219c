//! Random lives of a table beside the reference.

use super::naive::{Naive, NaiveHold};
use super::*;

/// What may happen, as bytes; each is read as something that is possible now.
pub(super) type Event = [u8; 4];

const LOCKS: usize = 5;
const SEMAPHORE: usize = 4;
const CONDITIONS: [(usize, u64); 2] = [(0, 1), (0, 2)];

pub(super) struct Life {
    now: Instant,
    table: TestTable,
    naive: Naive,
    next_actor: u32,
    actors: Vec<u32>,
    requests: u64,
    /// Those without an answer.
    open: Vec<Request>,
    last_token: Token,
    calls: Vec<CallEdge<Peer>>,
    next_call: u64,
    /// Nothing but locks that are waited for: these lives have most of the deadlocks.
    plain: bool,
    pub(super) seen: Seen,
}

/// What the lives have been through.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) grants: u64,
    pub(super) deadlocks: u64,
    pub(super) broken: u64,
    pub(super) poisoned: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.grants += other.grants;
        self.deadlocks += other.deadlocks;
        self.broken += other.broken;
        self.poisoned += other.poisoned;
    }
}

fn kinds() -> Vec<LockKind> {
    vec![mutex(), mutex(), mutex(), rwlock(), semaphore(3), LockKind::Event, LockKind::Barrier { parties: 3 }]
}

impl Life {
    pub(super) fn new(now: Instant, plain: bool) -> Self {
        let mut table = TestTable::new();
        for (at, kind) in kinds().iter().enumerate() {
            assert_eq!(table.open(&at.to_string(), kind, Some(0)), Ok(LockId(at as u64)));
        }
        for (mutex, number) in CONDITIONS {
            assert_eq!(table.condition(LockId(mutex as u64)), Ok(ConditionId(number)));
        }
        Self {
            now,
            table,
            naive: Naive::new(&kinds()),
            next_actor: 4,
            actors: vec![0, 1, 2, 3],
            requests: 0,
            open: Vec::new(),
            last_token: Token(0),
            calls: Vec::new(),
            next_call: 0,
            plain,
            seen: Seen::default(),
        }
    }

    fn request(&mut self) -> Request {
        self.requests += 1;
        self.open.push(Request(self.requests));
        Request(self.requests)
    }

    pub(super) fn handle(&mut self, [what, who, which, how]: Event) {
        let now = self.now;
        let (what, how) = match what % 64 {
            0..40 if self.plain => (0, how | 0b0010_1000),
            40..50 if self.plain => (24, how),
            other => (other, how),
        };
        let who = Peer { actor: self.actors[usize::from(who) % self.actors.len()], strand: u32::from(who) / 128 };
        let hold = match self.naive.holds.len() {
            0 => None,
            count => self.naive.holds.get(usize::from(which) % count).cloned(),
        };
        self.naive.advance(now);
        match what {
            0..24 => self.acquire(who, usize::from(which) % 6, how),
            24..36 => {
                let Some(hold) = hold else { return };
                let who = if how & 7 == 0 { who } else { Peer { strand: 77, ..hold.who } };
                let mode = if how & 7 == 1 { Release::Panicked } else { Release::Done };
                let data = (how > 100).then(|| u32::from(how));
                let own = self.naive.own(who, hold.token);
                assert_eq!(self.table.handle_release(now, who, hold.token, mode, data), own);
                if own && mode == Release::Panicked {
                    self.naive.end(now, hold.token, None, Some(Poison { by: who, how: How::Panicked }));
                } else if own {
                    self.naive.end(now, hold.token, data, None);
                }
            }
            36..38 => {
                let Some(hold) = hold else { return };
                self.table.handle_return(now, hold.token);
                self.naive.give_back(now, hold.token);
            }
            38 => {
                let Some(hold) = hold else { return };
                let lease = (how & 1 == 0).then(|| u32::from(how) * MS / 8);
                let own = self.naive.own(who, hold.token);
                assert_eq!(self.table.handle_renew(now, who, hold.token, lease), own);
                if own {
                    self.naive.renew(now, hold.token, lease);
                }
            }
            39..43 => {
                if self.naive.waits.is_empty() {
                    return;
                }
                let wait = self.naive.waits[usize::from(which) % self.naive.waits.len()].clone();
                self.open.retain(|request| *request != wait.request);
                self.table.handle_cancel(now, wait.request);
                self.naive.withdraw(now, wait.request);
            }
            43..46 => self.down(who.actor, how & 3 != 0),
            46..49 => {
                let Some(hold) = hold.filter(|hold| hold.lock == 0) else { return };
                let request = self.request();
                let condition = ConditionId(CONDITIONS[usize::from(how) % 2].1);
                let place = (LockId(0), condition);
                self.table.handle_wait(now, hold.who, request, place, hold.token, None);
                if self.naive.own(hold.who, hold.token) {
                    self.naive.wait(now, hold.who, request, hold.token, condition);
                } else {
                    self.naive.refuse(request, Refusal::Stale);
                }
            }
            49..52 => {
                let (mutex, condition) = CONDITIONS[usize::from(which) % 2];
                let all = how < 85;
                self.table.handle_notify(now, LockId(mutex as u64), ConditionId(condition), all).unwrap();
                self.naive.notify(now, mutex, ConditionId(condition), all);
            }
            52 => {
                let set = how & 1 == 0;
                self.table.handle_event_set(self.now, LockId(5), set).unwrap();
                self.naive.event_set(5, set);
            }
            53 => {
                let request = self.request();
                self.table.handle_event_wait(now, who, request, LockId(5));
                self.naive.event_wait(who, request, 5);
            }
            54..56 => {
                let request = self.request();
                self.table.handle_barrier_wait(now, who, request, LockId(6));
                self.naive.barrier_wait(who, request, 6);
            }
            56 => {
                self.table.handle_barrier_reset(self.now, LockId(6)).unwrap();
                self.naive.barrier_reset(6);
            }
            57..59 => self.call(who.actor, how),
            59..62 => {
                self.now += u32::from(how) * MS / 8;
                self.naive.advance(self.now);
                self.table.handle_timeout(self.now);
            }
            _ => self.scan(),
        }
        self.check();
    }

    fn acquire(&mut self, who: Peer, lock: usize, how: u8) {
        let share = match lock {
            3 if how & 3 > 0 => Share::Read,
            4 => Share::Permits(u32::from(how % 8)),
            _ => Share::All,
        };
        let lease = (how & 0b1_1000 == 0).then(|| u32::from(how) * MS / 4);
        let terms = Terms { share, lease, wait: how & 0b110_0000 != 0 };
        let request = self.request();
        self.table.handle_acquire(self.now, who, request, LockId(lock as u64), terms);
        if lock == 5 {
            self.naive.refuse_kind(request, lock);
        } else {
            self.naive.acquire(self.now, who, request, lock, terms);
        }
    }

    /// All strands of an incarnation end; another one follows.
    fn down(&mut self, actor: u32, abruptly: bool) {
        let dead: Vec<Request> =
            self.naive.waits.iter().filter(|wait| wait.who.actor == actor).map(|wait| wait.request).collect();
        self.open.retain(|request| !dead.contains(request));
        self.table.handle_down(self.now, peer(actor), &"down", abruptly);
        self.naive.down(self.now, actor, abruptly);
        self.calls.retain(|call| call.from.actor != actor && call.to.actor != actor);
        self.actors.retain(|other| *other != actor);
        self.actors.push(self.next_actor);
        self.next_actor += 1;
    }

    /// A call begins or ends; rings of calls are not this table's.
    fn call(&mut self, from: u32, how: u8) {
        self.table.handle_timeout(self.now);
        if how < 85 && !self.calls.is_empty() {
            self.calls.remove(usize::from(how) % self.calls.len());
            return;
        }
        let to = self.actors[usize::from(how) % self.actors.len()];
        if from < to {
            self.next_call += 1;
            let method = "f".into();
            self.calls.push(CallEdge { number: self.next_call, from: peer(from), to: peer(to), method });
        }
    }

    fn scan(&mut self) {
        self.naive.advance(self.now);
        self.table.handle_scan(self.now, &self.calls);
        let deeds = self.deeds();
        for deed in &deeds {
            if let Action::Refused { request, why: Refusal::Deadlock(cycle) } = deed {
                self.seen.deadlocks += 1;
                self.assert_true_cycle(*request, cycle);
                self.naive.withdraw(self.now, *request);
                self.naive.refuse(*request, Refusal::Deadlock(cycle.clone()));
            }
        }
        self.compare(&deeds);
    }

    /// 0 false: all of the cycle are stuck, and each waits for what the next one has.
    fn assert_true_cycle(&self, victim: Request, cycle: &[Step<Peer>]) {
        let stuck = self.naive.stuck(self.now, &self.calls);
        let wait = self.naive.waits.iter().find(|wait| wait.request == victim).expect("waits");
        assert_eq!(wait.who, cycle[0].who);
        for (at, step) in cycle.iter().enumerate() {
            assert!(stuck.contains(&step.who), "{step:?} is not stuck: {stuck:?}");
            assert_eq!(step.of, cycle[(at + 1) % cycle.len()].who);
            match &step.wants {
                Want::Lock(name) => {
                    let lock: usize = name.parse().unwrap();
                    assert!(
                        self.naive
                            .waits
                            .iter()
                            .any(|wait| (wait.who, wait.lock, wait.at) == (step.who, lock, At::Line))
                    );
                    assert!(self.naive.holds.iter().any(|hold| (hold.who, hold.lock) == (step.of, lock)));
                }
                Want::Answer(_) => assert!(self.calls.iter().any(|call| (call.from, call.to) == (step.who, step.of))),
            }
        }
    }

    /// What the table wants; that it watches whom it has to is seen at its end.
    fn deeds(&mut self) -> Vec<Deed> {
        let deeds = std::iter::from_fn(|| self.table.poll_action());
        deeds.filter(|deed| !matches!(deed, Action::Watch(_))).collect()
    }

    fn check(&mut self) {
        let deeds = self.deeds();
        self.compare(&deeds);
        // 0 double grants.
        for (lock, of) in self.naive.locks.iter().enumerate().take(LOCKS) {
            let units: u64 =
                self.naive.holds.iter().filter(|hold| hold.lock == lock).map(|hold| u64::from(hold.units)).sum();
            assert!(units <= u64::from(of.size));
        }
    }

    fn compare(&mut self, deeds: &[Deed]) {
        assert_eq!(deeds, std::mem::take(&mut self.naive.deeds));
        for deed in deeds {
            let answered = match deed {
                Action::Granted { request, token, poison, .. } => {
                    assert!(*token > self.last_token, "tokens grow");
                    self.last_token = *token;
                    self.seen.grants += 1;
                    self.seen.poisoned += u64::from(poison.is_some());
                    *request
                }
                Action::Refused { request, why } => {
                    self.seen.broken += u64::from(matches!(why, Refusal::Broken(_)));
                    *request
                }
                Action::Opened { request } | Action::Passed { request, .. } => *request,
                Action::Watch(_) | Action::Began { .. } | Action::Over { .. } => continue,
            };
            let place = self.open.iter().position(|request| *request == answered).expect("answered once");
            self.open.swap_remove(place);
        }
    }

    /// 0 stuck: after two scans nobody waits who could never go on, and when all have gone nothing is left.
    pub(super) fn finish(mut self) -> Seen {
        self.scan();
        self.scan();
        assert!(self.naive.waits.is_empty() || self.naive.stuck(self.now, &self.calls).is_empty());
        self.calls.clear();
        self.table.handle_event_set(self.now, LockId(5), true).unwrap();
        self.naive.event_set(5, true);
        self.table.handle_barrier_reset(self.now, LockId(6)).unwrap();
        self.naive.barrier_reset(6);
        for (mutex, condition) in CONDITIONS {
            self.table.handle_notify(self.now, LockId(mutex as u64), ConditionId(condition), true).unwrap();
            self.naive.notify(self.now, mutex, ConditionId(condition), true);
        }
        self.check();
        // Every holder that waits for nothing else releases.
        while let Some(hold) = self.naive.holds.iter().find(|hold| !self.waits_elsewhere(hold)).cloned() {
            assert!(self.table.handle_release(self.now, hold.who, hold.token, Release::Done, None));
            self.naive.end(self.now, hold.token, None, None);
            self.check();
        }
        if !self.open.is_empty() {
            // New rings by what has just been notified.
            self.scan();
            self.scan();
            return self.finish();
        }
        assert!(self.table.parties.values().all(|of| of.grants.is_empty() && of.requests.is_empty()));
        assert!(self.table.requests.is_empty() && self.table.grants.is_empty() && self.table.leases.is_empty());
        assert_eq!((self.table.lined, self.naive.holds.len()), (0, 0));
        self.seen
    }

    /// Permits are released by others too.
    fn waits_elsewhere(&self, hold: &NaiveHold) -> bool {
        self.naive.waits.iter().any(|wait| wait.who == hold.who && (wait.lock != SEMAPHORE || hold.lock != SEMAPHORE))
    }
}
