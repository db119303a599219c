//! An actor by which a test follows what happens in other processes, and holds it up.

use std::collections::HashSet;

use procession::prelude::*;

/// Keeps notes, and gates at which handlers wait until the test opens them.
#[derive(Actor, Default)]
#[actor(mailbox = 4096)]
pub(crate) struct Probe {
    notes: Vec<String>,
    awaited: Vec<(String, usize, Reply<()>)>,
    open: HashSet<String>,
    closed: Vec<(String, Reply<()>)>,
}

#[handlers]
impl Probe {
    #[cast]
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
        let (done, awaited) = std::mem::take(&mut self.awaited)
            .into_iter()
            .partition(|(text, times, _)| self.notes.iter().filter(|note| *note == text).count() >= *times);
        self.awaited = awaited;
        let done: Vec<(String, usize, Reply<()>)> = done;
        for (_, _, reply) in done {
            reply.send(());
        }
    }

    /// Answered when the text was noted for so many times.
    #[call(timeout = "30s")]
    pub(crate) fn noted(&mut self, text: String, times: usize, reply: Reply<()>) {
        if self.notes.iter().filter(|note| **note == text).count() >= times {
            reply.send(());
        } else {
            self.awaited.push((text, times, reply));
        }
    }

    #[call(timeout = "30s")]
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Notes `at <gate>` and is answered when the gate is open.
    #[call(timeout = "1h")]
    pub(crate) fn pass(&mut self, gate: String, reply: Reply<()>) {
        self.note(format!("at {gate}"));
        if self.open.contains(&gate) {
            reply.send(());
        } else {
            self.closed.push((gate, reply));
        }
    }

    #[call(timeout = "30s")]
    pub(crate) fn open(&mut self, gate: String) {
        let (opened, closed) = std::mem::take(&mut self.closed).into_iter().partition(|(at, _)| *at == gate);
        self.closed = closed;
        let opened: Vec<(String, Reply<()>)> = opened;
        for (_, reply) in opened {
            reply.send(());
        }
        self.open.insert(gate);
    }
}
