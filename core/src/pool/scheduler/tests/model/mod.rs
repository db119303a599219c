//! Random lives of a pool against a reference that keeps lists and searches them.
//!
//! The reference says what every input leads to: each end, start, stop, kill, cancel and recall exactly, and of each
//! dispatch whether it was allowed. It knows nothing of how the scheduler finds a worker or a task.

mod check;
mod expect;

use proptest::prelude::*;

use super::*;

/// What happens to the pool or in its workers. Picks are taken modulo what there is to pick from.
#[derive(Clone, Debug)]
enum Event {
    Submit {
        count: usize,
        bound: Option<usize>,
        max_attempts: u32,
    },
    Ready(usize),
    StartFailed(usize),
    /// A worker finishes up to `count` tasks.
    Done {
        pick: usize,
        count: usize,
        ran: Duration,
    },
    /// A worker dies: it had finished `finished` tasks that nobody has read yet, and had or hadn't begun the next.
    Die {
        pick: usize,
        finished: usize,
        begun: bool,
    },
    /// A worker finishes tasks that are reported together.
    Together {
        pick: usize,
        count: usize,
        ran: Duration,
    },
    /// What a worker has not begun is taken back unasked, but for the first `left` of it; and it is said to be stuck, or not.
    TakeBack {
        pick: usize,
        left: usize,
        stuck: bool,
    },
    /// One of the reports of the dead arrives, in any order.
    Deliver(usize),
    /// A worker gives back a task that it was asked for and hasn't begun.
    GiveBack(usize),
    Cancel(usize),
    Resize(usize),
    Remove(usize),
    Pass(Duration),
    /// A report that comes twice, or too early.
    Stray(usize),
    Close(Closing),
    Poll,
}

fn event() -> impl Strategy<Value = Event> {
    let pick = || 0_usize..1000;
    let ran = prop_oneof![
        6 => Just(US),
        1 => Just(100 * US),
        1 => Just(MS),
        1 => Just(20 * MS),
        1 => Just(300 * MS),
    ];
    let closing =
        prop_oneof![Just(Closing::Finish), Just(Closing::Drain), Just(Closing::NoWorkers), Just(Closing::Kill),];
    let times = ran.clone();
    prop_oneof![
        12 => (pick(), 1_usize..40, times).prop_map(|(pick, count, ran)| Event::Together { pick, count, ran }),
        5 => (pick(), 0_usize..4, any::<bool>())
            .prop_map(|(pick, left, stuck)| Event::TakeBack { pick, left, stuck }),
        20 => (1_usize..20, proptest::option::weighted(0.3, 0_usize..7), 0_u32..4)
            .prop_map(|(count, bound, max_attempts)| Event::Submit { count, bound, max_attempts }),
        12 => pick().prop_map(Event::Ready),
        2 => pick().prop_map(Event::StartFailed),
        25 => (pick(), 1_usize..12, ran)
            .prop_map(|(pick, count, ran)| Event::Done { pick, count, ran }),
        6 => (pick(), 0_usize..3, any::<bool>())
            .prop_map(|(pick, finished, begun)| Event::Die { pick, finished, begun }),
        16 => pick().prop_map(Event::Deliver),
        8 => pick().prop_map(Event::GiveBack),
        5 => pick().prop_map(Event::Cancel),
        2 => (0_usize..6).prop_map(Event::Resize),
        1 => pick().prop_map(Event::Remove),
        8 => (0_u32..8).prop_map(|ms| Event::Pass(ms * MS)),
        3 => pick().prop_map(Event::Stray),
        1 => closing.prop_map(Event::Close),
        20 => Just(Event::Poll),
    ]
}

/// A report on its way.
#[derive(Clone, Copy, Debug)]
enum Mail {
    Done(u64),
    Returned(u64),
    Died(u64),
    Lost(usize),
}

/// A process as the shell would see it.
#[derive(Debug)]
enum Process {
    None,
    Starting,
    /// With the tasks it was sent, in order, each with whether it was asked back or cancelled.
    Up(Vec<(u64, bool)>),
    /// Its loss is on its way.
    Dead,
}

#[derive(Debug)]
struct TaskModel {
    bound: Option<usize>,
    max_attempts: u32,
    kills: u32,
    cancelled: bool,
    recalled: bool,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Queue,
    Worker { worker: usize, incarnation: u32 },
    End,
}

#[derive(Debug)]
struct WorkerModel {
    phase: Phase,
    incarnation: u32,
    failures: u32,
    held: Vec<u64>,
    heard: Instant,
    recalled: bool,
    /// It was said to be at one task for long, and has not reported since.
    stuck: bool,
    process: Process,
}

struct Model {
    scheduler: Scheduler,
    chunk: Chunk,
    now: Instant,
    tasks: Vec<TaskModel>,
    workers: Vec<WorkerModel>,
    closing: Option<Closing>,
    closed: bool,
    /// What the scheduler has to say before it says that there is nothing more, in any order.
    expected: Vec<Action>,
    mail: Vec<Mail>,
    report: Report,
}

impl Model {
    fn new(workers: usize, chunk: Chunk) -> Self {
        let now = Instant::now();
        let mut model = Self {
            scheduler: Scheduler::new(now, workers, Rules { chunk, ..Rules::default() }),
            chunk,
            now,
            tasks: Vec::new(),
            workers: Vec::new(),
            closing: None,
            closed: false,
            expected: Vec::new(),
            mail: Vec::new(),
            report: Report::default(),
        };
        model.expect_resize(workers);
        model
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Submit { count, bound, max_attempts } => {
                if bound.is_none() && count.is_multiple_of(2) {
                    self.submit_all(count, max_attempts);
                } else {
                    (0..count).for_each(|_| self.submit(bound, max_attempts));
                }
            }
            Event::Ready(pick) => {
                let starting = |worker: &WorkerModel| matches!(worker.process, Process::Starting);
                if let Some(worker) = self.pick_worker(pick, starting) {
                    self.worker_ready(worker);
                }
            }
            Event::StartFailed(pick) => {
                let starting = |worker: &WorkerModel| matches!(worker.process, Process::Starting);
                if let Some(worker) = self.pick_worker(pick, starting) {
                    self.start_failed(worker);
                }
            }
            Event::Done { pick, count, ran } => {
                let busy = |worker: &WorkerModel| matches!(&worker.process, Process::Up(sent) if !sent.is_empty());
                if let Some(worker) = self.pick_worker(pick, busy) {
                    (0..count).for_each(|_| self.finish_first(worker, ran));
                }
            }
            Event::Together { pick, count, ran } => {
                let busy = |worker: &WorkerModel| matches!(&worker.process, Process::Up(sent) if !sent.is_empty());
                if let Some(worker) = self.pick_worker(pick, busy) {
                    self.finish_together(worker, count, ran);
                }
            }
            Event::TakeBack { pick, left, stuck } => {
                let busy = |worker: &WorkerModel| matches!(&worker.process, Process::Up(sent) if !sent.is_empty());
                if let Some(worker) = self.pick_worker(pick, busy) {
                    self.take_back(worker, left, stuck);
                }
            }
            Event::Die { pick, finished, begun } => {
                let up = |worker: &WorkerModel| matches!(worker.process, Process::Up(_));
                if let Some(worker) = self.pick_worker(pick, up) {
                    self.die(worker, finished, begun);
                }
            }
            Event::Deliver(pick) => {
                if !self.mail.is_empty() {
                    let mail = self.mail.swap_remove(pick % self.mail.len());
                    self.deliver(mail);
                }
            }
            Event::GiveBack(pick) => self.give_back(pick),
            Event::Cancel(pick) => {
                if !self.tasks.is_empty() {
                    self.cancel(pick % self.tasks.len());
                }
            }
            Event::Resize(workers) => {
                self.scheduler.resize(self.now, workers);
                self.expect_resize(workers);
            }
            Event::Remove(pick) => {
                let worker = pick % self.workers.len();
                self.scheduler.remove_worker(self.now, WorkerId::of(worker));
                if self.starts_workers() && self.workers[worker].phase.is_wanted() {
                    self.expect_retired(worker);
                    if !self.workers.iter().any(|worker| worker.phase.is_wanted()) {
                        self.expect_close(Closing::NoWorkers);
                    }
                }
            }
            Event::Pass(time) => {
                self.now += time;
                self.look();
                self.poll();
            }
            Event::Stray(pick) => self.stray(pick),
            Event::Close(by) => {
                match by {
                    Closing::Finish => self.scheduler.finish(self.now),
                    Closing::Drain => self.scheduler.drain(self.now),
                    Closing::NoWorkers => self.scheduler.handle_no_workers(self.now),
                    Closing::Kill => self.scheduler.kill(self.now),
                }
                self.expect_close(by);
            }
            Event::Poll => self.poll(),
        }
    }

    fn submit(&mut self, bound: Option<usize>, max_attempts: u32) {
        let terms = Terms { worker: bound.map(WorkerId::of), max_attempts, ..Terms::default() };
        let taken = self.scheduler.submit(self.now, terms);
        self.expect_submitted(taken, 1, bound, max_attempts);
    }

    fn submit_all(&mut self, count: usize, max_attempts: u32) {
        let terms = Terms { max_attempts, ..Terms::default() };
        let taken = self.scheduler.submit_all(self.now, terms, count);
        self.expect_submitted(taken, count, None, max_attempts);
    }

    fn expect_submitted(
        &mut self,
        taken: Result<TaskId, Closed>,
        count: usize,
        bound: Option<usize>,
        max_attempts: u32,
    ) {
        if let Some(by) = self.closing {
            assert_eq!(taken, Err(Closed { by }));
            return;
        }
        assert_eq!(taken, Ok(TaskId(self.tasks.len() as u64)), "dense and increasing");
        for _ in 0..count {
            self.report.submitted += 1;
            let task = TaskModel { bound, max_attempts, kills: 0, cancelled: false, recalled: false, at: At::Queue };
            self.tasks.push(task);
            self.expect_placed(self.tasks.len() - 1);
        }
    }

    fn worker_ready(&mut self, worker: usize) {
        self.scheduler.handle_worker_ready(self.now, WorkerId::of(worker));
        let now = self.now;
        let worker = &mut self.workers[worker];
        worker.process = Process::Up(Vec::new());
        if worker.phase == Phase::Starting {
            worker.phase = Phase::Ready;
            worker.failures = 0;
            worker.heard = now;
            worker.recalled = false;
            worker.stuck = false;
        }
    }

    fn start_failed(&mut self, worker: usize) {
        self.scheduler.handle_start_failed(self.now, WorkerId::of(worker));
        self.workers[worker].process = Process::None;
        match self.workers[worker].phase {
            Phase::Starting => {
                self.report.start_failures += 1;
                self.workers[worker].failures += 1;
                self.expect_replaced(worker);
            }
            Phase::Stopping => self.workers[worker].phase = Phase::Vacant,
            other => panic!("a worker that starts is {other:?}"),
        }
    }

    fn finish_first(&mut self, worker: usize, ran: Duration) {
        if let Process::Up(sent) = &mut self.workers[worker].process
            && !sent.is_empty()
        {
            let (task, _) = sent.remove(0);
            self.done(task, ran);
        }
    }

    fn finish_together(&mut self, worker: usize, count: usize, ran: Duration) {
        let Process::Up(sent) = &mut self.workers[worker].process else { return };
        let together: Vec<_> = sent.drain(..count.min(sent.len())).map(|(task, _)| task).collect();
        let mut ended = Vec::new();
        let spans: Spans = together.iter().copied().map(TaskId).collect();
        for &span in spans.spans() {
            if self.scheduler.handle_span_done(self.now, span, span.iter().map(|_| ran.as_nanos() as u64)) {
                ended.extend(span.iter().map(|task| task.0));
            } else {
                let all = span.iter().map(|task| (task, ran, ()));
                self.scheduler.handle_all_done(self.now, all, |task, ()| ended.push(task.0));
            }
        }
        let mut reported = false;
        for task in together {
            let Some(seat) = self.expect_report(task as usize) else { continue };
            assert_eq!(ended.remove(0), task, "each is told once, in order");
            self.tasks[task as usize].at = At::End;
            self.report.done += 1;
            reported |= seat.is_some();
        }
        assert_eq!(ended, []);
        if reported {
            self.expect_heard(worker);
        }
    }

    fn take_back(&mut self, worker: usize, left: usize, stuck: bool) {
        let Process::Up(sent) = &mut self.workers[worker].process else { return };
        let taken: Vec<_> = sent.drain((1 + left).min(sent.len())..).map(|(task, _)| task).collect();
        self.scheduler.handle_taken_back(self.now, &taken.iter().copied().map(TaskId).collect());
        let mut seated = None;
        for &task in taken.iter().rev() {
            let Some(seat) = self.expect_report(task as usize) else { continue };
            self.expect_placed(task as usize);
            seated = seat.or(seated);
        }
        self.expect_left(seated, false);
        if stuck {
            self.scheduler.handle_stuck(self.now, WorkerId::of(worker));
            self.workers[worker].stuck = !self.workers[worker].held.is_empty();
        }
    }

    fn expect_heard(&mut self, worker: usize) {
        self.workers[worker].heard = self.now;
        self.workers[worker].recalled = false;
        self.workers[worker].stuck = false;
        self.expect_relieved(worker);
    }

    fn die(&mut self, worker: usize, finished: usize, begun: bool) {
        let process = std::mem::replace(&mut self.workers[worker].process, Process::Dead);
        let Process::Up(sent) = process else { panic!("only what is up dies") };
        for (place, &(task, _)) in sent.iter().enumerate() {
            self.mail.push(match place {
                _ if place < finished => Mail::Done(task),
                _ if place == finished && begun => Mail::Died(task),
                _ => Mail::Returned(task),
            });
        }
        self.mail.push(Mail::Lost(worker));
    }

    fn deliver(&mut self, mail: Mail) {
        match mail {
            Mail::Done(task) => self.done(task, US),
            Mail::Returned(task) => self.returned(task),
            Mail::Died(task) => self.died(task),
            Mail::Lost(worker) => self.lost(worker),
        }
    }

    fn done(&mut self, task: u64, ran: Duration) {
        let counts = self.scheduler.handle_done(self.now, TaskId(task), ran);
        let seat = self.expect_report(task as usize);
        assert_eq!(counts, seat.is_some(), "true is said once of each task");
        let Some(worker) = seat else { return };
        self.tasks[task as usize].at = At::End;
        self.report.done += 1;
        if let Some(worker) = worker {
            self.expect_heard(worker);
        }
    }

    fn returned(&mut self, task: u64) {
        self.scheduler.handle_returned(self.now, TaskId(task));
        let Some(worker) = self.expect_report(task as usize) else {
            return;
        };
        let asked = self.tasks[task as usize].cancelled || self.tasks[task as usize].recalled;
        self.expect_left(worker, !asked);
        self.expect_placed(task as usize);
    }

    fn died(&mut self, task: u64) {
        self.scheduler.handle_died(self.now, TaskId(task));
        let Some(worker) = self.expect_report(task as usize) else {
            return;
        };
        self.expect_left(worker, true);
        let task = task as usize;
        self.tasks[task].kills += 1;
        if self.tasks[task].kills == 2 {
            self.expect_end(task, Ending::Quarantined);
        } else if self.tasks[task].max_attempts < 2 || self.no_place(task).is_some() {
            self.expect_end(task, Ending::Lost);
        } else {
            self.report.retried += 1;
            self.expect_placed(task);
        }
    }

    fn lost(&mut self, worker: usize) {
        self.scheduler.handle_worker_lost(self.now, WorkerId::of(worker));
        let lost = &mut self.workers[worker];
        lost.process = Process::None;
        lost.incarnation += 1;
        lost.held.clear();
        self.report.workers_lost += u64::from(lost.phase != Phase::Stopping);
        match lost.phase {
            Phase::Ready | Phase::Dying => self.expect_replaced(worker),
            Phase::Retiring | Phase::Stopping => lost.phase = Phase::Vacant,
            other => panic!("a worker that was up is {other:?}"),
        }
    }

    fn give_back(&mut self, pick: usize) {
        // The first in a process has been begun, so it may only be cancelled, and that before it looked at it.
        let asked: Vec<_> = (0..self.workers.len())
            .flat_map(|worker| match &self.workers[worker].process {
                Process::Up(sent) => sent.iter().filter(|sent| sent.1).map(|sent| (worker, sent.0)).collect(),
                _ => Vec::new(),
            })
            .collect();
        if !asked.is_empty() {
            let (worker, task) = asked[pick % asked.len()];
            if let Process::Up(sent) = &mut self.workers[worker].process {
                sent.retain(|sent| sent.0 != task);
            }
            self.returned(task);
        }
    }

    fn cancel(&mut self, task: usize) {
        self.scheduler.cancel(self.now, TaskId(task as u64), Cancel::Tell);
        match self.tasks[task].at {
            At::Queue => self.expect_end(task, Ending::Cancelled),
            At::Worker { worker, incarnation } => {
                let again = std::mem::replace(&mut self.tasks[task].cancelled, true);
                if !again && self.workers[worker].incarnation == incarnation {
                    self.expected
                        .push(Action::CancelRunning { worker: WorkerId::of(worker), task: TaskId(task as u64) });
                }
            }
            At::End => {}
        }
    }

    fn stray(&mut self, pick: usize) {
        let away = |task: &TaskModel| !matches!(task.at, At::Worker { .. });
        let tasks: Vec<_> = (0..self.tasks.len()).filter(|&task| away(&self.tasks[task])).collect();
        if !tasks.is_empty() {
            let task = TaskId(tasks[pick % tasks.len()] as u64);
            assert!(!self.scheduler.handle_done(self.now, task, US));
            self.scheduler.handle_returned(self.now, task);
            self.scheduler.handle_died(self.now, task);
        }
        let index = pick % self.workers.len();
        let worker = WorkerId::of(index);
        if self.workers[index].phase != Phase::Starting {
            self.scheduler.handle_worker_ready(self.now, worker);
        }
        if matches!(self.workers[index].phase, Phase::Vacant | Phase::Starting) {
            self.scheduler.handle_worker_lost(self.now, worker);
        }
        if !matches!(self.workers[index].phase, Phase::Starting | Phase::Stopping) {
            self.scheduler.handle_start_failed(self.now, worker);
        }
        let unknown = WorkerId(1 << 40);
        self.scheduler.handle_worker_ready(self.now, unknown);
        self.scheduler.handle_worker_lost(self.now, unknown);
        self.scheduler.handle_start_failed(self.now, unknown);
        self.scheduler.remove_worker(self.now, unknown);
        self.scheduler.cancel(self.now, TaskId(1 << 40), Cancel::Tell);
    }

    fn look(&mut self) {
        let due = self.scheduler.poll_timeout().is_some_and(|at| at <= self.now);
        self.scheduler.handle_timeout(self.now);
        if !due {
            return;
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let stuck = matches!(worker.phase, Phase::Ready | Phase::Retiring)
                && worker.held.len() >= 2
                && self.now - worker.heard >= STALL;
            if !stuck || std::mem::replace(&mut worker.recalled, true) {
                continue;
            }
            for &id in &worker.held[1..] {
                let task = &mut self.tasks[id as usize];
                if task.bound.is_none() && !task.cancelled {
                    task.recalled = true;
                    self.expected.push(recall(index as u64, id));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_task_ends_exactly_once_and_as_the_rules_say(
        workers in 1_usize..6,
        all_ready in any::<bool>(),
        chunk in prop_oneof![Just(Chunk::ONE), Just(Chunk::Auto), (2_usize..7).prop_map(Chunk::Fixed)],
        events in proptest::collection::vec(event(), 0..250),
    ) {
        let mut model = Model::new(workers, chunk);
        if all_ready {
            model.poll();
            (0..workers).for_each(|worker| model.worker_ready(worker));
        }
        for event in events {
            model.handle(event);
        }
        model.end();
    }
}
