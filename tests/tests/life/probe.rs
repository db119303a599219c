//! An actor that does as it is told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use procession::Failure;
use procession::prelude::*;
use serde::{Deserialize, Serialize};

use super::system;

/// What a probe is built from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    pub note: String,
    /// Where it writes `start`, `ready` and `stop`, each with its name.
    pub log: Option<PathBuf>,
    pub init: Init,
    pub stop: AtStop,
}

/// How its init goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum Init {
    #[default]
    Ready,
    Fail,
    Panic,
    Exit(i32),
    /// Computes and never ends.
    Spin,
    /// Is killed if the file is there.
    CrashIf(PathBuf),
    /// Goes on once the file is there.
    WaitFor(PathBuf),
    /// Starts a sleeper first, whose pid goes into the file, then never ends.
    HangWithGrandchild(PathBuf),
}

/// What its stop hook does after it has told of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum AtStop {
    #[default]
    End,
    /// Ends its own supervisor in order.
    EndNested,
    Panic,
    /// Ends, but its process does not: what is left to be printed cannot be.
    HoldOutput,
}

/// How it is told to end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum How {
    Normal,
    Panic,
    Code(i32),
    Abort,
}

#[derive(Actor)]
pub struct Probe {
    plan: Plan,
    n: i64,
    nested: Option<Supervisor>,
}

impl Plan {
    pub fn named(note: &str) -> Self {
        Self { note: note.to_owned(), ..Self::default() }
    }

    pub fn init(init: Init) -> Self {
        Self { init, ..Self::default() }
    }

    pub fn log(mut self, log: PathBuf) -> Self {
        self.log = Some(log);
        self
    }

    fn tell(&self, what: &str, name: &str) {
        if let Some(log) = &self.log {
            append(log, &format!("{what} {name}\n"));
        }
    }
}

/// Adds a line, one process after the other: where appending is to look for the end and then to write there, as in Wine, two
/// at once may write the same place.
pub fn append(path: &Path, line: &str) {
    let turn = std::fs::File::create(path.with_extension("turn")).expect("a file");
    turn.lock().expect("it is ours in the end");
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a file");
    file.write_all(line.as_bytes()).expect("room");
}

/// A process that knows nothing of procession, a child of whoever calls this.
pub fn sleeper() -> u32 {
    let mut sleeper = Command::new(env!("CARGO_BIN_EXE_sleeper"));
    sleeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sleeper.spawn().expect("it runs").id()
}

pub fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[handlers]
impl Probe {
    #[init]
    pub async fn new(plan: Plan, ctx: &Context<Self>) -> Result<Self, Failure> {
        plan.tell("start", ctx.name());
        match &plan.init {
            Init::Ready => {}
            Init::Fail => return Err(Failure::new("told to fail")),
            Init::Panic => panic!("told to panic"),
            Init::Exit(code) => std::process::exit(*code),
            Init::Spin => spin(),
            Init::CrashIf(flag) => {
                if flag.exists() {
                    system::kill(std::process::id());
                }
            }
            Init::WaitFor(flag) => appears(flag).await,
            Init::HangWithGrandchild(file) => {
                append(file, &format!("{}\n", sleeper()));
                std::future::pending::<()>().await;
            }
        }
        plan.tell("ready", ctx.name());
        Ok(Self { plan, n: 0, nested: None })
    }

    #[stop]
    pub async fn ending(&mut self, ctx: &Context<Self>) {
        self.plan.tell("stop", ctx.name());
        match self.plan.stop {
            AtStop::End => {}
            AtStop::EndNested => {
                if let Some(nested) = self.nested.take() {
                    nested.shutdown().await.expect("it did not give up");
                }
            }
            AtStop::Panic => panic!("told to panic at the stop"),
            AtStop::HoldOutput => {
                let (held, holds) = std::sync::mpsc::channel();
                std::thread::spawn(move || {
                    let _output = std::io::stdout().lock();
                    held.send(()).expect("it is awaited");
                    loop {
                        std::thread::park();
                    }
                });
                holds.recv().expect("it holds it");
            }
        }
    }

    #[call]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    pub fn note(&self) -> String {
        self.plan.note.clone()
    }

    #[call]
    pub fn count(&mut self) -> i64 {
        self.n += 1;
        self.n
    }

    #[cast]
    pub fn end(&mut self, how: How, ctx: &Context<Self>) {
        match how {
            How::Normal => ctx.stop(),
            How::Panic => panic!("told to panic"),
            How::Code(code) => std::process::exit(code),
            How::Abort => std::process::abort(),
        }
    }

    /// Never answers and never lets go of its thread.
    #[call(timeout = "1h")]
    pub fn compute(&mut self, began: PathBuf) {
        super::touch(&began);
        spin()
    }

    /// Never answers, and waits.
    #[call(timeout = "1h")]
    pub async fn hang(&mut self, began: PathBuf) {
        super::touch(&began);
        std::future::pending::<()>().await;
    }

    /// Answers when the file is there.
    #[call(timeout = "1h")]
    pub async fn work(&mut self, began: PathBuf, go_on: PathBuf) -> String {
        super::touch(&began);
        appears(&go_on).await;
        "worked".to_owned()
    }

    /// Answers once it has heard that it is to stop.
    #[call(timeout = "1h")]
    pub async fn work_until_stopped(&mut self, began: PathBuf, ctx: &Context<Self>) -> String {
        super::touch(&began);
        ctx.stopping().await;
        "worked".to_owned()
    }

    #[call(timeout = "30s")]
    pub fn grandchild(&mut self, frozen: bool) -> u32 {
        let pid = sleeper();
        if frozen {
            system::freeze(pid);
        }
        pid
    }

    /// Starts a supervisor of its own with so many probes; their pids.
    #[call(timeout = "1h")]
    pub async fn nest(&mut self, children: u32) -> Result<Vec<u32>, Failure> {
        let nested = super::quiet().start().await?;
        let mut pids = Vec::new();
        for number in 0..children {
            let plan = Plan { log: self.plan.log.clone(), ..Plan::default() };
            let child = nested.spawn::<Probe>(format!("nested {number}"), plan).await?;
            pids.push(child.pid().await?);
        }
        self.nested = Some(nested);
        Ok(pids)
    }

    #[cast]
    pub fn fail(&mut self) -> Result<(), Failure> {
        Err(Failure::new("told to fail"))
    }

    /// Prints so many lines, the number of each in front of the text.
    #[call(timeout = "1h")]
    pub fn print(&mut self, lines: u32, text: String) {
        for line in 0..lines {
            println!("{line} {text}");
        }
    }

    /// Writes as it is, without an end of line.
    #[call(timeout = "1h")]
    pub fn write(&mut self, text: String, to_stderr: bool) {
        if to_stderr {
            eprint!("{text}");
        } else {
            print!("{text}");
            let _ = std::io::stdout().flush();
        }
    }
}
