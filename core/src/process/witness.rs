//! Whoever is told what a worker's process does: its lines, its last words, its end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::lines::Lines;
use crate::sys::{self, Exit, Output, Watch};

/// Bytes of standard error that an exit tells.
const TAIL: usize = 16 << 10;

/// A line that libtest cannot have printed: what comes before it is not the worker's.
pub(crate) const MARKER: &str = "\u{1}procession worker\u{1}";

/// Takes a worker's lines.
pub(crate) type LineSink = Arc<dyn Fn(Output, &str, &[u8]) + Send + Sync>;

/// What is known of a worker's process beside its messages.
pub(crate) struct Witness {
    name: String,
    sink: LineSink,
    state: Mutex<State>,
    exit: watch::Sender<Option<Exit>>,
}

struct State {
    out: Lines,
    err: Lines,
    tail: VecDeque<u8>,
    /// Whether the worker's own output has begun.
    begun: bool,
}

impl Witness {
    /// A witness of the worker of this name; `marked` where its output begins behind the marker.
    pub(crate) fn new(name: String, marked: bool, sink: LineSink) -> Self {
        let state = State { out: Lines::default(), err: Lines::default(), tail: VecDeque::new(), begun: !marked };
        Self { name, sink, state: Mutex::new(state), exit: watch::Sender::new(None) }
    }

    /// The process's end, once it has come.
    pub(crate) fn exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.subscribe()
    }

    /// The last lines of its standard error.
    pub(crate) fn stderr(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = state.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // The first line may have lost its beginning.
        match text.split_once('\n') {
            Some((_, rest)) if bytes.len() >= TAIL => rest.trim_end().to_owned(),
            _ => text.trim_end().to_owned(),
        }
    }
}

impl State {
    fn remember(&mut self, line: &[u8]) {
        self.tail.extend(line.iter().chain(b"\n"));
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }
}

impl Watch for Witness {
    fn output(&self, from: Output, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        match from {
            Output::Stdout => {
                let begun = &mut state.begun;
                state.out.push(bytes, |line| {
                    if *begun {
                        (self.sink)(from, &self.name, line);
                    } else if line.ends_with(MARKER.as_bytes()) {
                        *begun = true;
                    }
                });
            }
            Output::Stderr => {
                let mut lines = std::mem::take(&mut state.err);
                lines.push(bytes, |line| {
                    state.remember(line);
                    (self.sink)(from, &self.name, line);
                });
                state.err = lines;
            }
        }
    }

    fn exited(&self, exit: sys::Exit) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.begun {
            let mut lines = std::mem::take(&mut state.out);
            lines.finish(|line| (self.sink)(Output::Stdout, &self.name, line));
        }
        let mut lines = std::mem::take(&mut state.err);
        lines.finish(|line| {
            state.remember(line);
            (self.sink)(Output::Stderr, &self.name, line);
        });
        drop(state);
        self.exit.send_replace(Some(exit));
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").field("name", &self.name).finish_non_exhaustive()
    }
}
