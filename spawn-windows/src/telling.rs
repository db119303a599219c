//! What a child does, told in order.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::output::Pipes;
use crate::{Exit, Output, Watch};

/// What is left to tell of a child. Whoever tells has it alone, so that everything comes once, and the end last.
pub(crate) struct Telling {
    pipes: Pipes,
    /// Gone when the end has been told.
    watch: Option<Arc<dyn Watch>>,
}

impl Telling {
    pub(crate) fn new(pipes: Pipes, watch: Arc<dyn Watch>) -> Self {
        Self { pipes, watch: Some(watch) }
    }

    /// Whether the end has been told.
    pub(crate) fn is_over(&self) -> bool {
        self.watch.is_none()
    }

    /// Begins to read.
    pub(crate) fn begin(&mut self) {
        self.pipes.begin();
    }

    /// Tells what was read, and goes on.
    pub(crate) fn read(&mut self, from: Output) {
        // The pipes of a child whose end was told are closed.
        if let Some(watch) = &self.watch {
            self.pipes.read(from, |bytes| tell(|| watch.output(from, bytes)));
        }
    }

    /// Tells what was written until now, and the end.
    pub(crate) fn end(&mut self, exit: Exit) {
        if let Some(watch) = self.watch.take() {
            self.pipes.drain(|from, bytes| tell(|| watch.output(from, bytes)));
            tell(|| watch.exited(exit));
        }
    }
}

/// What others do in here must not end the thread; the message of the panic has been written by its hook.
fn tell(told: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(told));
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").field("pipes", &self.pipes).finish_non_exhaustive()
    }
}
