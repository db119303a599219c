//! What workers print, as whole lines of this process's own output.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use crate::sys::Output;

/// Bytes that may wait to be printed; what does not fit is counted and said.
const WAITING: usize = 4 << 20;

/// The thread that prints: a reader of this process that is slow never blocks a worker.
static PRINTER: OnceLock<Printer> = OnceLock::new();

#[derive(Debug)]
struct Printer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<(bool, Vec<u8>)>,
    bytes: usize,
    dropped: u64,
    printing: bool,
}

/// Prints a line of a worker with its name in front, when its turn comes.
pub(crate) fn print(from: Output, name: &str, line: &[u8]) {
    let mut text = Vec::with_capacity(name.len() + line.len() + 4);
    text.push(b'[');
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"] ");
    text.extend_from_slice(line);
    text.push(b'\n');
    printer().push(matches!(from, Output::Stderr), text);
}

/// Waits until all that was handed in so far is printed, at most for so long.
pub(crate) fn flush(timeout: std::time::Duration) {
    let Some(printer) = PRINTER.get() else { return };
    let queue = printer.queue.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = printer.changed.wait_timeout_while(queue, timeout, |queue| !queue.lines.is_empty() || queue.printing);
}

fn printer() -> &'static Printer {
    PRINTER.get_or_init(|| {
        let spawned = std::thread::Builder::new().name("procession-print".to_owned()).spawn(|| PRINTER.wait().run());
        if let Err(error) = spawned {
            tracing::error!(%error, "failed to start the thread that prints workers' output");
        }
        Printer { queue: Mutex::default(), changed: Condvar::new() }
    })
}

impl Printer {
    fn push(&self, to_stderr: bool, text: Vec<u8>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.bytes + text.len() > WAITING {
            queue.dropped += 1;
        } else {
            queue.bytes += text.len();
            queue.lines.push_back((to_stderr, text));
        }
        self.changed.notify_all();
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.lines.is_empty() && queue.dropped == 0 {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.printing = true;
            let lines = std::mem::take(&mut queue.lines);
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            for (to_stderr, text) in lines {
                bytes += text.len();
                if to_stderr { &mut err } else { &mut out }.extend_from_slice(&text);
            }
            if dropped > 0 {
                err.extend_from_slice(
                    format!(
                        "[procession] {dropped} lines of workers were dropped: whoever reads this output is too slow\n"
                    )
                    .as_bytes(),
                );
            }
            // A closed output is the reader's wish.
            let _ = std::io::stdout().lock().write_all(&out).and_then(|()| std::io::stdout().flush());
            let _ = std::io::stderr().lock().write_all(&err);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.bytes -= bytes;
            queue.printing = false;
            self.changed.notify_all();
        }
    }
}
