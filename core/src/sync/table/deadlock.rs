//! Who waits for each other and can never go on.
//!
//! A party that waits for nothing will, as far as anyone knows, release all that it holds. So its units are counted as
//! free; then whoever is next in a line and finds enough units will be granted them, will go on, and will release in turn;
//! and who calls an actor that goes on will be answered. What is left when nobody more can be set going this way is
//! stuck, whatever happens, since no order of releases was left out: this is the reduction of a resource graph, which
//! holds for readers, permits and lines of several, where a cycle alone proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::action::{LockId, Refusal, Request, Who};
use super::{At, Is, SCAN, SECOND_LOOK, Table};

/// A call between actors that has no answer yet: whose handler made it waits until the handlers of the other come to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallEdge<P> {
    /// The same call has the same number at every scan.
    pub(crate) number: u64,
    pub(crate) from: P,
    pub(crate) to: P,
    pub(crate) method: Arc<str>,
}

/// One edge of a deadlock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step<P> {
    /// Who waits.
    pub(crate) who: P,
    /// For what.
    pub(crate) wants: Want,
    /// Who has it.
    pub(crate) of: P,
}

/// What one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A lock of this name.
    Lock(Arc<str>),
    /// The answer of this method.
    Answer(Arc<str>),
}

/// Something that a party waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Lock(Request),
    Answer(u64),
}

impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    /// Looks for parties that wait for each other, given the calls between them. Of each cycle the one whose wait is the
    /// youngest is refused.
    ///
    /// Only what was stuck at the scan before as well is believed: a release may have been on its way.
    pub(crate) fn handle_scan(&mut self, now: Instant, calls: &[CallEdge<P>]) {
        self.advance(now);
        let all = Web::new(self, calls, |_| true);
        let stuck = all.stuck(&BTreeSet::new());
        let before = std::mem::replace(&mut self.suspects, all.wishes(&stuck));
        // Those that are held up by calls alone end with these.
        let mut excused = BTreeSet::new();
        while !self.suspects.is_disjoint(&before) {
            let web = Web::new(self, calls, |wish| before.contains(wish));
            let Some(cycle) = web.cycle(&excused) else { break };
            match cycle.victim {
                Some((request, steps)) => {
                    self.withdraw(now, request);
                    self.suspects.remove(&Wish::Lock(request));
                    self.refuse(request, Refusal::Deadlock(steps));
                }
                None => excused.extend(cycle.parties),
            }
        }
        let next = if self.suspects.is_empty() { SCAN } else { SECOND_LOOK };
        self.scan_at = now.checked_add(next).filter(|_| self.lined > 0);
    }
}

/// Who waits for what, and who has it.
#[derive(Debug)]
struct Web<'a, P> {
    /// What each waits for that waits for nothing else which may come.
    waiting: BTreeMap<P, Vec<Wish>>,
    lines: BTreeMap<LockId, Line<P>>,
    /// Where each is in line, and its age: the larger, the younger.
    requests: BTreeMap<Request, (LockId, u64)>,
    calls: BTreeMap<u64, &'a CallEdge<P>>,
}

/// A lock that somebody waits for.
#[derive(Debug)]
struct Line<P> {
    name: Arc<str>,
    size: u64,
    /// What is held by those that wait.
    held: Vec<(P, u64)>,
    waits: Vec<(P, u64)>,
}

/// A cycle, from a party back to it.
#[derive(Debug)]
struct Cycle<P> {
    parties: Vec<P>,
    /// The one that is to give up, and the cycle as seen by it; none where all wait for calls.
    victim: Option<(Request, Vec<Step<P>>)>,
}

impl<'a, P: Who> Web<'a, P> {
    /// The web of the wishes that are believed; who has others too may go on any time.
    fn new<D, E>(table: &Table<P, D, E>, calls: &'a [CallEdge<P>], believed: impl Fn(&Wish) -> bool) -> Self {
        let mut waiting: BTreeMap<P, Vec<Wish>> = BTreeMap::new();
        let mut free = BTreeSet::new();
        let mut requests = BTreeMap::new();
        for (request, place) in &table.requests {
            let wish = Wish::Lock(*request);
            // An event may be set, and a barrier be reached, by anyone.
            if place.at == At::Line && believed(&wish) {
                waiting.entry(place.who).or_default().push(wish);
            } else {
                free.insert(place.who);
            }
            if place.at == At::Line {
                requests.insert(*request, (place.lock, place.order));
            }
        }
        for call in calls {
            let wish = Wish::Answer(call.number);
            if believed(&wish) {
                waiting.entry(call.from).or_default().push(wish);
            } else {
                free.insert(call.from);
            }
        }
        waiting.retain(|who, _| !free.contains(who));
        waiting.values_mut().for_each(|wishes| wishes.sort_unstable());
        let mut web = Self { waiting, lines: BTreeMap::new(), requests, calls: BTreeMap::new() };
        web.calls.extend(calls.iter().map(|call| (call.number, call)));
        let locks: BTreeSet<LockId> = web.requests.values().map(|(lock, _)| *lock).collect();
        for id in locks {
            let line = web.line(table, id);
            web.lines.extend(line.map(|line| (id, line)));
        }
        web
    }

    fn line<D, E>(&self, table: &Table<P, D, E>, id: LockId) -> Option<Line<P>> {
        let entry = table.locks.get(usize::try_from(id.0).ok()?)?;
        let Is::Lock(lock) = &entry.is else { return None };
        let held = lock.holds.iter().map(|(_, hold)| hold).filter(|hold| match self.waiting.get(&hold.who) {
            // Permits are often handed to tasks: who waits for nothing but more of them may have done so.
            Some(wishes) => !lock.permits || wishes.iter().any(|wish| self.lock_of(wish) != Some(id)),
            None => false,
        });
        Some(Line {
            name: entry.name.clone(),
            size: lock.size().into(),
            held: held.map(|hold| (hold.who, hold.units.into())).collect(),
            waits: lock.line.values().map(|wait| (wait.who, wait.units.into())).collect(),
        })
    }

    fn lock_of(&self, wish: &Wish) -> Option<LockId> {
        match wish {
            Wish::Lock(request) => Some(self.requests.get(request)?.0),
            Wish::Answer(_) => None,
        }
    }

    /// Those that can never go on, unless the excused do.
    fn stuck(&self, excused: &BTreeSet<P>) -> BTreeSet<P> {
        let mut stuck: BTreeSet<P> = self.waiting.keys().filter(|who| !excused.contains(who)).copied().collect();
        // What of each lock the stuck hold, and how far its line is surely served.
        let mut states: BTreeMap<LockId, (u64, usize)> = BTreeMap::new();
        let mut holds: BTreeMap<P, Vec<(LockId, u64)>> = BTreeMap::new();
        let mut places: BTreeMap<P, Vec<LockId>> = BTreeMap::new();
        for (id, line) in &self.lines {
            let mut taken = 0;
            for (who, units) in line.held.iter().filter(|(who, _)| stuck.contains(who)) {
                taken += units;
                holds.entry(*who).or_default().push((*id, *units));
            }
            for (who, _) in &line.waits {
                places.entry(*who).or_default().push(*id);
            }
            states.insert(*id, (taken, 0));
        }
        let mut callers: BTreeMap<P, Vec<P>> = BTreeMap::new();
        for call in self.calls.values() {
            callers.entry(call.to).or_default().push(call.from);
        }
        let mut going: Vec<P> = Vec::new();
        for call in self.calls.values().filter(|call| !stuck.contains(&call.to)) {
            going.push(call.from);
        }
        let mut look: Vec<LockId> = self.lines.keys().copied().collect();
        loop {
            if let Some(id) = look.pop() {
                let (Some(line), Some((taken, served))) = (self.lines.get(&id), states.get_mut(&id)) else { continue };
                while let Some((who, units)) = line.waits.get(*served) {
                    if stuck.contains(who) && line.size - *taken < *units {
                        break;
                    }
                    going.push(*who);
                    *served += 1;
                }
            } else if let Some(who) = going.pop() {
                if !stuck.remove(&who) {
                    continue;
                }
                for (id, units) in holds.remove(&who).unwrap_or_default() {
                    if let Some((taken, _)) = states.get_mut(&id) {
                        *taken -= units;
                    }
                    look.push(id);
                }
                look.extend(places.remove(&who).unwrap_or_default());
                going.extend(callers.remove(&who).unwrap_or_default());
            } else {
                return stuck;
            }
        }
    }

    /// All that the stuck wait for.
    fn wishes(&self, stuck: &BTreeSet<P>) -> BTreeSet<Wish> {
        stuck.iter().filter_map(|who| self.waiting.get(who)).flatten().copied().collect()
    }

    /// A cycle of those that are stuck.
    fn cycle(&self, excused: &BTreeSet<P>) -> Option<Cycle<P>> {
        let stuck = self.stuck(excused);
        let mut at = *stuck.first()?;
        let mut path: Vec<(Wish, Step<P>)> = Vec::new();
        while path.iter().all(|(_, step)| step.who != at) {
            let (wish, step) = self.step(at, &stuck)?;
            at = step.of;
            path.push((wish, step));
        }
        let begin = path.iter().position(|(_, step)| step.who == at)?;
        let mut cycle = path.split_off(begin);
        let parties = cycle.iter().map(|(_, step)| step.who).collect();
        let waits = cycle.iter().enumerate().filter_map(|(at, (wish, _))| match wish {
            Wish::Lock(request) => Some((self.requests.get(request)?.1, at, *request)),
            Wish::Answer(_) => None,
        });
        let victim = waits.max().map(|(_, at, request)| {
            cycle.rotate_left(at);
            (request, cycle.into_iter().map(|(_, step)| step).collect())
        });
        Some(Cycle { parties, victim })
    }

    /// What keeps a stuck party from going on: another stuck one.
    fn step(&self, who: P, stuck: &BTreeSet<P>) -> Option<(Wish, Step<P>)> {
        let wish = *self.waiting.get(&who)?.first()?;
        let (wants, of) = match wish {
            Wish::Lock(request) => {
                let line = self.lines.get(&self.requests.get(&request)?.0)?;
                // In line behind one who waits for this holder, if not for it itself.
                let (holder, _) = line.held.iter().find(|(holder, _)| stuck.contains(holder))?;
                (Want::Lock(line.name.clone()), *holder)
            }
            Wish::Answer(number) => {
                let call = self.calls.get(&number)?;
                (Want::Answer(call.method.clone()), call.to)
            }
        };
        Some((wish, Step { who, wants, of }))
    }
}
