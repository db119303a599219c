//! The lock table of a supervisor as a service.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::error::{BarrierBreach, DeadlockStep, LockError, Poison as Told, PoisonCause, Wanted};
use super::info::{LockHolder, LockInfo, LockWaiter};
use super::protocol::{
    Acquire, Ask, GiveBack, GiveBackAll, Granted, Hearer, IsSet, IsValid, METHODS, NewCondition, Notify, Open, Renew,
    Reply, ResetBarrier, Return, SetEvent, WaitBarrier, WaitEvent, WaitFor,
};
use super::table::{
    Action, Breach, CallEdge, ConditionId, How, LockId, Poison, Refusal, Request, Sight, State, Step, Table, Token,
    Want, Who,
};
use crate::actor::fence::{self, FencingToken, LockKey};
use crate::actor::parcel::Parcel;
use crate::actor::party::{HANDLERS, Party};
use crate::actor::service::{Asked, Desk, Service};
use crate::error::exit::{Down, DownReason, Exit};
use crate::router::CallKey;
use crate::wire::ids::{ActorId, Destination, NodeId, TypeHash};

/// The longest name of a lock.
const LONGEST_NAME: usize = 1024;

impl Who for Party {
    fn root(self) -> Self {
        Self { strand: HANDLERS, ..self }
    }
}

/// All locks of one supervisor.
#[derive(Debug)]
pub(super) struct LockService {
    table: Table<Party, Parcel, Down>,
    /// Whose end will be told.
    watched: HashSet<Party>,
    /// Its own address, once it has been asked anything.
    own: Option<(NodeId, ActorId)>,
}

impl LockService {
    pub(super) fn new() -> Self {
        Self { table: Table::new(), watched: HashSet::new(), own: None }
    }

    /// Answers, or leaves the call to an action; none where there is nothing to say.
    fn decide(
        &mut self,
        now: Instant,
        who: Party,
        call: Option<CallKey>,
        mut asked: Asked,
        desk: &mut Desk,
    ) -> Option<Result<Reply, Refusal<Party, Down>>> {
        // A cast of something that waits would wait for nobody.
        let request = Request(call.unwrap_or_default());
        let table = &mut self.table;
        let number = |id: u64| Reply::Number(id);
        match asked.method {
            Open::METHOD => {
                let Open { name, kind, data } = take(&mut asked, desk)?;
                if name.len() > LONGEST_NAME {
                    return Some(Err(Refusal::TooMany));
                }
                Some(table.open(&name, &kind, data).map(|id| number(id.0)))
            }
            NewCondition::METHOD => {
                let NewCondition { mutex } = take(&mut asked, desk)?;
                Some(table.condition(LockId(mutex)).map(|id| number(id.0)))
            }
            Acquire::METHOD => {
                let Acquire { lock, terms } = take(&mut asked, desk)?;
                call?;
                table.handle_acquire(now, who, request, LockId(lock), terms);
                None
            }
            GiveBack::METHOD => {
                let GiveBack { token, how, data, hearer } = take(&mut asked, desk)?;
                let released = table.handle_release(now, who, Token(token), how, data);
                if !released && hearer == Hearer::Listeners {
                    // What was done under it may have been done beside what another has done.
                    let why = format!("{}, by {}", LockError::Stale, name(&who, desk));
                    desk.cast_failed("release", why);
                }
                Some(if released { Ok(Reply::Done) } else { Err(Refusal::Stale) })
            }
            GiveBackAll::METHOD => {
                let GiveBackAll { grants } = take(&mut asked, desk)?;
                if !grants.iter().all(|grant| table.is_held_by(now, who, Token(grant.token))) {
                    return Some(Err(Refusal::Stale));
                }
                for GiveBack { token, how, data, .. } in grants {
                    table.handle_release(now, who, Token(token), how, data);
                }
                Some(Ok(Reply::Done))
            }
            Return::METHOD => {
                let Return { token } = take(&mut asked, desk)?;
                if table.is_held_by(now, who, Token(token)) {
                    table.handle_return(now, Token(token));
                }
                Some(Ok(Reply::Done))
            }
            Renew::METHOD => {
                let Renew { token, lease } = take(&mut asked, desk)?;
                let renewed = table.handle_renew(now, who, Token(token), lease);
                Some(if renewed { Ok(Reply::Done) } else { Err(Refusal::Stale) })
            }
            IsValid::METHOD => {
                let IsValid { lock, token } = take(&mut asked, desk)?;
                Some(Ok(Reply::Flag(table.is_valid(now, LockId(lock), Token(token)))))
            }
            WaitFor::METHOD => {
                let WaitFor { mutex, condition, token, data } = take(&mut asked, desk)?;
                call?;
                let place = (LockId(mutex), ConditionId(condition));
                table.handle_wait(now, who, request, place, Token(token), data);
                None
            }
            Notify::METHOD => {
                let Notify { mutex, condition, all } = take(&mut asked, desk)?;
                let woken = table.handle_notify(now, LockId(mutex), ConditionId(condition), all);
                Some(woken.map(|woken| number(woken as u64)))
            }
            WaitEvent::METHOD => {
                let WaitEvent { event } = take(&mut asked, desk)?;
                call?;
                table.handle_event_wait(now, who, request, LockId(event));
                None
            }
            SetEvent::METHOD => {
                let SetEvent { event, set } = take(&mut asked, desk)?;
                Some(table.handle_event_set(now, LockId(event), set).map(Reply::Flag))
            }
            IsSet::METHOD => {
                let IsSet { event } = take(&mut asked, desk)?;
                Some(table.event_is_set(LockId(event)).map(Reply::Flag))
            }
            WaitBarrier::METHOD => {
                let WaitBarrier { barrier } = take(&mut asked, desk)?;
                call?;
                table.handle_barrier_wait(now, who, request, LockId(barrier));
                None
            }
            ResetBarrier::METHOD => {
                let ResetBarrier { barrier } = take(&mut asked, desk)?;
                Some(table.handle_barrier_reset(now, LockId(barrier)).map(|()| Reply::Done))
            }
            // The last one there is; what is beyond has no handle that would ask for it.
            _ => {
                let seen = table.snapshot(now).into_iter();
                Some(Ok(Reply::Locks(seen.map(|sight| info(sight, desk)).collect())))
            }
        }
    }

    /// Does what the table wants.
    fn perform(&mut self, desk: &mut Desk) {
        let Destination { node, actor, .. } = desk.destination();
        let fencing =
            |lock: LockId, token: Token| FencingToken { number: token.0, lock: LockKey { node, actor, lock: lock.0 } };
        while let Some(action) = self.table.poll_action() {
            match action {
                Action::Watch(who) => {
                    if self.watched.insert(who.root()) {
                        desk.watch(who.root());
                    }
                }
                Action::Began { lock, token } => fence::begin(fencing(lock, token)),
                Action::Over { lock, token } => fence::end(fencing(lock, token)),
                Action::Granted { request, token, data, poison, .. } => {
                    let poison = poison.map(|poison| told(poison, desk));
                    desk.answer(request.0, &Reply::Granted(Granted { token: token.0, data, poison }));
                }
                Action::Opened { request } => desk.answer(request.0, &Reply::Done),
                Action::Passed { request, before } => desk.answer(request.0, &Reply::Number(before.into())),
                Action::Refused { request, why } => {
                    let why = error(why, desk);
                    desk.fail(request.0, &why);
                }
            }
        }
    }

    /// The calls between actors, as the table knows these.
    fn calls(&self, desk: &Desk) -> Vec<CallEdge<Party>> {
        let parties: HashMap<(NodeId, ActorId), Party> =
            self.table.parties().map(|party| ((party.actor.node, party.actor.actor), party.root())).collect();
        let party = |node, actor| {
            let unknown = Destination { node, actor, type_hash: TypeHash(0), ..desk.destination() };
            let unknown = Party { actor: unknown, incarnation: 0, strand: HANDLERS };
            parties.get(&(node, actor)).copied().unwrap_or(unknown)
        };
        let own = desk.destination();
        let calls = desk.calls_between().into_iter();
        calls
            // Who waits for a lock has asked for it: that is no call to one who might wait as well.
            .filter(|call| (call.to.node, call.to.actor) != (own.node, own.actor))
            .map(|call| CallEdge {
                number: call.call,
                from: party(call.from.node, call.from.actor),
                to: party(call.to.node, call.to.actor),
                method: call.method,
            })
            .collect()
    }
}

impl Service for LockService {
    const METHODS: &'static [&'static str] = &METHODS;
    const PROTOCOL: &'static str = "locks";

    fn handle(&mut self, now: Instant, asked: Asked, desk: &mut Desk) {
        let Destination { node, actor, .. } = desk.destination();
        self.own.get_or_insert((node, actor));
        let call = asked.call;
        // A pool's tasks run one after the other, as an actor's handlers do.
        let who = if asked.party.is_spawned() { asked.party } else { asked.party.root() };
        let answer = self.decide(now, who, call, asked, desk);
        if let (Some(call), Some(answer)) = (call, answer) {
            match answer {
                Ok(reply) => desk.answer(call, &reply),
                Err(why) => {
                    let why = error(why, desk);
                    desk.fail(call, &why);
                }
            }
        }
        self.perform(desk);
    }

    fn cancelled(&mut self, now: Instant, call: CallKey, desk: &mut Desk) {
        self.table.handle_cancel(now, Request(call));
        self.perform(desk);
    }

    fn undelivered(&mut self, now: Instant, _: CallKey, answer: &Parcel, desk: &mut Desk) {
        if let Ok(Reply::Granted(granted)) = answer.open() {
            self.table.handle_return(now, Token(granted.token));
            self.perform(desk);
        }
    }

    fn down(&mut self, now: Instant, party: Party, down: &Down, desk: &mut Desk) {
        self.watched.remove(&party.root());
        let abruptly = !matches!(&down.reason, DownReason::Exit(exit) if Exit::is_orderly(exit));
        self.table.handle_down(now, party, down, abruptly);
        self.perform(desk);
    }

    /// A name is known for as long as the supervisor lives.
    fn unheld(&mut self, _: Instant, _: u8, _: &mut Desk) {}

    fn poll_timeout(&self) -> Option<Instant> {
        [self.table.poll_timeout(), self.table.poll_scan()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant, desk: &mut Desk) {
        self.table.handle_timeout(now);
        if self.table.poll_scan().is_some_and(|at| at <= now) {
            let calls = self.calls(desk);
            self.table.handle_scan(now, &calls);
        }
        self.perform(desk);
    }
}

impl Drop for LockService {
    fn drop(&mut self) {
        if let Some((node, actor)) = self.own {
            fence::close(node, actor);
        }
    }
}

fn take<T: DeserializeOwned + 'static>(asked: &mut Asked, desk: &mut Desk) -> Option<T> {
    asked.arguments(desk)
}

/// A party in words.
fn name(who: &Party, desk: &Desk) -> String {
    let name = desk.name_of(who);
    if who.is_spawned() && !who.is_free() { format!("a task of {name}") } else { name }
}

fn told(poison: Poison<Party, Down>, desk: &Desk) -> Told {
    match poison.how {
        How::Ended(Down { name, reason, .. }) => Told { holder: name, cause: PoisonCause::Ended(reason) },
        How::Panicked => Told { holder: name(&poison.by, desk), cause: PoisonCause::Panicked },
        How::Unsaved => Told { holder: name(&poison.by, desk), cause: PoisonCause::Unsaved },
        How::Lapsed => Told { holder: name(&poison.by, desk), cause: PoisonCause::LeaseOver },
    }
}

fn error(why: Refusal<Party, Down>, desk: &Desk) -> LockError {
    match why {
        Refusal::NoSuchLock => LockError::NoSuchLock,
        Refusal::OtherKind { name, kind } => LockError::OtherKind { name: name.to_string(), kind },
        Refusal::NeverFits { asked, of } => LockError::NeverFits { asked, of },
        Refusal::TooMany => LockError::TooMany,
        Refusal::WouldBlock => LockError::WouldBlock,
        Refusal::Stale => LockError::Stale,
        Refusal::Deadlock(cycle) => {
            LockError::Deadlock { cycle: cycle.into_iter().map(|step| named(step, desk)).collect() }
        }
        Refusal::Broken(Breach::Ended(_, down)) => {
            LockError::Broken(BarrierBreach::Ended { who: down.name, reason: down.reason })
        }
        Refusal::Broken(Breach::Left(who)) => LockError::Broken(BarrierBreach::Left { who: name(&who, desk) }),
        Refusal::Broken(Breach::Reset) => LockError::Broken(BarrierBreach::Reset),
    }
}

fn named(step: Step<Party>, desk: &Desk) -> DeadlockStep {
    let wants = match step.wants {
        Want::Lock(lock) => Wanted::Lock(lock.to_string()),
        Want::Answer(method) => Wanted::Answer(method.to_string()),
    };
    DeadlockStep { who: name(&step.who, desk), wants, of: name(&step.of, desk) }
}

fn info(sight: Sight<Party>, desk: &Desk) -> LockInfo {
    let holders = sight.holders.into_iter().map(|holder| LockHolder {
        who: name(&holder.who, desk),
        token: holder.token.0,
        permits: permits(holder.units),
        held: holder.held,
        lease: holder.lease,
    });
    let waiting = sight.waiting.into_iter().enumerate().map(|(place, waiter)| LockWaiter {
        who: name(&waiter.who, desk),
        place,
        permits: permits(waiter.units),
        waited: waiter.waited,
        by_condition: waiter.by_condition,
    });
    LockInfo {
        name: sight.name.to_string(),
        kind: sight.kind,
        holders: holders.collect(),
        waiting: waiting.collect(),
        poisoned: sight.state == State::Poisoned,
        set: sight.state == State::Set,
        broken: sight.state == State::Broken,
    }
}

/// A writer has all there are, which is no number for a reader of this.
fn permits(units: u32) -> u32 {
    if units == u32::MAX { 1 } else { units }
}
