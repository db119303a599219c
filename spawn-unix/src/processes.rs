//! The one thread that starts, watches and reaps the children of this process.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::sync::oneshot;

use crate::child::{Mourned, discard};
use crate::enforcement::enforce;
use crate::guardian::Guardian;
use crate::launch::command_for;
use crate::pipes::{Pipes, TURN};
use crate::poller::{Event, Key, Poller};
use crate::telling::Telling;
use crate::worker::pid_of;
use crate::{Child, Launch, Output, Watch, check_limits};

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
/// somebody else in this program end as [`ExitKind::Unknown`](crate::ExitKind::Unknown); a program that has told the system
/// to reap its children by itself (`SIGCHLD` ignored, or `SA_NOCLDWAIT`) is set back to the default.
pub async fn spawn(launch: Launch, watch: Arc<dyn Watch>) -> io::Result<Child> {
    let (started, start) = oneshot::channel();
    Processes::get()?.request(Request { launch, watch, started });
    match start.await {
        Ok(started) => Ok(started?.claim()),
        Err(_) => Err(io::Error::other("the process thread is gone")),
    }
}

/// Has the process thread ask for the end of this child again and again, where the system cannot tell of it.
pub(crate) fn look_after(key: Key) {
    if let Ok(processes) = Processes::get() {
        lock(&processes.unwatched).push(key);
        processes.wake();
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
    /// Children whose ends nobody tells this thread of.
    unwatched: Mutex<Vec<Key>>,
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
            unwatched: Mutex::default(),
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
        self.wake();
    }

    fn wake(&self) {
        // Fails only if nobody has looked for 2^64 requests.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and all it knows.
struct ProcessThread {
    shared: Arc<Processes>,
    poller: Poller,
    guardian: Arc<Mutex<Guardian>>,
    children: HashMap<Key, Running>,
    /// Those whose end is known but not yet to be had.
    recheck: Vec<Key>,
    buf: Box<[u8]>,
}

struct Running {
    child: Child,
    pidfd: Arc<OwnedFd>,
}

impl ProcessThread {
    fn new(shared: Arc<Processes>, poller: Poller) -> Self {
        Self {
            shared,
            poller,
            guardian: Arc::default(),
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
                    lock(&self.guardian).handle_exit(key, Instant::now(), &mut self.poller);
                }
                Event::Request => {
                    self.quiet();
                    self.recheck.append(&mut lock(&self.shared.unwatched));
                }
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
        lock(&self.guardian).handle_timeout(Instant::now(), &mut self.poller);
    }

    fn timeout(&self) -> Option<Duration> {
        let recheck = (!self.recheck.is_empty()).then_some(RECHECK);
        let wanted = !self.shared.requests().is_empty();
        let guardian = lock(&self.guardian).timeout(wanted).map(|at| at.saturating_duration_since(Instant::now()));
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
        if !lock(&self.guardian).is_ready(now) {
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
        check_limits(&launch.limits)?;
        lock(&self.guardian).ensure(now, &mut self.poller)?;
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
        let (pidfd, mut telling) = match watched {
            Ok((pidfd, pipes)) => (Arc::new(pidfd), Telling::new(pipes, watch)),
            Err(error) => {
                discard(pid)?;
                return Err(error);
            }
        };
        // Before anybody hears of the child: what it does by our word it does under guard.
        lock(&self.guardian).add(pid, &mut self.poller);
        let watched = self.poller.watch(&pidfd, Event::Exit(key)).and_then(|()| telling.watch(key, &self.poller));
        if let Err(error) = watched {
            self.poller.forget(&pidfd);
            telling.close(&self.poller);
            lock(&self.guardian).remove(pid, &mut self.poller);
            discard(pid)?;
            return Err(error);
        }
        // It waits to be greeted, and nobody can greet it yet.
        let watched = self.poller.watched(key);
        let unenforced = enforce(pid, &limits);
        let child = Child::new(pid, Arc::clone(&pidfd), watched, telling, Arc::clone(&self.guardian), unenforced);
        self.children.insert(key, Running { child: child.clone(), pidfd });
        Ok(child)
    }

    fn handle_output(&mut self, key: Key, from: Output) {
        // There is none if the child ended in the same turn.
        if let Some(running) = self.children.get_mut(&key) {
            running.child.telling().read(from, &mut self.buf, &self.poller);
        }
    }

    /// Tells of the end, if nobody has done that yet.
    fn handle_exit(&mut self, key: Key) {
        let Some(Running { child, pidfd }) = self.children.remove(&key) else {
            return;
        };
        let mourned = child.mourn(|group| lock(&self.guardian).remove(group, &mut self.poller));
        child.watched().close(&pidfd);
        match mourned {
            Mourned::NotYet => {
                self.recheck.push(key);
                self.children.insert(key, Running { child: child.clone(), pidfd });
            }
            Mourned::Told => child.telling().close(&self.poller),
            // Whoever hears of it finds nothing open of it.
            Mourned::Ended { mut telling, exit } => {
                telling.close(&self.poller);
                drop(pidfd);
                telling.end(exit);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command(launch: Launch) -> Command {
    let output = || {
        if launch.capture { Stdio::piped() } else { Stdio::inherit() }
    };
    let mut command = command_for(&launch.program);
    command.stdin(Stdio::from(launch.stdin.into_descriptor())).stdout(output()).stderr(output()).process_group(0);
    command
}

/// The signals of this program are for its other threads; but not the one that tells of the end of a child. It goes to this
/// thread, as the one that has started the child: blocked here, it would not be ignored where the program does so, and wake up
/// another thread for nothing.
fn block_signals() {
    // SAFETY: an all-zero `sigset_t` is a valid value to be overwritten; the mask is that of this thread alone.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigdelset(&mut all, libc::SIGCHLD);
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
