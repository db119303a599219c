//! The workers of a pool as processes: started, replaced, stopped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::ended::RanOn;
use super::inbox::{Arrival, Shared};
use super::info::{PoolWorker, WorkerState};
use super::insight::WorkerInsight;
use super::rules::Rules;
use super::scheduler::Scheduler;
use super::worker::WorkerId;
use crate::actor::node::{Node, random};
use crate::actor::parcel::Parcel;
use crate::error::call::NotDelivered;
use crate::error::start::StartError;
use crate::event::{self, Event};
use crate::process::entry::Children;
use crate::process::keeper::{End, Wish};
use crate::process::launcher::{Launcher, Order};
use crate::process::limits::Limits;
use crate::process::registration::ActorEntry;
use crate::router::{EntryKey, NewEntry};
use crate::shm::chunk::Places;
use crate::supervisor::backoff::{Backoff, SplitMix64};
use crate::sys::Child;
use crate::wire::ids::{Destination, TypeHash};

/// Bad ends in a row after which a worker is hopeless: starts that failed, and lives that were over at once.
const HOPELESS: u32 = 5;
/// A worker that ends this soon after it was ready, without having run anything, might as well not have started.
const AT_ONCE: Duration = Duration::from_millis(200);
/// How long nobody looks again at a worker's memory.
const MEASURE: Duration = Duration::from_millis(100);

/// How the workers of a pool are made.
pub(super) struct Plan {
    pub(super) launcher: Launcher,
    pub(super) children: Children,
    pub(super) actor: ActorEntry,
    pub(super) actor_id: String,
    pub(super) type_hash: TypeHash,
    pub(super) init: Parcel,
    pub(super) init_timeout: Duration,
    pub(super) shutdown: Duration,
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    pub(super) starts_at_once: Option<usize>,
}

/// The workers of a pool.
pub(super) struct Team {
    shared: Arc<Shared>,
    plan: Plan,
    members: Vec<Member>,
    /// How often any worker has reported.
    reports: u64,
    backoff: Backoff,
    rng: SplitMix64,
}

/// One worker, over all its incarnations.
struct Member {
    name: String,
    entry: EntryKey,
    to: Destination,
    number: u32,
    /// The way to end the present incarnation, while there is one.
    wish: Option<watch::Sender<Wish>>,
    /// When the present incarnation was begun.
    launched: Instant,
    /// What all incarnations before have spent their time on, and this one's start and tasks.
    insight: WorkerInsight,
    /// When the next incarnation is to be started.
    start_at: Option<Instant>,
    /// While it is ready.
    ready: Option<Ready>,
    /// When to look at its memory.
    measure_at: Option<Instant>,
    /// When it last reported, or became ready.
    reported: Instant,
    /// Whether this incarnation has reported anything.
    useful: bool,
    /// Bad ends in a row.
    bad: u32,
    /// Those of them between which no worker has reported, and how often any had when the first of these came.
    in_vain: (u32, u64),
    /// Whether the present incarnation was told to end.
    told: bool,
}

/// An incarnation that takes tasks.
struct Ready {
    ran_on: Arc<RanOn>,
    since: Instant,
    child: Child,
    /// Where in its memory chunks are.
    places: Places,
    /// When its memory was last looked at.
    measured: Instant,
}

impl Team {
    pub(super) fn new(shared: Arc<Shared>, plan: Plan) -> Self {
        Self {
            members: Vec::new(),
            reports: 0,
            shared,
            plan,
            backoff: Backoff::default(),
            rng: SplitMix64::new(random()),
        }
    }

    /// Starts the next incarnation, later where starts have failed before.
    pub(super) fn start(&mut self, now: Instant, worker: WorkerId, failures: u32) {
        for number in self.members.len() as u64..=worker.0 {
            self.members.push(Member::new(&self.shared, &self.plan, number + 1));
        }
        let Some(member) = self.members.get_mut(worker.0 as usize) else { return };
        let attempt = failures.max(member.bad);
        let delay = self.backoff.delay(attempt, &mut self.rng);
        member.start_at = Some(now + delay);
        if delay.is_zero() {
            if self.free_starts() > 0 {
                self.launch(worker);
            }
        } else {
            let child = member.name.clone();
            event::publish(self.shared.owner, Event::Restarting { child, attempt, delay });
        }
    }

    /// How many more may be started at once.
    fn free_starts(&self) -> usize {
        let Some(most) = self.plan.starts_at_once else { return usize::MAX };
        let starting = self.members.iter().filter(|member| member.wish.is_some() && member.ready.is_none());
        most.saturating_sub(starting.count())
    }

    fn launch(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(worker.0 as usize) else { return };
        member.start_at = None;
        member.number += 1;
        member.launched = Instant::now();
        member.insight.starts += 1;
        member.useful = false;
        member.told = false;
        let plan = &self.plan;
        let order = Order {
            name: member.name.clone(),
            actor: plan.actor,
            id: plan.actor_id.clone(),
            to: member.to,
            entry: member.entry,
            number: member.number,
            init: plan.init.clone(),
            init_timeout: plan.init_timeout,
            limits: plan.limits.clone(),
        };
        let (ready, ended) = (self.shared.clone(), self.shared.clone());
        member.wish = Some(plan.launcher.launch(
            plan.children.clone(),
            order,
            move |child, places| ready.tell(Arrival::Ready(worker, child.clone(), places)),
            move |end| ended.tell(Arrival::Ended(worker, Box::new(end))),
        ));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        // Where none may be started, the next one that is ready or has failed makes room.
        let starts = self.free_starts() > 0;
        let due = |member: &Member| [member.start_at.filter(|_| starts), member.measure_at];
        self.members.iter().flat_map(due).flatten().min()
    }

    /// Starts those whose time has come, as many as may be started at once.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let due = |member: &Member| member.start_at.is_some_and(|at| at <= now);
        if !self.members.iter().any(due) {
            return;
        }
        let mut free = self.free_starts();
        for index in 0..self.members.len() {
            if free > 0 && due(&self.members[index]) {
                self.launch(WorkerId(index as u64));
                free -= 1;
            }
        }
    }

    /// What workers have in memory that have run something since it was last looked at.
    pub(super) fn measure(&mut self, now: Instant) -> Vec<(WorkerId, u64)> {
        let mut measured = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.measure_at.is_some_and(|at| at <= now)
                && let Some(ready) = &mut member.ready
            {
                member.measure_at = None;

                ready.measured = now;
                measured.extend(ready.child.resident().ok().map(|bytes| (WorkerId(index as u64), bytes)));
            }
        }
        measured
    }

    pub(super) fn handle_ready(&mut self, now: Instant, worker: WorkerId, child: Child, places: Places) {
        let Some(member) = self.members.get_mut(worker.0 as usize) else { return };
        member.insight.start_up += now.saturating_duration_since(member.launched);
        let pid = child.pid();
        let ran_on = Arc::new(RanOn { name: member.name.clone(), pid });
        member.ready = Some(Ready { ran_on, since: now, child, places, measured: now });
        member.reported = now;
        let (child, incarnation) = (member.name.clone(), member.number);
        event::publish(self.shared.owner, Event::Started { child, pid, incarnation });
    }

    /// A task of this worker has ended; returns when the one before it had.
    pub(super) fn handle_reported(&mut self, now: Instant, worker: WorkerId) -> Instant {
        let Some(member) = self.members.get_mut(worker.0 as usize) else { return now };
        self.reports += 1;
        member.useful = true;
        member.bad = 0;
        if self.plan.rules.recycle.memory.is_some()
            && let Some(ready) = &member.ready
        {
            member.measure_at.get_or_insert(now.max(ready.measured + MEASURE));
        }
        std::mem::replace(&mut member.reported, now)
    }

    /// When a worker last reported, or became ready.
    pub(super) fn reported(&self, worker: WorkerId) -> Option<Instant> {
        self.members.get(worker.0 as usize).map(|member| member.reported)
    }

    /// The present incarnation has ended. The reason, if it is one too many.
    pub(super) fn handle_ended(&mut self, now: Instant, worker: WorkerId, end: End) -> Option<StartError> {
        let member = self.members.get_mut(worker.0 as usize)?;
        member.wish = None;
        let lived = member.ready.take().map(|ready| now.saturating_duration_since(ready.since));
        member.measure_at = None;
        member.insight.waiting += lived.unwrap_or_default();
        let node = Node::here();
        node.with(|router| match &end.failed {
            Some(_) => router.start_failed(member.entry, &end.exit),
            None => router.incarnation_ended(member.entry, &end.exit),
        });
        if let Some(link) = end.link {
            node.close_link(link);
        }
        let child = member.name.clone();
        event::publish(
            self.shared.owner,
            match &end.failed {
                // Nothing is wrong with it.
                Some(error @ StartError::Stopped(_)) if member.told => Event::Ended { child, why: error.to_string() },
                Some(error) => Event::StartFailed { child, error: error.to_string() },
                None => Event::Exited { child, exit: end.exit.clone() },
            },
        );
        let at_once = !member.useful && lived.is_some_and(|lived| lived < AT_ONCE);
        let is_bad = (end.failed.is_some() || at_once) && !member.told;
        member.bad = if is_bad { member.bad + 1 } else { 0 };
        // While tasks end a pool is not hopeless, whoever dies meanwhile.
        let goes_on = member.bad <= 1 || member.in_vain.1 != self.reports;
        member.in_vain = (if goes_on { 1 } else { member.in_vain.0 + 1 }, self.reports);
        (is_bad && member.in_vain.0 >= HOPELESS).then(|| {
            let child = member.name.clone();
            end.failed.unwrap_or_else(|| StartError::Exited { child, exit: Box::new(end.exit) })
        })
    }

    /// A worker has run so many tasks, for so long together.
    pub(super) fn handle_worked(&mut self, worker: WorkerId, tasks: u64, ran: Duration) {
        if let Some(member) = self.members.get_mut(worker.0 as usize) {
            member.insight.tasks += tasks;
            member.insight.working += ran;
        }
    }

    pub(super) fn insights(&self, now: Instant) -> Vec<WorkerInsight> {
        let insight = |member: &Member| {
            let mut insight = WorkerInsight { name: member.name.clone(), ..member.insight.clone() };
            if let Some(ready) = &member.ready {
                insight.waiting += now.saturating_duration_since(ready.since);
                insight.memory = ready.child.resident().ok();
            }
            // It is kept as the time in which the worker was ready.
            insight.waiting = insight.waiting.saturating_sub(insight.working);
            insight
        };
        self.members.iter().map(insight).collect()
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> usize {
        self.members.iter().filter(|member| member.ready.is_some()).count()
    }

    /// What a worker is called.
    pub(super) fn name(&self, worker: WorkerId) -> String {
        self.members.get(worker.0 as usize).map_or_else(String::new, |member| member.name.clone())
    }

    /// The present incarnation of a worker.
    pub(super) fn ran_on(&self, worker: WorkerId) -> Option<Arc<RanOn>> {
        self.members.get(worker.0 as usize)?.ready.as_ref().map(|ready| ready.ran_on.clone())
    }

    /// Where in the memory of the present incarnation chunks are.
    pub(super) fn places(&self, worker: WorkerId) -> Option<&Places> {
        self.members.get(worker.0 as usize)?.ready.as_ref().map(|ready| &ready.places)
    }

    pub(super) fn destination(&self, worker: WorkerId) -> Option<Destination> {
        self.members.get(worker.0 as usize).map(|member| member.to)
    }

    /// Asks a worker to stop; true where it had not even been started.
    pub(super) fn stop(&mut self, worker: WorkerId) -> bool {
        let grace = self.plan.shutdown;
        let member = self.members.get_mut(worker.0 as usize);
        member.is_some_and(|member| member.wish(Wish::Stop { grace }))
    }

    pub(super) fn stop_all(&mut self) {
        let grace = self.plan.shutdown;
        for member in &mut self.members {
            member.wish(Wish::Stop { grace });
        }
    }

    pub(super) fn kill(&mut self, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(worker.0 as usize) {
            member.wish(Wish::Kill);
        }
    }

    /// Whether no process is left, and none will be started.
    pub(super) fn is_gone(&self) -> bool {
        self.members.iter().all(|member| member.wish.is_none() && member.start_at.is_none())
    }

    /// Ends the mailboxes; processes that are left are killed.
    pub(super) fn retire(&mut self) {
        let node = Node::here();
        for member in &mut self.members {
            member.wish = None;
            node.with(|router| router.retire(member.entry, &NotDelivered::Stopped, None));
        }
    }

    pub(super) fn list(&self, scheduler: &Scheduler) -> Vec<PoolWorker> {
        let list = self.members.iter().enumerate().map(|(index, member)| PoolWorker {
            name: member.name.clone(),
            pid: member.ready.as_ref().map(|ready| ready.ran_on.pid),
            state: match member {
                Member { ready: Some(_), .. } => WorkerState::Ready,
                Member { start_at: Some(_), number: 1.., .. } => WorkerState::Restarting,
                Member { start_at: Some(_), .. } => WorkerState::Starting,
                Member { wish: Some(_), .. } => WorkerState::Starting,
                _ if scheduler.is_resting(WorkerId(index as u64)) => WorkerState::Resting,
                _ => WorkerState::Ended,
            },
            outstanding: scheduler.outstanding(WorkerId(index as u64)),
            incarnation: member.number,
        });
        list.collect()
    }
}

impl Member {
    fn new(shared: &Shared, plan: &Plan, number: u64) -> Self {
        let name = format!("{}#{number}", shared.name);
        let about = NewEntry {
            owner: shared.owner,
            name: name.as_str().into(),
            type_hash: plan.type_hash,
            // The scheduler says how much a worker gets.
            capacity: u32::MAX,
            methods: plan.actor.methods.iter().map(|method| method.name).collect(),
        };
        let (entry, to) = Node::here().with(|router| router.own(about));
        Self {
            name,
            entry,
            to,
            number: 0,
            wish: None,
            launched: Instant::now(),
            insight: WorkerInsight::default(),
            start_at: None,
            ready: None,
            measure_at: None,
            reported: Instant::now(),
            useful: false,
            bad: 0,
            in_vain: (0, 0),
            told: false,
        }
    }

    /// Ends it as wished; true where there was nothing but the wish to start it.
    fn wish(&mut self, wished: Wish) -> bool {
        self.told = true;
        if let Some(wish) = &self.wish {
            wish.send_replace(wished);
        }
        self.start_at.take().is_some()
    }
}
