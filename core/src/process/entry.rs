//! The way into a program: as itself, as a worker, or as the guardian of its workers.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use super::worker;
use crate::error::start::StartError;
use crate::sys::{self, Program};

/// Whether `#[procession::main]` was the first thing that this process did.
static MAIN: AtomicBool = AtomicBool::new(false);

const WORKER: &str = "procession-worker:";
const GUARDIAN: &str = "procession-guardian";

/// The entry of a test crate, made by `test_workers!`.
#[derive(Clone, Copy, Debug)]
pub struct TestEntry {
    module: &'static str,
}

inventory::collect!(TestEntry);

impl TestEntry {
    /// An entry in this module.
    #[must_use]
    pub const fn new(module: &'static str) -> Self {
        Self { module }
    }

    /// The name by which libtest finds the entry: its path without the crate.
    fn test(&self) -> String {
        match self.module.split_once("::") {
            Some((_, path)) => format!("{path}::procession_workers"),
            None => "procession_workers".to_owned(),
        }
    }
}

/// The children of this process, and how they get in.
#[derive(Clone, Debug)]
pub(crate) struct Children {
    pub(crate) program: Program,
    /// Whether what they print before the marker is the test harness's.
    pub(crate) marked: bool,
}

impl Children {
    /// How children of this program are started; an error where they would have no way in.
    pub(crate) fn of_this_program() -> Result<Self, StartError> {
        let test = inventory::iter::<TestEntry>.into_iter().next();
        let (mut args, marked): (Vec<OsString>, _) = match test {
            _ if MAIN.load(Ordering::Acquire) => (Vec::new(), false),
            Some(entry) => {
                let test = entry.test();
                (vec![test.into(), "--exact".into(), "--nocapture".into(), "--test-threads=1".into()], true)
            }
            None => return Err(StartError::NoEntry),
        };
        let path = sys::this_program().map_err(|error| StartError::Spawn {
            child: "workers".to_owned(),
            error: format!("this program's own file is not to be found: {error}"),
        })?;
        let mut guardian = args.clone();
        guardian.push(GUARDIAN.into());
        sys::set_guardian(Program { path: path.clone(), args: guardian });
        args.push(format!("{WORKER}{}", std::process::id()).into());
        Ok(Self { program: Program { path, args }, marked })
    }
}

/// The first act of a program: where it was started as a worker or as a guardian it becomes that and never returns.
pub(crate) fn enter_main() {
    MAIN.store(true, Ordering::Release);
    enter(false);
}

/// The body of the test that `test_workers!` makes: a worker's way in, and nothing in a run of the tests.
pub fn enter_test() {
    enter(true);
}

fn enter(marked: bool) {
    for argument in std::env::args_os().skip(1) {
        let Some(argument) = argument.to_str() else { continue };
        if argument == GUARDIAN {
            sys::run_guardian();
        }
        if let Some(parent) = argument.strip_prefix(WORKER) {
            match parent.parse() {
                Ok(parent) => worker::run(parent, marked),
                Err(_) => {
                    eprintln!("procession: {argument} is not how a worker is started");
                    std::process::exit(worker::EXIT_USAGE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_test_crate_is_found_in_any_module() {
        assert_eq!(TestEntry::new("suite").test(), "procession_workers");
        assert_eq!(TestEntry::new("suite::inner::tests").test(), "inner::tests::procession_workers");
    }
}
