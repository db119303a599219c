//! Small worlds under every schedule: not some of them, as in `model`, but all.
//!
//! Two processes that send, the hub that has the mailbox, and the worker that serves it. Each step that is possible is
//! tried in each state, one frame of one direction at a time; states that were seen before are not gone on from. In each
//! state the world is also brought to rest, and then everything must have ended once, and every unit of credit be home.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Instant;

use super::world::ProcessId;
use super::*;
use crate::router::{Taken, Token};

/// What is sent and what else may happen.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// Who sends: the hub itself or a worker of it; and whether it is a call.
    sent: &'static [(From, bool)],
    cancels: bool,
    /// Whether a call may be wanted back whose outcome is still awaited; only for those of the hub.
    recalls: bool,
    /// How often the serving worker may be killed; it is started again.
    kills: usize,
    /// How often 60 ms may pass, of the 50 that a call has.
    pauses: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Hub,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Send(usize),
    Cancel(usize),
    Recall(usize),
    /// One frame: over which wire, from which end.
    Frame(usize, usize),
    Take,
    /// The handler of what was taken starts, unless that was taken back.
    Begin,
    /// The handler ends with its answer.
    Finish,
    Kill,
    Start,
    Pause,
}

struct Small {
    scope: Scope,
    w: World,
    hub: ProcessId,
    client: ProcessId,
    owned: Owned,
    server: Option<Worker>,
    running: Option<Taken>,
    has_begun: bool,
    tokens: Vec<Option<Token>>,
    cancelled: Vec<bool>,
    recalled: Vec<bool>,
    taken: Vec<usize>,
    kills: usize,
    pauses: usize,
}

impl Small {
    fn new(scope: Scope, began: Instant) -> Self {
        let mut w = World::at(began);
        let hub = w.process();
        let owned = w.actor(hub, "a", 2);
        let server = w.start(owned);
        let (_, client) = w.worker(hub, "client");
        let sent = scope.sent.len();
        Self {
            scope,
            w,
            hub,
            client: client.process,
            owned,
            server: Some(server),
            running: None,
            has_begun: false,
            tokens: vec![None; sent],
            cancelled: vec![false; sent],
            recalled: vec![false; sent],
            taken: vec![0; sent],
            kills: 0,
            pauses: 0,
        }
    }

    fn from(&self, which: usize) -> ProcessId {
        match self.scope.sent[which].0 {
            From::Hub => self.hub,
            From::Client => self.client,
        }
    }

    /// Steps that would do something now.
    fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for which in 0..self.tokens.len() {
            match self.tokens[which] {
                // Those of one process are sent in their order: any other is the same with other names.
                None => {
                    let mut before = (0..which).filter(|&one| self.from(one) == self.from(which));
                    if before.all(|one| self.tokens[one].is_some()) {
                        steps.push(Step::Send(which));
                    }
                }
                Some(token) if self.w.processes[self.from(which)].open.contains_key(&token) => {
                    if self.scope.cancels {
                        steps.push(Step::Cancel(which));
                    }
                    if self.scope.recalls && self.from(which) == self.hub && !self.recalled[which] {
                        steps.push(Step::Recall(which));
                    }
                }
                Some(_) => {}
            }
        }
        for wire in 0..self.w.wires() {
            for from in 0..2 {
                if self.w.next_frame(wire, from).is_some() {
                    steps.push(Step::Frame(wire, from));
                }
            }
        }
        match (&self.server, &self.running) {
            (Some(worker), None) if self.w.processes[worker.process].router.load(worker.entry).0 > 0 => {
                steps.push(Step::Take);
            }
            (Some(_), Some(_)) => steps.push(if self.has_begun { Step::Finish } else { Step::Begin }),
            (None, _) => steps.push(Step::Start),
            _ => {}
        }
        if self.server.is_some() && self.kills < self.scope.kills {
            steps.push(Step::Kill);
        }
        if self.pauses < self.scope.pauses {
            steps.push(Step::Pause);
        }
        steps
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(which) => {
                let (from, to) = (self.from(which), self.owned.to);
                let deadline = (self.scope.pauses > 0).then(|| self.w.now + std::time::Duration::from_millis(50));
                let call = self.scope.sent[which].1;
                self.tokens[which] = Some(self.w.submit(from, to, call, deadline, None, &which.to_string()));
            }
            Step::Cancel(which) => {
                self.cancelled[which] = true;
                let from = self.from(which);
                self.w.cancel(from, self.tokens[which].unwrap());
            }
            Step::Recall(which) => {
                self.recalled[which] = true;
                self.w.take_back(self.hub, self.tokens[which].unwrap(), true);
            }
            Step::Frame(wire, from) => {
                let len = self.w.next_frame(wire, from).unwrap();
                self.w.carry(wire, from, len);
            }
            Step::Take => {
                self.running = self.w.take_up(self.server.as_ref().unwrap());
                self.has_begun = false;
            }
            Step::Begin => {
                let taken = self.running.take().unwrap();
                self.has_begun = self.w.begin(self.server.as_ref().unwrap(), &taken);
                if self.has_begun {
                    let which: usize = body(&taken).parse().unwrap();
                    self.taken[which] += 1;
                    assert_eq!(self.taken[which], 1, "handled twice");
                    self.running = Some(taken);
                }
            }
            Step::Finish => {
                let (worker, taken) = (self.server.clone().unwrap(), self.running.take().unwrap());
                if taken.reply {
                    self.w.answer(worker.process, taken.call, "done");
                }
                self.w.finish(&worker, &taken);
            }
            Step::Kill => {
                self.kills += 1;
                self.running = None;
                self.w.kill(self.owned, &self.server.take().unwrap());
            }
            Step::Start => self.server = Some(self.w.start(self.owned)),
            Step::Pause => {
                self.pauses += 1;
                self.w.advance(60);
            }
        }
    }

    /// What the future depends on, as text.
    fn state(&self) -> String {
        let mut state = format!(
            "{:?} {:?} {:?} {:?} {:?} {} {} {}",
            self.tokens,
            self.cancelled,
            self.recalled,
            self.taken,
            self.running,
            self.has_begun,
            self.kills,
            self.pauses
        );
        for process in self.w.processes.iter().filter(|process| !process.dead) {
            let _ = write!(state, "{:?} {:?} {}", process.ended, process.admitted, process.router.state());
        }
        let ticks = self.server.iter().map(|worker| worker.ticks.state());
        let _ = write!(state, "{} {:?}", self.w.on_the_wires(), ticks.collect::<Vec<_>>());
        state
    }

    /// Brings everything home: nobody hurries, nobody dies any more.
    fn rest(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "no rest");
            self.w.drive();
            if self.server.is_none() {
                self.step(Step::Start);
            } else if self.running.is_some() {
                self.step(if self.has_begun { Step::Finish } else { Step::Begin });
            } else {
                self.step(Step::Take);
                if self.running.is_none() && !self.w.drive_but(&[]) {
                    if self.w.next_timer().is_none() {
                        return;
                    }
                    self.w.advance(10);
                }
            }
        }
    }

    /// Everything that was sent has ended once, and all credit is home.
    fn check_at_rest(&mut self) {
        for which in 0..self.tokens.len() {
            let Some(token) = self.tokens[which] else { continue };
            let (process, call) = (&self.w.processes[self.from(which)], self.scope.sent[which].1);
            let outcomes = process.ended.get(&token).map_or(&[][..], Vec::as_slice);
            let admitted = process.admitted.iter().filter(|one| **one == token).count();
            let ends = outcomes.len() + admitted;
            assert!(admitted == 0 || !call, "a call is not admitted");
            assert_eq!(ends, usize::from(!self.cancelled[which] || ends > 0), "{which} ended so often: {outcomes:?}");
            match outcomes {
                [Outcome::Value(..)] => assert_eq!(self.taken[which], 1, "a value of nobody"),
                [outcome] => {
                    let error = failure(outcome.clone());
                    let may = error.may_have_executed();
                    assert!(may || self.taken[which] == 0, "{which} was handled and ended in {error:?}");
                }
                _ => {}
            }
            let died = self.kills > 0 || self.pauses > 0;
            assert!(
                died || self.cancelled[which] || self.recalled[which] || self.taken[which] == 1,
                "{which} was never handled, and nothing came in between"
            );
        }
        for process in self.w.processes.iter().filter(|process| !process.dead) {
            assert_eq!(process.router.outstanding(), 0, "credit that did not come back");
        }
        self.w.assert_at_rest();
    }
}

/// Goes through all states; says how many there were.
fn explore(scope: Scope) -> usize {
    let began = Instant::now() + std::time::Duration::from_secs(3600);
    let replay = |path: &[Step]| {
        let mut small = Small::new(scope, began);
        for step in path {
            small.step(*step);
        }
        small
    };
    let mut seen = HashSet::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let small = replay(&path);
        if !seen.insert(small.state()) {
            continue;
        }
        for step in small.possible() {
            open.push(path.iter().copied().chain([step]).collect());
        }
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut small = small;
            small.rest();
            small.check_at_rest();
        }));
        if let Err(panic) = told {
            eprintln!("after {path:?}");
            std::panic::resume_unwind(panic);
        }
    }
    seen.len()
}

const HUBS: &[(From, bool)] = &[(From::Hub, true)];
const CLIENTS: &[(From, bool)] = &[(From::Client, true)];
const BOTH: &[(From, bool)] = &[(From::Hub, true), (From::Client, true)];
const TWICE: &[(From, bool)] = &[(From::Hub, true), (From::Hub, true), (From::Hub, false)];
const CASTS: &[(From, bool)] = &[(From::Client, false), (From::Client, true), (From::Client, false)];

#[test]
fn a_call_its_cancel_two_deaths_and_its_deadline_under_every_schedule() {
    assert!(explore(Scope { sent: HUBS, cancels: true, recalls: false, kills: 2, pauses: 2 }) > 600);
    assert!(explore(Scope { sent: CLIENTS, cancels: true, recalls: false, kills: 1, pauses: 2 }) > 3000);
}

#[test]
fn casts_and_a_call_of_one_sender_and_a_death_under_every_schedule() {
    assert!(explore(Scope { sent: CASTS, cancels: false, recalls: false, kills: 1, pauses: 0 }) > 1000);
}

#[test]
fn two_calls_their_cancels_and_a_death_under_every_schedule() {
    assert!(explore(Scope { sent: BOTH, cancels: true, recalls: false, kills: 1, pauses: 0 }) > 15_000);
}

#[test]
fn calls_that_are_wanted_back_beside_a_cast_under_every_schedule() {
    assert!(explore(Scope { sent: HUBS, cancels: true, recalls: true, kills: 1, pauses: 1 }) > 300);
    assert!(explore(Scope { sent: TWICE, cancels: false, recalls: true, kills: 0, pauses: 0 }) > 1000);
}
