//! The one thread that starts, watches and reaps the children of this process.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};
use tokio::sync::oneshot;

use crate::child::discard;
use crate::enforcement::enforce;
use crate::exit::ExitKind;
use crate::guardian::Guardian;
use crate::pipes::{Pipes, TURN};
use crate::poller::{Event, Key, Poller};
use crate::worker::pid_of;
use crate::{Child, Exit, Launch, Output, Watch};

/// How long to wait before asking again for the status of a child whose debugger has not yet heard of its death.
const RECHECK: Duration = Duration::from_millis(10);

/// Starts a child, in a group of its own and under the guardian's eyes, and tells `watch` what it does.
///
/// Resolves when the system has made the process and it is on the guardian's list. The work is done by a thread that
/// outlives every runtime and every caller, so the child may too.
///
/// # Cancellation
/// Dropped before it resolves, no child is left: it is not started, or killed at once.
///
/// # Errors
/// The program cannot be run (the error names it), the system is out of processes, descriptors or memory, or the guardian
/// cannot be kept alive. `InvalidInput` if no guardian was set, and for [`Limits`](crate::Limits) that make no sense; a limit that is
/// not enforced is no error: see [`Child::unenforced`].
///
/// # Platform-specific behavior
/// Linux kills the worker when the thread that started it ends; that thread never does. Children that are waited for by
/// somebody else in this program end as [`ExitKind::Unknown`]; a program that has told the system to reap its children
/// by itself (`SIGCHLD` ignored, or `SA_NOCLDWAIT`) is set back to the default.
pub async fn spawn(launch: Launch, watch: Arc<dyn Watch>) -> io::Result<Child> {
    let (started, start) = oneshot::channel();
    Processes::get()?.request(Request { launch, watch, started });
    match start.await {
        Ok(started) => Ok(started?.claim()),
        Err(_) => Err(io::Error::other("the process thread is gone")),
    }
}

struct Request {
    launch: Launch,
    watch: Arc<dyn Watch>,
    started: oneshot::Sender<io::Result<Unclaimed>>,
}

/// A child on its way to the one who wanted it; killed if it does not get there, for nobody else can have it.
struct Unclaimed(Option<Child>);

impl Unclaimed {
    fn claim(mut self) -> Child {
        self.0.take().expect("a child is claimed once")
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            child.kill();
        }
    }
}

/// What others share with the process thread.
struct Processes {
    requests: Mutex<VecDeque<Request>>,
    wake: OwnedFd,
}

static PROCESSES: Mutex<Option<Arc<Processes>>> = Mutex::new(None);

impl Processes {
    /// Those of this program, whose thread starts now if it has not yet.
    fn get() -> io::Result<Arc<Self>> {
        let mut processes = PROCESSES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(processes) = &*processes {
            return Ok(Arc::clone(processes));
        }
        let new = Arc::new(Self {
            requests: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let poller = Poller::new()?;
        poller.watch(&new.wake, Event::Request)?;
        let worker = ProcessThread::new(Arc::clone(&new), poller);
        thread::Builder::new().name("processes".into()).spawn(move || worker.run())?;
        *processes = Some(Arc::clone(&new));
        Ok(new)
    }

    fn request(&self, request: Request) {
        self.requests().push_back(request);
        // Fails only if nobody has looked for 2^64 requests.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and all it knows.
struct ProcessThread {
    shared: Arc<Processes>,
    poller: Poller,
    guardian: Guardian,
    children: HashMap<Key, Running>,
    /// Those whose end is known but not yet to be had.
    recheck: Vec<Key>,
    buf: Box<[u8]>,
}

struct Running {
    child: Child,
    pidfd: OwnedFd,
    pipes: Pipes,
    watch: Arc<dyn Watch>,
}

impl ProcessThread {
    fn new(shared: Arc<Processes>, poller: Poller) -> Self {
        Self {
            shared,
            poller,
            guardian: Guardian::default(),
            children: HashMap::new(),
            recheck: Vec::new(),
            buf: vec![0; TURN].into_boxed_slice(),
        }
    }

    /// Never returns: the kernel kills every child when the thread that started it ends.
    fn run(mut self) {
        block_signals();
        let lost = catch_unwind(AssertUnwindSafe(|| self.serve()));
        // A program that goes on without hearing of its children's deaths is worse than one that ends.
        eprintln!("the process thread failed: {lost:?}");
        std::process::abort();
    }

    fn serve(&mut self) -> rustix::io::Errno {
        let mut events = Vec::new();
        loop {
            // One start a turn, so that many of them don't keep the deaths of others waiting.
            let more = self.start_one();
            let timeout = if more { Some(Duration::ZERO) } else { self.timeout() };
            if let Err(error) = self.poller.wait(&mut events, timeout) {
                return error;
            }
            self.handle(&events);
        }
    }

    fn handle(&mut self, events: &[Event]) {
        // Deaths before output: a child that floods us delays nobody's.
        for event in events {
            match *event {
                Event::Exit(key) => self.handle_exit(key),
                Event::Guardian(key) => {
                    self.guardian.handle_exit(key, Instant::now(), &mut self.poller);
                }
                Event::Request => self.quiet(),
                Event::Output(..) => {}
            }
        }
        for key in std::mem::take(&mut self.recheck) {
            self.handle_exit(key);
        }
        for event in events {
            if let Event::Output(key, from) = *event {
                self.handle_output(key, from);
            }
        }
        self.guardian.handle_timeout(Instant::now(), &mut self.poller);
    }

    fn timeout(&self) -> Option<Duration> {
        let recheck = (!self.recheck.is_empty()).then_some(RECHECK);
        let wanted = !self.shared.requests().is_empty();
        let guardian = self.guardian.timeout(wanted).map(|at| at.saturating_duration_since(Instant::now()));
        recheck.into_iter().chain(guardian).min()
    }

    /// Takes back the wake-up; the requests are in the queue.
    fn quiet(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.shared.wake, &mut count);
    }

    /// Starts the next child and says whether there are more to start now.
    fn start_one(&mut self) -> bool {
        let now = Instant::now();
        if !self.guardian.is_ready(now) {
            return false;
        }
        let (request, more) = {
            let mut requests = self.shared.requests();
            let Some(request) = requests.pop_front() else {
                return false;
            };
            (request, !requests.is_empty())
        };
        if request.started.is_closed() {
            return more;
        }
        let name = request.launch.name.clone();
        let path = request.launch.program.path.clone();
        let started = self.start(now, request.launch, request.watch).map_err(|source| {
            let kind = source.kind();
            io::Error::new(kind, StartError { name, path, source })
        });
        // If nobody waits any more, the child is killed as it is dropped.
        let _ = request.started.send(started.map(|child| Unclaimed(Some(child))));
        more
    }

    fn start(&mut self, now: Instant, launch: Launch, watch: Arc<dyn Watch>) -> io::Result<Child> {
        launch.limits.check()?;
        self.guardian.ensure(now, &mut self.poller)?;
        keep_zombies();
        let limits = launch.limits.clone();
        let mut command = command(launch);
        let mut process = command.spawn()?;
        // It holds the child's ends of everything.
        drop(command);
        let pid = pid_of(process.id()).ok_or_else(|| io::Error::other("the system gave an impossible pid"))?;
        let key = self.poller.next_key();
        // The pid is that of our own child, which nobody has reaped.
        let watched = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pidfd| {
            let pipes = Pipes::take(&mut process)?;
            Ok((pidfd, pipes))
        });
        let (pidfd, mut pipes) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                discard(pid)?;
                return Err(error);
            }
        };
        // Before anybody hears of the child: what it does by our word it does under guard.
        self.guardian.add(pid, &mut self.poller);
        let watched = self.poller.watch(&pidfd, Event::Exit(key)).and_then(|()| pipes.watch(key, &self.poller));
        if let Err(error) = watched {
            self.poller.forget(&pidfd);
            pipes.abandon(&self.poller);
            self.guardian.remove(pid, &mut self.poller);
            discard(pid)?;
            return Err(error);
        }
        // It waits to be greeted, and nobody can greet it yet.
        let child = Child::new(pid, enforce(pid, &limits));
        let running = Running { child: child.clone(), pidfd, pipes, watch };
        self.children.insert(key, running);
        Ok(child)
    }

    fn handle_output(&mut self, key: Key, from: Output) {
        // A child that ended in the same turn has no pipes any more.
        if let Some(running) = self.children.get_mut(&key) {
            let watch = &running.watch;
            running.pipes.read(from, &mut self.buf, &self.poller, |bytes| {
                tell(|| watch.output(from, bytes));
            });
        }
    }

    /// The order matters. As long as the leader is a zombie its group id is its own: until then the rest of the group can
    /// be killed and the guardian's list be changed without hitting a stranger. What was written is told before the end is.
    fn handle_exit(&mut self, key: Key) {
        let Some(running) = self.children.get_mut(&key) else {
            return;
        };
        let status = rustix::io::retry_on_intr(|| {
            waitid(
                WaitId::PidFd(running.pidfd.as_fd()),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
            )
        });
        let group = running.child.group();
        let exit = match status {
            Ok(Some(status)) => {
                // Whoever is left of it; there may be nobody.
                let _ = kill_process_group(group, Signal::KILL);
                Exit::from_status(&status)
            }
            // Dead, but its tracer is told first.
            Ok(None) => {
                self.poller.forget(&running.pidfd);
                self.recheck.push(key);
                return;
            }
            // Somebody else has reaped it: the group id is no longer ours to signal.
            Err(_) => Exit { kind: ExitKind::Unknown },
        };
        self.poller.forget(&running.pidfd);
        let watch = Arc::clone(&running.watch);
        running.pipes.drain(&mut self.buf, &self.poller, |from, bytes| {
            tell(|| watch.output(from, bytes));
        });
        self.guardian.remove(group, &mut self.poller);
        if let Some(running) = self.children.remove(&key) {
            running.child.reap(&running.pidfd);
        }
        tell(|| watch.exited(exit));
    }
}

fn command(launch: Launch) -> Command {
    let output = || {
        if launch.capture { Stdio::piped() } else { Stdio::inherit() }
    };
    let mut command = launch.program.command();
    command.stdin(Stdio::from(launch.stdin.into_descriptor())).stdout(output()).stderr(output()).process_group(0);
    command
}

/// What others do in here must not end the thread; the message of the panic has been written by its hook.
fn tell(told: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(told));
}

/// The signals of this program are for its other threads.
fn block_signals() {
    // SAFETY: an all-zero `sigset_t` is a valid value to be overwritten; the mask is that of this thread alone.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
}

/// Takes back an order that the system reap our children by itself: their statuses would be lost and their group ids given
/// to others while the guardian has them on its list.
fn keep_zombies() {
    // SAFETY: an all-zero `sigaction` is a valid value to be overwritten; what is set is what was there, or the default.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, ptr::null(), &mut action) != 0 {
            return;
        }
        let ignored = action.sa_sigaction == libc::SIG_IGN;
        if !ignored && action.sa_flags & libc::SA_NOCLDWAIT == 0 {
            return;
        }
        if ignored {
            action.sa_sigaction = libc::SIG_DFL;
        }
        action.sa_flags &= !libc::SA_NOCLDWAIT;
        libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut());
    }
}

/// A child that could not be started.
#[derive(Debug)]
struct StartError {
    name: String,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, path, source } = self;
        write!(f, "failed to start {name} ({}): {source}", path.display())
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
