use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What the outside sees: which processes there are, and what was promised to whom.
#[derive(Clone)]
pub(super) struct Ledger {
    intensity: Intensity,
    pub(super) processes: BTreeMap<u64, Process>,
    /// In the order they were added.
    pub(super) added: Vec<u64>,
    restarts: Vec<Instant>,
    /// Children whose caller waits for them to have ended.
    owed_end: BTreeSet<u64>,
    /// Children whose caller waits for them to be ready, or to have ended.
    owed_ready: BTreeSet<u64>,
    pub(super) ready: bool,
    start_failed: bool,
    escalated: bool,
    closing: bool,
    pub(super) done: Option<DoneReason>,
}

#[derive(Clone, Copy)]
pub(super) struct Process {
    pub(super) ready: bool,
    pub(super) stopping: bool,
}

impl Ledger {
    pub(super) fn new(intensity: Intensity) -> Self {
        Self {
            intensity,
            processes: BTreeMap::new(),
            added: Vec::new(),
            restarts: Vec::new(),
            owed_end: BTreeSet::new(),
            owed_ready: BTreeSet::new(),
            ready: false,
            start_failed: false,
            escalated: false,
            closing: false,
            done: None,
        }
    }

    /// What the step does to the processes; false if it is a report that cannot be true.
    pub(super) fn report(&mut self, op: Op) -> bool {
        let (child, ends) = match op {
            Op::Ready(child) => match self.processes.get_mut(&child) {
                Some(process) if !process.ready => {
                    process.ready = true;
                    if !process.stopping {
                        self.owed_ready.remove(&child);
                    }
                    return true;
                }
                _ => return false,
            },
            Op::StartFailed(child) => (child, self.processes.get(&child).is_some_and(|p| !p.ready || p.stopping)),
            Op::Exited(child, _) => (child, self.processes.contains_key(&child)),
            Op::Stopped(child) => (child, self.processes.get(&child).is_some_and(|p| p.stopping)),
            Op::Shutdown => {
                self.closing = true;
                return true;
            }
            _ => return true,
        };
        if ends {
            self.processes.remove(&child);
        }
        ends
    }

    pub(super) fn request(&mut self, op: Op, answer: Result<(), Refused>) {
        if answer.is_err() {
            return;
        }
        match op {
            Op::Add(child, _) => {
                self.added.push(child);
                self.owed_ready.insert(child);
            }
            Op::Terminate(child) | Op::Remove(child) => {
                self.owed_end.insert(child);
            }
            Op::Restart(child) if self.processes.get(&child).is_none_or(|p| !p.ready || p.stopping) => {
                self.owed_ready.insert(child);
            }
            _ => {}
        }
    }

    pub(super) fn action(&mut self, now: Instant, action: Action) {
        assert_eq!(self.done, None, "{action:?} after the end");
        match action {
            Action::Start { id, .. } => {
                assert!(!self.closing, "a start while the supervisor ends");
                let process = Process { ready: false, stopping: false };
                assert!(self.processes.insert(id.0, process).is_none(), "two starts without an end in between");
            }
            Action::Stop { id } => {
                if self.closing {
                    let place = |child: u64| self.added.iter().rposition(|added| *added == child);
                    let last = self.processes.keys().copied().max_by_key(|child| place(*child));
                    assert_eq!(last, Some(id.0), "not the last of those that are left");
                }
                let process = self.processes.get_mut(&id.0).expect("a stop of nothing");
                assert!(!process.stopping, "two stops of one process");
                process.stopping = true;
            }
            Action::Restarting { id, .. } => {
                assert!(!self.closing && !self.processes.contains_key(&id.0));
                self.restarts.push(now);
                assert!(self.in_window(now) <= self.intensity.max(), "more restarts than allowed");
            }
            Action::Ended { id, .. } => {
                assert!(!self.processes.contains_key(&id.0), "told to have ended while there is a process");
                self.owed_end.remove(&id.0);
                self.owed_ready.remove(&id.0);
            }
            Action::Ready => {
                assert!(!self.ready && !self.closing);
                self.ready = true;
            }
            Action::StartFailed { .. } => {
                assert!(!self.ready && !self.closing);
                (self.start_failed, self.closing) = (true, true);
            }
            Action::Escalated { restarts, within, .. } => {
                assert!(!self.closing, "one escalation, and none after a shutdown");
                assert_eq!((restarts, within), (self.in_window(now), self.intensity.within()));
                assert_eq!(restarts, self.intensity.max(), "given up too early");
                (self.escalated, self.closing) = (true, true);
            }
            Action::Done { why } => {
                assert!(self.closing && self.processes.is_empty(), "done with processes left");
                assert_eq!(self.escalated, why == DoneReason::Escalated);
                assert_eq!(self.start_failed, why == DoneReason::StartFailed);
                assert!(self.owed_end.is_empty() && self.owed_ready.is_empty(), "somebody still waits for an answer");
                self.done = Some(why);
            }
        }
    }

    fn in_window(&self, now: Instant) -> u32 {
        let within = |then: &&Instant| now.duration_since(**then) <= self.intensity.within();
        u32::try_from(self.restarts.iter().filter(within).count()).unwrap()
    }
}
