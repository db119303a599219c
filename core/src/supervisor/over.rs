//! The end of a supervisor.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::start::StartError;

/// How a supervisor ended.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    Shutdown,
    Escalated { child: String, restarts: u32, within: Duration },
    StartFailed(StartError),
}

/// The end of a supervisor, to be made known.
#[must_use = "nobody hears of an end that is not told"]
pub(crate) struct Finished {
    over: Option<watch::Sender<Option<Over>>>,
    how: Over,
}

impl Finished {
    pub(crate) fn new(over: Option<watch::Sender<Option<Over>>>, how: Over) -> Self {
        Self { over, how }
    }

    pub(crate) fn tell(self) {
        if let Some(over) = self.over {
            over.send_replace(Some(self.how));
        }
    }
}
