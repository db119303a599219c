//! The lock table: who holds which lock, and who is next.

mod action;
mod barrier;
mod deadlock;
mod event;
mod lock;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use action::{
    Action, Breach, ConditionId, How, LockId, Poison, Refusal, Release, Request, Share, Terms, Token, Who,
};
use barrier::Barrier;
pub(crate) use deadlock::{CallEdge, Step, Want};
use event::Event;
use lock::{Lock, Wait};
pub(crate) use snapshot::{Sight, State};

use super::kind::LockKind;
use crate::router::OwnMap;

/// How many locks a table may have: a name is kept for as long as the table is.
const LOCKS_LIMIT: usize = 100_000;
/// How long after a wait has begun, and then how often, deadlocks are looked for.
const SCAN: Duration = Duration::from_millis(25);
/// How long after it was first seen a deadlock has to be seen again.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// All locks of a supervisor. `P` is a party, `D` the data of a lock, `E` how a party ended.
///
/// Every request that waits ends exactly once, by an [`Action`] that names it, unless [`handle_cancel`](Self::handle_cancel)
/// takes it back. A grant lasts until it is released, its holder ends, or its lease is over, and never overlaps with
/// another that it excludes. Tokens grow with every grant of any lock.
///
/// **What the shell owes.** It performs all actions after every event, in order; tells once, by
/// [`handle_down`](Self::handle_down), of the end of each party that it was to watch; numbers requests uniquely; and gives
/// a grant that did not reach its holder back by [`handle_return`](Self::handle_return).
#[derive(Clone, Debug)]
pub(crate) struct Table<P, D, E> {
    names: HashMap<Arc<str>, LockId>,
    locks: Vec<Entry<P, D, E>>,
    parties: BTreeMap<P, Belongings>,
    requests: OwnMap<Request, Place<P>>,
    grants: OwnMap<Token, LockId>,
    leases: BTreeSet<(Instant, Token)>,
    tokens: u64,
    /// Of all that ever waited: a larger number is a younger wait.
    order: u64,
    conditions: u64,
    /// How many wait in the line of a lock.
    lined: usize,
    scan_at: Option<Instant>,
    /// What was stuck at the last scan.
    suspects: BTreeSet<deadlock::Wish>,
    actions: VecDeque<Action<P, D, E>>,
}

/// A name and what it stands for.
#[derive(Clone, Debug)]
struct Entry<P, D, E> {
    name: Arc<str>,
    kind: LockKind,
    is: Is<P, D, E>,
}

#[derive(Clone, Debug)]
enum Is<P, D, E> {
    Lock(Lock<P, D, E>),
    Event(Event<P>),
    Barrier(Barrier<P, E>),
}

/// What ends with a party.
#[derive(Clone, Debug, Default)]
struct Belongings {
    grants: BTreeSet<Token>,
    requests: BTreeSet<Request>,
    barriers: BTreeSet<LockId>,
}

impl Belongings {
    fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.requests.is_empty() && self.barriers.is_empty()
    }
}

/// Where a request waits.
#[derive(Clone, Copy, Debug)]
struct Place<P> {
    lock: LockId,
    who: P,
    order: u64,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Line,
    Condition(ConditionId),
    Event,
    Barrier,
}

impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    pub(crate) fn new() -> Self {
        Self {
            names: HashMap::new(),
            locks: Vec::new(),
            parties: BTreeMap::new(),
            requests: OwnMap::default(),
            grants: OwnMap::default(),
            leases: BTreeSet::new(),
            tokens: 0,
            order: 0,
            conditions: 0,
            lined: 0,
            scan_at: None,
            suspects: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// The lock of this name, made with this data where there is none yet.
    pub(crate) fn open(&mut self, name: &str, kind: &LockKind, data: Option<D>) -> Result<LockId, Refusal<P, E>> {
        if let Some(&id) = self.names.get(name) {
            let entry = self.entry(id)?;
            return if entry.kind == *kind { Ok(id) } else { Err(entry.other_kind()) };
        }
        if self.locks.len() >= LOCKS_LIMIT {
            return Err(Refusal::TooMany);
        }
        let is = match kind {
            LockKind::Event => Is::Event(Event::new()),
            LockKind::Barrier { parties: 0 } | LockKind::Semaphore { permits: 0 } => {
                return Err(Refusal::NeverFits { asked: 0, of: 0 });
            }
            LockKind::Barrier { parties } => Is::Barrier(Barrier::new(*parties)),
            LockKind::Mutex { .. } | LockKind::RwLock { .. } | LockKind::Semaphore { .. } => {
                Is::Lock(Lock::new(kind, data).ok_or(Refusal::NoSuchLock)?)
            }
        };
        let id = LockId(self.locks.len() as u64);
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), id);
        self.locks.push(Entry { name, kind: kind.clone(), is });
        Ok(id)
    }

    /// A condition of this mutex.
    pub(crate) fn condition(&mut self, mutex: LockId) -> Result<ConditionId, Refusal<P, E>> {
        self.mutex(mutex)?;
        self.conditions += 1;
        Ok(ConditionId(self.conditions))
    }

    /// Somebody asks for a lock. The answer comes with the request's number.
    pub(crate) fn handle_acquire(&mut self, now: Instant, who: P, request: Request, id: LockId, terms: Terms) {
        self.advance(now);
        let lock = match self.lock(id) {
            Ok(lock) => lock,
            Err(why) => return self.refuse(request, why),
        };
        let Some(units) = lock.units(terms.share) else {
            return self.refuse_kind(request, id);
        };
        if units == 0 || units > lock.size() {
            let of = lock.size();
            return self.refuse(request, Refusal::NeverFits { asked: units, of });
        }
        if !terms.wait && !lock.is_open(units) {
            return self.refuse(request, Refusal::WouldBlock);
        }
        self.meet(who);
        self.line_up(id, Wait { request, who, units, lease: terms.lease, since: now, woken: None });
        self.serve(now, id);
    }

    /// A holder releases its grant, with the data as it is now if it was changed. False where the token is not its own
    /// any more: then nothing happens.
    pub(crate) fn handle_release(&mut self, now: Instant, who: P, token: Token, how: Release, data: Option<D>) -> bool {
        self.advance(now);
        let Some(id) = self.held_by(who, token) else {
            return false;
        };
        let poison = match how {
            Release::Done => None,
            Release::Panicked => Some(Poison { by: who, how: How::Panicked }),
            Release::Unsaved => Some(Poison { by: who, how: How::Unsaved }),
        };
        // What a panic has interrupted is half done.
        let data = data.filter(|_| how == Release::Done);
        self.release(now, id, token, data, poison);
        true
    }

    /// Whether this is a grant that `who` holds, or one that lives with it.
    pub(crate) fn is_held_by(&mut self, now: Instant, who: P, token: Token) -> bool {
        self.advance(now);
        self.held_by(who, token).is_some()
    }

    /// A grant never reached its holder: it was not used, and the next one is told what this one was.
    pub(crate) fn handle_return(&mut self, now: Instant, token: Token) {
        self.advance(now);
        let Some(&id) = self.grants.get(&token) else {
            return;
        };
        if let Ok(lock) = self.lock(id)
            && let Some(hold) = lock.holds.get_mut(token)
        {
            let (told, woken) = (hold.told.take(), hold.woken.take());
            self.release(now, id, token, None, told);
            self.wake_another(now, id, woken);
        }
    }

    /// A holder wants its grant to last so long from now on, or without an end. False where it is over.
    pub(crate) fn handle_renew(&mut self, now: Instant, who: P, token: Token, lease: Option<Duration>) -> bool {
        self.advance(now);
        let Some(id) = self.held_by(who, token) else {
            return false;
        };
        let until = lease.and_then(|lease| now.checked_add(lease));
        if let Ok(lock) = self.lock(id)
            && let Some(hold) = lock.holds.get_mut(token)
        {
            hold.lease = lease;
            if let Some(before) = std::mem::replace(&mut hold.until, until) {
                self.leases.remove(&(before, token));
            }
        }
        self.leases.extend(until.map(|until| (until, token)));
        true
    }

    /// Whether the grant lasts.
    pub(crate) fn is_valid(&mut self, now: Instant, lock: LockId, token: Token) -> bool {
        self.advance(now);
        self.grants.get(&token) == Some(&lock)
    }

    /// Nobody awaits the request any more.
    pub(crate) fn handle_cancel(&mut self, now: Instant, request: Request) {
        self.advance(now);
        self.withdraw(now, request);
    }

    /// A party has ended, and all that lived with it: what they held is free, what they waited for goes to others.
    /// `abruptly` if nobody wanted the end.
    pub(crate) fn handle_down(&mut self, now: Instant, who: P, end: &E, abruptly: bool) {
        self.advance(now);
        let root = who.root();
        let dead: Vec<P> = self.parties.keys().filter(|party| party.root() == root).copied().collect();
        let belongings: Vec<_> = dead.iter().filter_map(|party| self.parties.remove(party)).collect();
        // First the waits, all of them, so that nothing is granted to the dead.
        let requests = belongings.iter().flat_map(|of| &of.requests);
        let places: Vec<_> = requests.filter_map(|request| self.take_out(*request)).collect();
        let waited_at: BTreeSet<LockId> =
            places.iter().filter(|(place, _)| place.at == At::Barrier).map(|(place, _)| place.lock).collect();
        for (place, woken) in places {
            self.fill(now, place, woken, &Breach::Ended(place.who, end.clone()));
        }
        for token in belongings.iter().flat_map(|of| &of.grants) {
            let Some(&id) = self.grants.get(token) else { continue };
            let by = self.lock(id).ok().and_then(|lock| lock.holds.get(*token)).map_or(root, |hold| hold.who);
            self.release(now, id, *token, None, Some(Poison { by, how: How::Ended(end.clone()) }));
        }
        for id in belongings.into_iter().flat_map(|of| of.barriers) {
            if let Some(Entry { is: Is::Barrier(barrier), .. }) = self.locks.get_mut(id.0 as usize)
                && barrier.misses(root, waited_at.contains(&id), abruptly)
            {
                self.break_barrier(id, &Breach::Ended(root, end.clone()));
            }
        }
    }

    /// Those that hold or wait for something.
    pub(crate) fn parties(&self) -> impl Iterator<Item = P> {
        self.parties.keys().copied()
    }

    /// Time has passed: leases may be over.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.leases.first().map(|(until, _)| *until)
    }

    /// When [`handle_scan`](Self::handle_scan) is due.
    pub(crate) fn poll_scan(&self) -> Option<Instant> {
        self.scan_at
    }

    /// What is to be done next.
    pub(crate) fn poll_action(&mut self) -> Option<Action<P, D, E>> {
        self.actions.pop_front()
    }

    /// Releases the mutex and waits for a notification; the answer is the next grant of the mutex.
    pub(crate) fn handle_wait(
        &mut self,
        now: Instant,
        who: P,
        request: Request,
        (mutex, condition): (LockId, ConditionId),
        token: Token,
        data: Option<D>,
    ) {
        self.advance(now);
        if let Err(why) = self.mutex(mutex) {
            return self.refuse(request, why);
        }
        if self.held_by(who, token) != Some(mutex) {
            return self.refuse(request, Refusal::Stale);
        }
        let order = self.next_order();
        let Ok(lock) = self.lock(mutex) else { return };
        let Some(hold) = lock.holds.get(token) else { return };
        let wait = Wait { request, who, units: hold.units, lease: hold.lease, since: now, woken: None };
        lock.conditions.entry(condition).or_default().insert(order, wait);
        self.meet(who);
        self.place(request, Place { lock: mutex, who, order, at: At::Condition(condition) });
        self.release(now, mutex, token, data, None);
    }

    /// Moves one that waits for the condition, or all, to the mutex: how many.
    pub(crate) fn handle_notify(
        &mut self,
        now: Instant,
        mutex: LockId,
        condition: ConditionId,
        all: bool,
    ) -> Result<usize, Refusal<P, E>> {
        self.advance(now);
        self.mutex(mutex)?;
        Ok(self.notify(now, mutex, condition, all))
    }
}

impl<P, D, E> Entry<P, D, E> {
    fn other_kind(&self) -> Refusal<P, E> {
        Refusal::OtherKind { name: self.name.clone(), kind: self.kind.clone() }
    }
}

// What the events above are made of.
impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    /// Takes grants back whose lease is over.
    fn advance(&mut self, now: Instant) {
        while let Some(&(until, token)) = self.leases.first().filter(|(until, _)| *until <= now) {
            self.leases.remove(&(until, token));
            let Some(&id) = self.grants.get(&token) else { continue };
            let holder = self.lock(id).ok().and_then(|lock| lock.holds.get(token)).map(|hold| hold.who);
            self.release(now, id, token, None, holder.map(|by| Poison { by, how: How::Lapsed }));
        }
    }

    fn entry(&mut self, id: LockId) -> Result<&mut Entry<P, D, E>, Refusal<P, E>> {
        usize::try_from(id.0).ok().and_then(|at| self.locks.get_mut(at)).ok_or(Refusal::NoSuchLock)
    }

    fn lock(&mut self, id: LockId) -> Result<&mut Lock<P, D, E>, Refusal<P, E>> {
        match self.entry(id)? {
            Entry { is: Is::Lock(lock), .. } => Ok(lock),
            entry => Err(entry.other_kind()),
        }
    }

    fn mutex(&mut self, id: LockId) -> Result<(), Refusal<P, E>> {
        match self.entry(id)? {
            Entry { kind: LockKind::Mutex { .. }, .. } => Ok(()),
            entry => Err(entry.other_kind()),
        }
    }

    fn refuse(&mut self, request: Request, why: Refusal<P, E>) {
        self.actions.push_back(Action::Refused { request, why });
    }

    fn refuse_kind(&mut self, request: Request, id: LockId) {
        let why = self.entry(id).map_or_else(|why| why, |entry| entry.other_kind());
        self.refuse(request, why);
    }

    fn meet(&mut self, who: P) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.parties.entry(who) {
            place.insert(Belongings::default());
            self.actions.push_back(Action::Watch(who));
        }
    }

    /// Forgets a party that has nothing here.
    fn part(&mut self, who: P) {
        if self.parties.get(&who).is_some_and(Belongings::is_empty) {
            self.parties.remove(&who);
        }
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// Notes where a request waits, from now on.
    fn place(&mut self, request: Request, place: Place<P>) {
        self.requests.insert(request, place);
        if let Some(belongings) = self.parties.get_mut(&place.who) {
            belongings.requests.insert(request);
        }
        if place.at == At::Line {
            self.lined += 1;
        }
    }

    fn unplace(&mut self, request: Request) {
        let Some(place) = self.requests.remove(&request) else {
            return;
        };
        if let Some(belongings) = self.parties.get_mut(&place.who) {
            belongings.requests.remove(&request);
        }
        self.part(place.who);
        if place.at == At::Line {
            self.lined -= 1;
        }
    }

    /// The lock of which this is a grant, if `who` or one that lives with it holds it.
    fn held_by(&mut self, who: P, token: Token) -> Option<LockId> {
        let id = *self.grants.get(&token)?;
        let hold = self.lock(id).ok()?.holds.get(token)?;
        (hold.who.root() == who.root()).then_some(id)
    }

    fn line_up(&mut self, id: LockId, wait: Wait<P>) {
        let order = self.next_order();
        self.place(wait.request, Place { lock: id, who: wait.who, order, at: At::Line });
        if let Ok(lock) = self.lock(id) {
            lock.line.insert(order, wait);
        }
    }

    /// Grants the lock to those who are next.
    fn serve(&mut self, now: Instant, id: LockId) {
        while let Some(wait) = self.lock(id).ok().and_then(Lock::next) {
            self.tokens += 1;
            let token = Token(self.tokens);
            let until = wait.lease.and_then(|lease| now.checked_add(lease));
            let Ok(lock) = self.lock(id) else { return };
            let (data, poison) = lock.grant(token, &wait, now, until);
            self.grants.insert(token, id);
            self.leases.extend(until.map(|until| (until, token)));
            if let Some(belongings) = self.parties.get_mut(&wait.who) {
                belongings.grants.insert(token);
            }
            self.unplace(wait.request);
            self.actions.push_back(Action::Began { lock: id, token });
            self.actions.push_back(Action::Granted { request: wait.request, lock: id, token, data, poison });
        }
        if self.lined > 0 && self.scan_at.is_none() {
            self.scan_at = now.checked_add(SCAN);
        }
    }

    /// Ends a grant; the next holder is told of `poison`.
    fn release(&mut self, now: Instant, id: LockId, token: Token, data: Option<D>, poison: Option<Poison<P, E>>) {
        self.grants.remove(&token);
        let Ok(lock) = self.lock(id) else { return };
        let Some(hold) = lock.remove(token) else { return };
        if lock.tells(hold.units) && poison.is_some() {
            lock.poison = poison;
        }
        if lock.is_alone(hold.units) && data.is_some() {
            lock.data = data;
        }
        if let Some(until) = hold.until {
            self.leases.remove(&(until, token));
        }
        if let Some(belongings) = self.parties.get_mut(&hold.who) {
            belongings.grants.remove(&token);
        }
        self.part(hold.who);
        self.actions.push_back(Action::Over { lock: id, token });
        self.serve(now, id);
    }

    /// Takes a request out of where it waits.
    fn withdraw(&mut self, now: Instant, request: Request) {
        if let Some((place, woken)) = self.take_out(request) {
            self.fill(now, place, woken, &Breach::Left(place.who));
        }
    }

    /// The same, without a thought for those behind it.
    fn take_out(&mut self, request: Request) -> Option<(Place<P>, Option<ConditionId>)> {
        let place = *self.requests.get(&request)?;
        self.unplace(request);
        let mut woken = None;
        match (&mut self.entry(place.lock).ok()?.is, place.at) {
            (Is::Lock(lock), At::Condition(condition)) => {
                if let Some(waits) = lock.conditions.get_mut(&condition) {
                    waits.remove(&place.order);
                    if waits.is_empty() {
                        lock.conditions.remove(&condition);
                    }
                }
            }
            (Is::Lock(lock), _) => woken = lock.line.remove(&place.order).and_then(|wait| wait.woken),
            (Is::Event(event), _) => drop(event.waiting.remove(&place.order)),
            (Is::Barrier(barrier), _) => drop(barrier.waiting.remove(&place.order)),
        }
        Some((place, woken))
    }

    /// One has gone from where it waited: what that is for the others.
    fn fill(&mut self, now: Instant, place: Place<P>, woken: Option<ConditionId>, breach: &Breach<P, E>) {
        match place.at {
            At::Line => {
                // The next may want less than this one.
                self.serve(now, place.lock);
                self.wake_another(now, place.lock, woken);
            }
            At::Barrier => self.break_barrier(place.lock, breach),
            At::Condition(_) | At::Event => {}
        }
    }

    fn notify(&mut self, now: Instant, mutex: LockId, condition: ConditionId, all: bool) -> usize {
        let Ok(lock) = self.lock(mutex) else { return 0 };
        let Some(mut waits) = lock.conditions.remove(&condition) else { return 0 };
        let later =
            if all { BTreeMap::new() } else { waits.split_off(&(waits.keys().next().map_or(0, |first| first + 1))) };
        if !later.is_empty() {
            lock.conditions.insert(condition, later);
        }
        let woken = waits.len();
        for wait in waits.into_values() {
            self.line_up(mutex, Wait { woken: (!all).then_some(condition), since: now, ..wait });
        }
        self.serve(now, mutex);
        woken
    }

    /// One that was notified will not go on: the notification is another's.
    fn wake_another(&mut self, now: Instant, mutex: LockId, woken: Option<ConditionId>) {
        if let Some(condition) = woken {
            self.notify(now, mutex, condition, false);
        }
    }
}
