//! Every order of a few events among few parties.

use super::naive::Naive;
use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Ask(u32, usize),
    /// Releases what it got first.
    Release(u32),
    Cancel(u32),
    Die(u32),
}

#[derive(Clone)]
struct State {
    table: TestTable,
    naive: Naive,
    requests: u64,
}

impl State {
    fn new(kinds: &[LockKind]) -> Self {
        let mut table = TestTable::new();
        for (at, kind) in kinds.iter().enumerate() {
            table.open(&at.to_string(), kind, Some(0)).unwrap();
        }
        Self { table, naive: Naive::new(kinds), requests: 0 }
    }

    /// Whether the event is possible.
    fn handle(&mut self, now: Instant, event: Event) -> bool {
        let waits = |state: &Self, who| state.naive.waits.iter().find(|wait| wait.who == who).map(|wait| wait.request);
        match event {
            Event::Ask(who, lock) => {
                if waits(self, peer(who)).is_some() {
                    return false;
                }
                self.requests += 1;
                let request = Request(self.requests);
                // The first party reads where it can.
                let terms = match self.naive.locks[lock].kind {
                    LockKind::RwLock { .. } if who > 0 => read(),
                    LockKind::Semaphore { .. } => permits(1 + who % 2),
                    _ => all(),
                };
                self.table.handle_acquire(now, peer(who), request, LockId(lock as u64), terms);
                self.naive.acquire(now, peer(who), request, lock, terms);
            }
            Event::Release(who) => {
                let hold = self.naive.holds.iter().find(|hold| hold.who == peer(who)).map(|hold| hold.token);
                let Some(token) = hold.filter(|_| waits(self, peer(who)).is_none()) else { return false };
                assert!(self.table.handle_release(now, peer(who), token, Release::Done, None));
                self.naive.end(now, token, None, None);
            }
            Event::Cancel(who) => {
                let Some(request) = waits(self, peer(who)) else { return false };
                self.table.handle_cancel(now, request);
                self.naive.withdraw(now, request);
            }
            Event::Die(who) => {
                self.table.handle_down(now, peer(who), &"down", true);
                self.naive.down(now, who, true);
            }
        }
        let deeds = std::iter::from_fn(|| self.table.poll_action());
        let deeds: Vec<Deed> = deeds.filter(|deed| !matches!(deed, Action::Watch(_))).collect();
        assert_eq!(deeds, std::mem::take(&mut self.naive.deeds));
        true
    }

    /// The scan refuses somebody if, and only if, somebody is stuck; then nobody is.
    fn scan(&self, now: Instant) -> usize {
        let mut state = self.clone();
        let stuck = state.naive.stuck(now, &[]);
        state.table.handle_scan(now, &[]);
        state.table.handle_scan(now, &[]);
        let mut victims = 0;
        while let Some(deed) = state.table.poll_action() {
            if let Action::Refused { request, .. } = deed {
                let at = state.naive.waits.iter().position(|wait| wait.request == request).unwrap();
                assert!(stuck.contains(&state.naive.waits[at].who));
                state.naive.withdraw(now, request);
                victims += 1;
            }
        }
        assert_eq!(victims > 0, !stuck.is_empty());
        assert_eq!(state.naive.stuck(now, &[]), []);
        victims
    }
}

fn explore(state: &State, now: Instant, events: &[Event], depth: usize, counts: &mut [usize; 2]) {
    counts[0] += 1;
    counts[1] += usize::from(state.scan(now) > 0);
    if depth == 0 {
        return;
    }
    for event in events {
        let mut next = state.clone();
        if next.handle(now, *event) {
            explore(&next, now, events, depth - 1, counts);
        }
    }
}

fn explore_all(kinds: &[LockKind], parties: u32, depth: usize) {
    let mut events = Vec::new();
    for who in 0..parties {
        events.extend((0..kinds.len()).map(|lock| Event::Ask(who, lock)));
        events.extend([Event::Release(who), Event::Cancel(who), Event::Die(who)]);
    }
    let mut counts = [0; 2];
    explore(&State::new(kinds), Instant::now(), &events, depth, &mut counts);
    println!("{kinds:?}, {parties} parties: {} states, {} with a deadlock", counts[0], counts[1]);
    assert!(counts[1] > 0);
}

#[test]
fn two_parties_and_two_mutexes_in_every_order() {
    explore_all(&[mutex(), mutex()], 2, 6);
}

#[test]
fn three_parties_with_readers_and_a_mutex_in_every_order() {
    explore_all(&[rwlock(), mutex()], 3, 5);
}

#[test]
fn three_parties_with_permits_and_a_mutex_in_every_order() {
    explore_all(&[semaphore(2), mutex()], 3, 5);
}
