use std::time::Duration;

use super::*;

mod claims;
mod deadlocks;
mod exhaustive;
mod model;
mod naive;
mod random;

const MS: Duration = Duration::from_millis(1);

/// A strand of an actor's incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Peer {
    actor: u32,
    strand: u32,
}

impl Who for Peer {
    fn root(self) -> Self {
        Self { strand: 0, ..self }
    }
}

type Deed = Action<Peer, u32, &'static str>;
type TestTable = Table<Peer, u32, &'static str>;

fn peer(actor: u32) -> Peer {
    Peer { actor, strand: 0 }
}

fn mutex() -> LockKind {
    LockKind::Mutex { data: "u32".to_owned() }
}

fn rwlock() -> LockKind {
    LockKind::RwLock { data: "u32".to_owned() }
}

fn semaphore(permits: u32) -> LockKind {
    LockKind::Semaphore { permits }
}

fn all() -> Terms {
    Terms { share: Share::All, lease: None, wait: true }
}

fn read() -> Terms {
    Terms { share: Share::Read, ..all() }
}

fn permits(units: u32) -> Terms {
    Terms { share: Share::Permits(units), ..all() }
}

/// A table whose clock is turned by hand.
struct World {
    table: TestTable,
    now: Instant,
    requests: u64,
}

impl World {
    fn new() -> Self {
        Self { table: Table::new(), now: Instant::now(), requests: 0 }
    }

    fn open(&mut self, name: &str, kind: LockKind) -> LockId {
        self.table.open(name, &kind, Some(0)).unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.table.handle_timeout(self.now);
    }

    fn number(&mut self) -> Request {
        self.requests += 1;
        Request(self.requests)
    }

    fn ask(&mut self, who: Peer, lock: LockId, terms: Terms) -> Request {
        let request = self.number();
        self.table.handle_acquire(self.now, who, request, lock, terms);
        request
    }

    fn ask_granted(&mut self, who: Peer, lock: LockId, terms: Terms) -> Token {
        let request = self.ask(who, lock, terms);
        self.granted(request).0
    }

    fn release(&mut self, who: Peer, token: Token) -> bool {
        self.table.handle_release(self.now, who, token, Release::Done, None)
    }

    fn down(&mut self, who: Peer) {
        self.table.handle_down(self.now, who, &"killed", true);
    }

    /// The answers since the last look, without what is told to others than those who asked.
    fn answers(&mut self) -> Vec<Deed> {
        std::iter::from_fn(|| self.table.poll_action())
            .filter(|deed| !matches!(deed, Action::Watch(_) | Action::Began { .. } | Action::Over { .. }))
            .collect()
    }

    /// The only answer since the last look: a grant.
    fn granted(&mut self, expected: Request) -> (Token, Option<u32>, Option<Poison<Peer, &'static str>>) {
        match self.answers().as_slice() {
            [Action::Granted { request, token, data, poison, .. }] if *request == expected => {
                (*token, *data, poison.clone())
            }
            other => panic!("no grant of {expected:?}: {other:?}"),
        }
    }

    fn refused(&mut self, expected: Request) -> Refusal<Peer, &'static str> {
        match self.answers().as_slice() {
            [Action::Refused { request, why }] if *request == expected => why.clone(),
            other => panic!("no refusal of {expected:?}: {other:?}"),
        }
    }

    fn assert_silent(&mut self) {
        assert_eq!(self.answers(), []);
    }
}
