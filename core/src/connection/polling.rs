//! When to look again and again for what comes next, in place of waiting to be told.
//!
//! Being told costs a wake-up, which takes longer than all else that a message does where both sides have a core of their own.
//! Looking costs a core. So there is a window: whoever has heard something looks for so long, and only where what was heard
//! before that came within it too. Pure.

use std::time::{Duration, Instant};

/// Whether to look.
#[derive(Debug)]
pub(crate) struct Polling {
    window: Duration,
    heard: Option<Instant>,
    is_eager: bool,
}

impl Polling {
    /// Never looks where the window is nothing.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, heard: None, is_eager: false }
    }

    /// Something has come.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.is_eager = self.heard.is_some_and(|before| now.saturating_duration_since(before) < self.window);
        self.heard = Some(now);
    }

    /// Whether anybody looks at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.window.is_zero()
    }

    /// Until when to look, if at all.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.heard.filter(|_| self.is_eager).map(|heard| heard + self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(100);

    #[test]
    fn looks_for_a_window_behind_what_came_within_a_window() {
        let began = Instant::now();
        let mut polling = Polling::new(WINDOW);
        polling.hear(began);
        assert_eq!(polling.until(), None, "one message says nothing of the next");
        polling.hear(began + WINDOW / 2);
        assert_eq!(polling.until(), Some(began + WINDOW / 2 + WINDOW));
        polling.hear(began + WINDOW * 3);
        assert_eq!(polling.until(), None, "they come too seldom");
        polling.hear(began + WINDOW * 3 + WINDOW / 3);
        assert!(polling.until().is_some());
    }

    #[test]
    fn without_a_window_it_never_looks() {
        let began = Instant::now();
        let mut polling = Polling::new(Duration::ZERO);
        polling.hear(began);
        polling.hear(began);
        assert!(!polling.is_on() && polling.until().is_none());
    }
}
