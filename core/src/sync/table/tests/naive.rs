//! The reference: lists that are searched.

use super::*;

#[derive(Clone)]
pub(super) struct Naive {
    pub(super) locks: Vec<NaiveLock>,
    pub(super) holds: Vec<NaiveHold>,
    pub(super) waits: Vec<NaiveWait>,
    order: u64,
    tokens: u64,
    pub(super) deeds: Vec<Deed>,
}

#[derive(Clone)]
pub(super) struct NaiveLock {
    pub(super) kind: LockKind,
    pub(super) size: u32,
    is_set: bool,
    broken: Option<Breach<Peer, &'static str>>,
    members: Vec<Peer>,
    data: Option<u32>,
    poison: Option<Poison<Peer, &'static str>>,
}

#[derive(Clone)]
pub(super) struct NaiveHold {
    pub(super) token: Token,
    pub(super) lock: usize,
    pub(super) who: Peer,
    pub(super) units: u32,
    until: Option<Instant>,
    lease: Option<Duration>,
    told: Option<Poison<Peer, &'static str>>,
    woken: Option<ConditionId>,
}

#[derive(Clone)]
pub(super) struct NaiveWait {
    order: u64,
    pub(super) request: Request,
    pub(super) who: Peer,
    pub(super) lock: usize,
    pub(super) units: u32,
    lease: Option<Duration>,
    pub(super) at: At,
    woken: Option<ConditionId>,
}

impl Naive {
    pub(super) fn new(kinds: &[LockKind]) -> Self {
        let locks = kinds.iter().map(|kind| NaiveLock {
            kind: kind.clone(),
            size: match kind {
                LockKind::Mutex { .. } => 1,
                LockKind::RwLock { .. } => u32::MAX,
                LockKind::Semaphore { permits } => *permits,
                LockKind::Barrier { parties } => *parties,
                LockKind::Event => 0,
            },
            is_set: false,
            broken: None,
            members: Vec::new(),
            data: Some(0),
            poison: None,
        });
        let locks = locks.collect();
        Self { locks, holds: Vec::new(), waits: Vec::new(), order: 0, tokens: 0, deeds: Vec::new() }
    }

    pub(super) fn refuse(&mut self, request: Request, why: Refusal<Peer, &'static str>) {
        self.deeds.push(Action::Refused { request, why });
    }

    fn free(&self, lock: usize) -> u32 {
        self.locks[lock].size - self.holds.iter().filter(|hold| hold.lock == lock).map(|hold| hold.units).sum::<u32>()
    }

    fn first(&self, lock: usize, at: At) -> Option<usize> {
        let waits = self.waits.iter().enumerate().filter(|(_, wait)| wait.lock == lock && wait.at == at);
        waits.min_by_key(|(_, wait)| wait.order).map(|(place, _)| place)
    }

    pub(super) fn serve(&mut self, now: Instant, lock: usize) {
        while let Some(place) = self.first(lock, At::Line)
            && self.waits[place].units <= self.free(lock)
        {
            let wait = self.waits.remove(place);
            self.tokens += 1;
            let token = Token(self.tokens);
            let of = &mut self.locks[lock];
            let tells = !matches!(of.kind, LockKind::RwLock { .. }) || wait.units == of.size;
            let told = if tells { of.poison.take() } else { None };
            let data = of.data;
            self.holds.push(NaiveHold {
                token,
                lock,
                who: wait.who,
                units: wait.units,
                until: wait.lease.map(|lease| now + lease),
                lease: wait.lease,
                told: told.clone(),
                woken: wait.woken,
            });
            let id = LockId(lock as u64);
            self.deeds.push(Action::Began { lock: id, token });
            self.deeds.push(Action::Granted { request: wait.request, lock: id, token, data, poison: told });
        }
    }

    pub(super) fn advance(&mut self, now: Instant) {
        loop {
            let over =
                self.holds.iter().filter_map(|hold| Some((hold.until.filter(|until| *until <= now)?, hold.token)));
            let Some((_, token)) = over.min() else { break };
            let by = self.hold(token).unwrap().who;
            self.end(now, token, None, Some(Poison { by, how: How::Lapsed }));
        }
    }

    pub(super) fn hold(&self, token: Token) -> Option<&NaiveHold> {
        self.holds.iter().find(|hold| hold.token == token)
    }

    pub(super) fn own(&self, who: Peer, token: Token) -> bool {
        self.hold(token).is_some_and(|hold| hold.who.actor == who.actor)
    }

    pub(super) fn end(
        &mut self,
        now: Instant,
        token: Token,
        data: Option<u32>,
        poison: Option<Poison<Peer, &'static str>>,
    ) {
        let place = self.holds.iter().position(|hold| hold.token == token).unwrap();
        let hold = self.holds.remove(place);
        let lock = &mut self.locks[hold.lock];
        let alone = hold.units == lock.size;
        if poison.is_some() && (alone || !matches!(lock.kind, LockKind::RwLock { .. })) {
            lock.poison = poison;
        }
        if alone && data.is_some() {
            lock.data = data;
        }
        self.deeds.push(Action::Over { lock: LockId(hold.lock as u64), token });
        self.serve(now, hold.lock);
    }

    pub(super) fn acquire(&mut self, now: Instant, who: Peer, request: Request, lock: usize, terms: Terms) {
        let NaiveLock { kind, size, .. } = &self.locks[lock];
        let units = match (kind, terms.share) {
            (LockKind::Mutex { .. } | LockKind::RwLock { .. }, Share::All) => *size,
            (LockKind::RwLock { .. }, Share::Read) => 1,
            (LockKind::Semaphore { .. }, Share::Permits(units)) => units,
            _ => return self.refuse_kind(request, lock),
        };
        if units == 0 || units > *size {
            let of = *size;
            return self.refuse(request, Refusal::NeverFits { asked: units, of });
        }
        if !terms.wait && (self.first(lock, At::Line).is_some() || self.free(lock) < units) {
            return self.refuse(request, Refusal::WouldBlock);
        }
        self.order += 1;
        let (order, at) = (self.order, At::Line);
        self.waits.push(NaiveWait { order, request, who, lock, units, lease: terms.lease, at, woken: None });
        self.serve(now, lock);
    }

    pub(super) fn refuse_kind(&mut self, request: Request, lock: usize) {
        let (name, kind) = (lock.to_string().into(), self.locks[lock].kind.clone());
        self.refuse(request, Refusal::OtherKind { name, kind });
    }

    pub(super) fn give_back(&mut self, now: Instant, token: Token) {
        if let Some(hold) = self.hold(token).cloned() {
            self.end(now, token, None, hold.told);
            if let Some(condition) = hold.woken {
                self.notify(now, hold.lock, condition, false);
            }
        }
    }

    pub(super) fn renew(&mut self, now: Instant, token: Token, lease: Option<Duration>) {
        let hold = self.holds.iter_mut().find(|hold| hold.token == token).unwrap();
        hold.lease = lease;
        hold.until = lease.map(|lease| now + lease);
    }

    pub(super) fn withdraw(&mut self, now: Instant, request: Request) {
        if let Some(place) = self.waits.iter().position(|wait| wait.request == request) {
            let wait = self.waits.remove(place);
            self.fill(now, &wait, Breach::Left(wait.who));
        }
    }

    fn fill(&mut self, now: Instant, gone: &NaiveWait, breach: Breach<Peer, &'static str>) {
        match gone.at {
            At::Line => {
                self.serve(now, gone.lock);
                if let Some(condition) = gone.woken {
                    self.notify(now, gone.lock, condition, false);
                }
            }
            At::Barrier => self.break_barrier(gone.lock, breach),
            At::Condition(_) | At::Event => {}
        }
    }

    fn break_barrier(&mut self, lock: usize, breach: Breach<Peer, &'static str>) {
        self.locks[lock].broken.get_or_insert(breach.clone());
        self.send_home(lock, breach);
    }

    fn send_home(&mut self, lock: usize, breach: Breach<Peer, &'static str>) {
        while let Some(place) = self.first(lock, At::Barrier) {
            let wait = self.waits.remove(place);
            self.refuse(wait.request, Refusal::Broken(breach.clone()));
        }
    }

    pub(super) fn down(&mut self, now: Instant, actor: u32, abruptly: bool) {
        let (mut dead, rest): (Vec<_>, Vec<_>) = self.waits.drain(..).partition(|wait| wait.who.actor == actor);
        dead.sort_by_key(|wait| (wait.who, wait.request));
        self.waits = rest;
        let mut held: Vec<_> =
            self.holds.iter().filter(|hold| hold.who.actor == actor).map(|hold| (hold.who, hold.token)).collect();
        held.sort();
        for wait in &dead {
            self.fill(now, wait, Breach::Ended(wait.who, "down"));
        }
        for (by, token) in held {
            self.end(now, token, None, Some(Poison { by, how: How::Ended("down") }));
        }
        for lock in 0..self.locks.len() {
            let of = &mut self.locks[lock];
            let member = of.members.contains(&peer(actor));
            of.members.retain(|other| *other != peer(actor));
            if member && abruptly && of.broken.is_none() {
                self.break_barrier(lock, Breach::Ended(peer(actor), "down"));
            }
        }
    }

    pub(super) fn wait(&mut self, now: Instant, who: Peer, request: Request, token: Token, condition: ConditionId) {
        let hold = self.hold(token).cloned().unwrap();
        self.order += 1;
        self.waits.push(NaiveWait {
            order: self.order,
            request,
            who,
            lock: hold.lock,
            units: hold.units,
            lease: hold.lease,
            at: At::Condition(condition),
            woken: None,
        });
        self.end(now, token, None, None);
    }

    pub(super) fn notify(&mut self, now: Instant, lock: usize, condition: ConditionId, everybody: bool) {
        while let Some(place) = self.first(lock, At::Condition(condition)) {
            self.order += 1;
            let wait = &mut self.waits[place];
            wait.at = At::Line;
            wait.order = self.order;
            wait.woken = (!everybody).then_some(condition);
            if !everybody {
                break;
            }
        }
        self.serve(now, lock);
    }

    pub(super) fn guest(&mut self, who: Peer, request: Request, lock: usize, at: At) {
        self.order += 1;
        let order = self.order;
        self.waits.push(NaiveWait { order, request, who, lock, units: 0, lease: None, at, woken: None });
    }

    pub(super) fn event_wait(&mut self, who: Peer, request: Request, lock: usize) {
        if self.locks[lock].is_set {
            self.deeds.push(Action::Opened { request });
        } else {
            self.guest(who, request, lock, At::Event);
        }
    }

    pub(super) fn event_set(&mut self, lock: usize, set: bool) {
        self.locks[lock].is_set = set;
        while set && let Some(place) = self.first(lock, At::Event) {
            let request = self.waits.remove(place).request;
            self.deeds.push(Action::Opened { request });
        }
    }

    pub(super) fn barrier_wait(&mut self, who: Peer, request: Request, lock: usize) {
        if let Some(breach) = self.locks[lock].broken.clone() {
            return self.refuse(request, Refusal::Broken(breach));
        }
        if !self.locks[lock].members.contains(&who.root()) {
            self.locks[lock].members.push(who.root());
        }
        self.guest(who, request, lock, At::Barrier);
        let come = self.waits.iter().filter(|wait| wait.lock == lock && wait.at == At::Barrier).count();
        if come as u32 == self.locks[lock].size {
            let mut before = 0;
            while let Some(place) = self.first(lock, At::Barrier) {
                let request = self.waits.remove(place).request;
                self.deeds.push(Action::Passed { request, before });
                before += 1;
            }
        }
    }

    pub(super) fn barrier_reset(&mut self, lock: usize) {
        self.locks[lock].broken = None;
        self.locks[lock].members.clear();
        self.send_home(lock, Breach::Reset);
    }

    /// Who can never go on: who still waits after everybody who can go on has gone, and has released all.
    pub(super) fn stuck(&self, now: Instant, calls: &[CallEdge<Peer>]) -> Vec<Peer> {
        let (mut world, mut calls) = (self.clone(), calls.to_vec());
        loop {
            let mut parties: Vec<Peer> = world.waits.iter().map(|wait| wait.who).collect();
            parties.extend(calls.iter().flat_map(|call| [call.from, call.to]));
            parties.extend(world.holds.iter().map(|hold| hold.who));
            parties.sort();
            parties.dedup();
            let before = (world.waits.len(), world.holds.len(), calls.len());
            for who in parties {
                world.go_on(now, who, &mut calls);
            }
            if before == (world.waits.len(), world.holds.len(), calls.len()) {
                let mut stuck: Vec<Peer> = world.waits.iter().map(|wait| wait.who).collect();
                stuck.extend(calls.iter().map(|call| call.from));
                stuck.sort();
                stuck.dedup();
                return stuck;
            }
        }
    }

    /// Whatever this party may do by itself.
    fn go_on(&mut self, now: Instant, who: Peer, calls: &mut Vec<CallEdge<Peer>>) {
        let own: Vec<&NaiveWait> = self.waits.iter().filter(|wait| wait.who == who).collect();
        let called = calls.iter().any(|call| call.from == who);
        let free = (own.is_empty() && !called) || own.iter().any(|wait| wait.at != At::Line);
        if free {
            self.waits.retain(|wait| wait.who != who);
            // Who called it is answered, and so is free as well.
            let answered: Vec<Peer> = calls.iter().filter(|call| call.to == who).map(|call| call.from).collect();
            calls.retain(|call| call.from != who && !answered.contains(&call.from));
            self.waits.retain(|wait| !answered.contains(&wait.who));
        }
        let only: Vec<usize> = if called { Vec::new() } else { own_locks(&self.waits, who) };
        let given = |hold: &NaiveHold| {
            let permits = matches!(self.locks[hold.lock].kind, LockKind::Semaphore { .. });
            hold.who == who && (free || (permits && only == [hold.lock]))
        };
        let rest = self.holds.iter().filter(|hold| !given(hold)).cloned().collect();
        self.holds = rest;
        for lock in 0..self.locks.len() {
            let before: Vec<Peer> = self.holds.iter().map(|hold| hold.who).collect();
            self.serve(now, lock);
            for hold in self.holds.split_off(before.len()) {
                // Whoever is granted one of its wishes goes on, and releases it.
                self.waits.retain(|wait| wait.who != hold.who);
                calls.retain(|call| call.from != hold.who);
            }
        }
    }
}

fn own_locks(waits: &[NaiveWait], who: Peer) -> Vec<usize> {
    let mut locks: Vec<usize> = waits.iter().filter(|wait| wait.who == who).map(|wait| wait.lock).collect();
    locks.dedup();
    locks
}
