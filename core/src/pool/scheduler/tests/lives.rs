//! Random lives of a pool with every rule, in processes that are played: what must hold whatever happens.
//!
//! The model beside it says exactly what follows from each input. Here is only what a user relies on: each task ends once, no
//! kill hits a task that it is not meant for, no worker is given more than its lot, a paused pool begins nothing, and nothing
//! hangs.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::pool::rules::{Recycle, Rest};

#[derive(Clone, Debug)]
pub(super) enum Event {
    Submit { count: usize, terms: Terms },
    Start { pick: usize, fails: bool },
    Finish { pick: usize, count: usize },
    Die(usize),
    TakeBack(usize),
    Deliver(usize),
    Cancel { pick: usize, how: Cancel },
    Resize(usize),
    Pause,
    Resume,
    Memory(usize),
    Pass(Duration),
    Close(Closing),
}

fn terms() -> impl Strategy<Value = Terms> {
    let hard = proptest::option::weighted(0.4, prop_oneof![Just(MS), Just(20 * MS), Just(300 * MS)]);
    let place = prop_oneof![4 => Just((None, None)), 1 => (0_u64..5).prop_map(|worker| (Some(WorkerId(worker)), None)),
        1 => (0_u64..50).prop_map(|key| (None, Some(key)))];
    (place, hard, 0_u8..3, 1_u32..3).prop_map(|((worker, key), hard, priority, max_attempts)| Terms {
        worker,
        key,
        priority,
        hard,
        max_attempts,
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let tasks = proptest::option::of(1_u64..5);
    let age = proptest::option::weighted(0.3, Just(50 * MS));
    let rest = proptest::option::weighted(0.4, (1_u32..40, 0_usize..3));
    let chunk = prop_oneof![Just(Chunk::ONE), Just(Chunk::Auto), (2_usize..6).prop_map(Chunk::Fixed)];
    (tasks, age, rest, 0_usize..3, chunk, any::<u64>()).prop_map(|(tasks, age, rest, spares, chunk, seed)| Rules {
        spares,
        chunk,
        rest: rest.map(|(after, keep)| Rest { after: after * MS, keep }),
        recycle: Recycle { tasks, age, memory: Some(1000), jitter: 0.2 },
        seed,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let pick = || 0_usize..1000;
    let how = prop_oneof![Just(Cancel::Tell), Just(Cancel::Within(Duration::ZERO)), Just(Cancel::Within(10 * MS))];
    let closing =
        prop_oneof![Just(Closing::Finish), Just(Closing::Drain), Just(Closing::NoWorkers), Just(Closing::Kill)];
    prop_oneof![
        20 => (1_usize..12, terms()).prop_map(|(count, terms)| Event::Submit { count, terms }),
        14 => (pick(), proptest::bool::weighted(0.1)).prop_map(|(pick, fails)| Event::Start { pick, fails }),
        25 => (pick(), 1_usize..6).prop_map(|(pick, count)| Event::Finish { pick, count }),
        4 => pick().prop_map(Event::Die),
        4 => pick().prop_map(Event::TakeBack),
        30 => pick().prop_map(Event::Deliver),
        8 => (pick(), how).prop_map(|(pick, how)| Event::Cancel { pick, how }),
        2 => (1_usize..5).prop_map(Event::Resize),
        2 => Just(Event::Pause),
        3 => Just(Event::Resume),
        2 => pick().prop_map(Event::Memory),
        15 => prop_oneof![Just(US), Just(MS), Just(20 * MS), Just(150 * MS)].prop_map(Event::Pass),
        1 => closing.prop_map(Event::Close),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Mail {
    Ready,
    StartFailed,
    Done(u64),
    Returned(u64),
    Died(u64),
    Lost,
}

#[derive(Debug, Default)]
struct Process {
    state: State,
    /// What it was sent and has not ended: it runs the first.
    sent: VecDeque<u64>,
    since: Option<Instant>,
    /// Tasks that it was sent and has not given back.
    given: u64,
    /// What it has said, in order.
    mail: VecDeque<Mail>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    Starting,
    Up,
    Down,
}

#[derive(Debug)]
pub(super) struct World {
    scheduler: Scheduler,
    now: Instant,
    lot: Option<u64>,
    processes: BTreeMap<u64, Process>,
    submitted: u64,
    ended: BTreeMap<u64, Option<Ending>>,
    closed: bool,
    closing: bool,
    paused: bool,
    deaths: u64,
}

impl World {
    pub(super) fn new(now: Instant, workers: usize, rules: Rules) -> Self {
        Self {
            lot: rules.recycle.tasks,
            scheduler: Scheduler::new(now, workers, rules),
            now,
            processes: BTreeMap::new(),
            submitted: 0,
            ended: BTreeMap::new(),
            closed: false,
            closing: false,
            paused: false,
            deaths: 0,
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Submit { count, terms } => {
                for _ in 0..count {
                    if self.scheduler.submit(self.now, terms).is_ok() {
                        self.submitted += 1;
                    }
                }
            }
            Event::Start { pick, fails } => {
                if let Some(process) = self.pick(pick, |process| process.state == State::Starting) {
                    process.state = if fails { State::None } else { State::Up };
                    process.mail.push_back(if fails { Mail::StartFailed } else { Mail::Ready });
                }
            }
            Event::Finish { pick, count } => (0..count).for_each(|_| {
                let now = self.now;
                if let Some(process) = self.pick(pick, |process| !process.sent.is_empty()) {
                    process.finish(now);
                }
            }),
            Event::Die(pick) => {
                if let Some(process) = self.pick(pick, |process| process.state == State::Up) {
                    process.die();
                    self.deaths += 1;
                }
            }
            Event::TakeBack(pick) => self.take_back(pick),
            Event::Deliver(pick) => self.deliver(pick),
            Event::Cancel { pick, how } => {
                if self.submitted > 0 {
                    self.scheduler.cancel(self.now, TaskId(pick as u64 % self.submitted), how);
                }
            }
            Event::Resize(workers) => self.scheduler.resize(self.now, workers),
            Event::Pause => {
                self.paused |= !self.closing;
                self.scheduler.pause(self.now);
            }
            Event::Resume => {
                self.paused = false;
                self.scheduler.resume(self.now);
            }
            Event::Memory(pick) => self.scheduler.handle_memory(self.now, WorkerId(pick as u64 % 5), 2000),
            Event::Pass(time) => {
                self.now += time;
                self.scheduler.handle_timeout(self.now);
            }
            Event::Close(by) => {
                self.closing = true;
                match by {
                    Closing::Finish => self.scheduler.finish(self.now),
                    Closing::Drain => self.scheduler.drain(self.now),
                    Closing::NoWorkers => self.scheduler.handle_no_workers(self.now),
                    Closing::Kill => self.scheduler.kill(self.now),
                }
            }
        }
        self.act();
    }

    fn pick(&mut self, pick: usize, wanted: impl Fn(&Process) -> bool) -> Option<&mut Process> {
        let mut found: Vec<_> =
            self.processes.iter().filter(|(_, process)| wanted(process)).map(|(at, _)| *at).collect();
        found.sort_unstable();
        let at = found.get(pick % found.len().max(1))?;
        self.processes.get_mut(at)
    }

    fn deliver(&mut self, pick: usize) {
        let mut with_mail: Vec<_> =
            self.processes.iter().filter(|(_, at)| !at.mail.is_empty()).map(|(at, _)| *at).collect();
        with_mail.sort_unstable();
        let Some(&at) = with_mail.get(pick % with_mail.len().max(1)) else { return };
        let process = self.processes.get_mut(&at).unwrap();
        let Some(mail) = process.mail.pop_front() else { return };
        let worker = WorkerId(at);
        match mail {
            Mail::Ready => self.scheduler.handle_worker_ready(self.now, worker),
            Mail::StartFailed => self.scheduler.handle_start_failed(self.now, worker),
            Mail::Done(task) => {
                if self.scheduler.handle_done(self.now, TaskId(task), US) {
                    self.end(task, None);
                }
            }
            Mail::Returned(task) => self.scheduler.handle_returned(self.now, TaskId(task)),
            Mail::Died(task) => self.scheduler.handle_died(self.now, TaskId(task)),
            Mail::Lost => {
                process.state = State::None;
                self.scheduler.handle_worker_lost(self.now, worker);
            }
        }
    }

    fn end(&mut self, task: u64, how: Option<Ending>) {
        assert!(self.ended.insert(task, how).is_none(), "task {task} ended twice");
    }

    pub(super) fn act(&mut self) {
        while let Some(action) = self.scheduler.poll_action() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::StartWorker { worker, .. } => {
                let process = self.processes.entry(worker.0).or_default();
                assert_eq!(process.state, State::None, "one process at a time");
                *process =
                    Process { state: State::Starting, mail: std::mem::take(&mut process.mail), ..Process::default() };
            }
            Action::Dispatch { worker, task, .. } => self.send(worker, &[task]),
            Action::Chunk { worker, tasks } => self.send(worker, &tasks.iter().collect::<Vec<_>>()),
            Action::CancelRunning { worker, task } | Action::Recall { worker, task } => {
                let process = self.processes.get_mut(&worker.0).unwrap();
                if let Some(place @ 1..) = process.sent.iter().position(|&sent| sent == task.0) {
                    process.sent.remove(place);
                    process.given -= 1;
                    process.mail.push_back(Mail::Returned(task.0));
                }
            }
            Action::Look { worker, task } => {
                let process = &self.processes[&worker.0];
                let since = process.since.filter(|_| process.sent.front() == Some(&task.0));
                self.scheduler.handle_look(now, task, since);
            }
            Action::KillFor { worker, task, .. } => {
                let process = self.processes.get_mut(&worker.0).unwrap();
                if process.state == State::Up {
                    assert_eq!(process.sent.front(), Some(&task.0), "it hits another task");
                    process.die();
                }
            }
            Action::KillWorker { worker } => self.processes.get_mut(&worker.0).unwrap().stop(),
            Action::StopWorker { worker } => {
                let process = self.processes.get_mut(&worker.0).unwrap();
                assert!(process.state != State::Up || process.sent.is_empty(), "it hits a task");
                process.stop();
            }
            Action::StopWorkers => self.processes.values_mut().for_each(Process::stop),
            Action::Recycle { .. } => {}
            Action::End { task, ending, .. } => self.end(task.0, Some(ending)),
            Action::Closed(report) => {
                assert!(!std::mem::replace(&mut self.closed, true));
                assert_eq!((report.submitted, report.ended()), (self.submitted, self.submitted));
            }
        }
    }

    fn send(&mut self, worker: WorkerId, tasks: &[TaskId]) {
        assert!(!self.paused || self.closing, "a paused pool begins nothing");
        let process = self.processes.get_mut(&worker.0).unwrap();
        if process.state != State::Up {
            process.mail.extend(tasks.iter().map(|task| Mail::Returned(task.0)));
            return;
        }
        process.given += tasks.len() as u64;
        assert!(self.lot.is_none_or(|lot| process.given <= lot), "more than its lot");
        process.sent.extend(tasks.iter().map(|task| task.0));
        process.since.get_or_insert(self.now);
    }

    /// Takes back what a worker has not begun, unasked.
    fn take_back(&mut self, pick: usize) {
        let now = self.now;
        let Some(process) = self.pick(pick, |process| process.state == State::Up && process.sent.len() > 1) else {
            return;
        };
        let taken: Spans = process.sent.drain(1 + pick % (process.sent.len() - 1)..).map(TaskId).collect();
        process.given -= taken.len() as u64;
        self.scheduler.handle_taken_back(now, &taken);
        if pick.is_multiple_of(2) {
            let worker = self.processes.iter().find(|(_, process)| process.since.is_some()).map(|(at, _)| *at);
            worker.into_iter().for_each(|worker| self.scheduler.handle_stuck(now, WorkerId(worker)));
        }
    }

    /// Lets everything that goes on come to its end.
    pub(super) fn finish(mut self) {
        self.handle(Event::Close(Closing::Finish));
        for round in 0.. {
            assert!(round < 3000, "the pool hangs: {:?}", self.scheduler);
            if self.closed && self.processes.values().all(|process| process.mail.is_empty()) {
                break;
            }
            for pick in 0..8 {
                self.handle(Event::Start { pick, fails: false });
                self.handle(Event::Finish { pick, count: 1 });
            }
            (0..20).for_each(|pick| self.handle(Event::Deliver(pick)));
            self.handle(Event::Pass(MS));
        }
        assert_eq!(self.ended.len() as u64, self.submitted, "every task ends");
        let report = self.scheduler.report();
        assert!(report.workers_lost <= self.deaths, "{report:?} after {} deaths", self.deaths);
        assert_eq!(self.scheduler.poll_timeout(), None);
    }
}

impl Process {
    fn finish(&mut self, now: Instant) {
        if let Some(task) = self.sent.pop_front() {
            self.mail.push_back(Mail::Done(task));
            self.since = (!self.sent.is_empty()).then_some(now);
        }
    }

    fn die(&mut self) {
        self.state = State::Down;
        for (place, task) in std::mem::take(&mut self.sent).into_iter().enumerate() {
            self.mail.push_back(if place == 0 { Mail::Died(task) } else { Mail::Returned(task) });
        }
        self.mail.push_back(Mail::Lost);
    }

    fn stop(&mut self) {
        match self.state {
            State::Up => self.die(),
            State::Starting => {
                self.state = State::None;
                self.mail.push_back(Mail::StartFailed);
            }
            State::None | State::Down => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_task_ends_once_and_no_kill_hits_another(
        workers in 1_usize..5,
        rules in rules(),
        events in proptest::collection::vec(event(), 0..200),
    ) {
        let mut world = World::new(Instant::now(), workers, rules);
        world.act();
        for event in events {
            world.handle(event);
        }
        world.finish();
    }
}
