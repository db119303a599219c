//! How far the job is: a bar on a terminal, a plain line now and then where the output is piped. Both on stderr.

use std::fmt;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressState, ProgressStyle};

use crate::inspect::FileRow;
use crate::walk::{Found, Walk};

/// The time between two plain lines.
const PACE: Duration = Duration::from_secs(1);

/// Before the number of files is known, and after.
const COUNTING: &str = "{spinner} {human_pos} files, {rate} files/s, {msg}";
const COUNTED: &str = "{wide_bar} {human_pos}/{human_len} files, {rate} files/s, {msg}, {eta} left";

/// The progress of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    files: u64,
    bytes: u64,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines(Pace),
}

/// When the next line is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    last: Instant,
}

impl Progress {
    /// A bar if stderr is a terminal, lines if not.
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::no_length().with_style(style(COUNTING));
        let shown = if bar.is_hidden() { Shown::Lines(Pace { last: Instant::now() }) } else { Shown::Bar(bar) };
        Self { files: 0, bytes: 0, shown }
    }

    /// Counts the files of `walk` beside the job, so that the bar knows its end. Lines need none, and do not pay for it.
    pub(crate) fn count_ahead(&self, walk: impl FnOnce() -> io::Result<Walk>) -> io::Result<()> {
        if let Shown::Bar(bar) = &self.shown {
            let (bar, walk) = (bar.clone(), walk()?);
            // Detached: where the job is faster, nobody waits for the count.
            thread::spawn(move || {
                let files = walk.filter(|found| matches!(found, Found::File(_))).count();
                bar.set_style(style(COUNTED));
                bar.set_length(files as u64);
            });
        }
        Ok(())
    }

    /// A file is done, read or failed.
    pub(crate) fn file(&mut self, row: &FileRow) {
        self.files += 1;
        if row.error.is_none() {
            self.bytes += row.size.unwrap_or(0);
        }
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_message(BinaryBytes(self.bytes).to_string());
                bar.inc(1);
            }
            Shown::Lines(pace) => {
                if pace.due(Instant::now()) {
                    let line = format!("catalog: {} files so far, {}", HumanCount(self.files), BinaryBytes(self.bytes));
                    self.say(&line);
                }
            }
        }
    }

    /// Shows a line now, above the bar if there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.println(line),
            // A reader that went away is no reason to stop the job.
            Shown::Lines(_) => {
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
        }
    }

    /// Takes the bar away, to make room for the summary.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Pace {
    fn due(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.last) >= PACE;
        if due {
            self.last = now;
        }
        due
    }
}

fn style(template: &str) -> ProgressStyle {
    // indicatif's own key for the speed has four decimals.
    let rate = |state: &ProgressState, line: &mut dyn fmt::Write| {
        let _ = write!(line, "{:.0}", state.per_sec());
    };
    let style = ProgressStyle::with_template(template).expect("a constant that the tests have parsed");
    style.with_key("rate", rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_good() {
        style(COUNTING);
        style(COUNTED);
    }

    #[test]
    fn a_line_is_due_once_in_a_while() {
        let start = Instant::now();
        let mut pace = Pace { last: start };
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let due: Vec<bool> = [1, 999, 1000, 1001, 1999, 2000].map(|time| pace.due(after(time))).to_vec();
        assert_eq!(due, [false, false, true, false, false, true]);
    }
}
