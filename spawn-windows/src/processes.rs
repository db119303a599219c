//! The one thread that starts and watches the children of this process.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::ffi::c_void;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::sync::oneshot;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Console::{
    GetConsoleMode, GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE, STD_OUTPUT_HANDLE,
};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
};

use crate::command::{self, Standard};
use crate::enforcement::enforce;
use crate::job::Job;
use crate::output::Pipes;
use crate::port::{Event, Key, Port};
use crate::telling::Telling;
use crate::{Child, Launch, Output, Watch, check_limits};

/// Starts a child, in a job of its own, and tells `watch` what it does.
///
/// Resolves when the system has made the process. The work is done by a thread that outlives every runtime and every caller,
/// so the child may too.
///
/// # Cancellation
/// Dropped before it resolves, no child is left: it is not started, or killed at once.
///
/// # Errors
/// The program cannot be run (the error names it), or the system is out of memory. `InvalidInput` for
/// [`Limits`](crate::Limits) that make no sense; a limit that is not enforced is no error: see [`Child::unenforced`].
///
/// # Platform-specific behavior
/// On Windows the child has the three standard handles and no other of this process, and leads a process group, so that
/// Ctrl-C is not for it. It has no console, unless it inherits an output that is one: a console program that it starts in
/// turn is given one by the system, with a window, if it is not told otherwise. Its descendants are in its job and cannot
/// leave it.
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
    port: Port,
}

/// Those of this program, once its thread runs.
static PROCESSES: OnceLock<Processes> = OnceLock::new();

impl Processes {
    /// Those of this program, whose thread starts now if it has not yet.
    fn get() -> io::Result<&'static Self> {
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(processes) = PROCESSES.get() {
            return Ok(processes);
        }
        let port = Port::new()?;
        // It waits for what it is to serve.
        thread::Builder::new().name("processes".into()).spawn(|| ProcessThread::new(PROCESSES.wait()).run())?;
        Ok(PROCESSES.get_or_init(|| Self { requests: Mutex::default(), port }))
    }

    fn request(&self, request: Request) {
        self.requests().push_back(request);
        self.port.post(Event::Request);
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and all it knows.
struct ProcessThread {
    shared: &'static Processes,
    children: HashMap<Key, Running>,
    last_key: u64,
}

struct Running {
    /// Before the child, whose process it waits for.
    _end: EndWait,
    child: Child,
}

impl ProcessThread {
    fn new(shared: &'static Processes) -> Self {
        Self { shared, children: HashMap::new(), last_key: 0 }
    }

    fn run(mut self) {
        let lost = catch_unwind(AssertUnwindSafe(|| self.serve()));
        // A program that goes on without hearing of its children's deaths is worse than one that ends.
        eprintln!("the process thread failed: {lost:?}");
        std::process::abort();
    }

    fn serve(&mut self) -> io::Error {
        let mut events = Vec::new();
        loop {
            // One start a turn, so that many of them don't keep the deaths of others waiting.
            let more = self.start_one();
            if let Err(error) = self.shared.port.wait(&mut events, more) {
                return error;
            }
            // Deaths before output: a child that floods us delays nobody's.
            for event in &events {
                if let Event::Exit(key) = *event {
                    self.handle_exit(key);
                }
            }
            for event in &events {
                if let Event::Output(key, from) = *event {
                    self.handle_output(key, from);
                }
            }
        }
    }

    /// Starts the next child and says whether there are more to start now.
    fn start_one(&mut self) -> bool {
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
        let started = self.start(request.launch, request.watch).map_err(|source| {
            let kind = source.kind();
            io::Error::new(kind, StartError { name, path, source })
        });
        // If nobody waits any more, the child is killed as it is dropped.
        let _ = request.started.send(started.map(|child| Unclaimed(Some(child))));
        more
    }

    fn start(&mut self, launch: Launch, watch: Arc<dyn Watch>) -> io::Result<Child> {
        check_limits(&launch.limits)?;
        self.last_key += 1;
        let key = Key(self.last_key);
        let (pipes, standard) = standard(launch.stdin.into_handle(), launch.capture, key, &self.shared.port)?;
        let job = Job::new()?;
        // Before there is a process that could be without them.
        let unenforced = enforce(&job, &launch.limits);
        let made = command::create(&launch.program, &standard, &job)?;
        // The child's ends of everything: it must be the only one to have them.
        drop(standard);
        let child = Child::new(made.pid, made.process, job, Telling::new(pipes, watch), unenforced);
        let end = match EndWait::new(child.as_handle(), key) {
            Ok(end) => end,
            Err(error) => {
                child.kill();
                return Err(error);
            }
        };
        child.telling().begin();
        self.children.insert(key, Running { _end: end, child: child.clone() });
        Ok(child)
    }

    fn handle_output(&mut self, key: Key, from: Output) {
        // There is none if the child ended in the same turn.
        if let Some(running) = self.children.get_mut(&key) {
            running.child.telling().read(from);
        }
    }

    /// Tells of the end, if nobody has done that yet.
    fn handle_exit(&mut self, key: Key) {
        if let Some(running) = self.children.remove(&key) {
            running.child.mourn();
        }
    }
}

/// The standard handles of a child, and our ends of its output.
fn standard(stdin: OwnedHandle, capture: bool, key: Key, port: &Port) -> io::Result<(Pipes, Standard)> {
    if capture {
        let (pipes, [stdout, stderr]) = Pipes::new(key, port)?;
        return Ok((pipes, Standard { stdin, stdout, stderr, console: false }));
    }
    let (stdout, one) = inherited(STD_OUTPUT_HANDLE)?;
    let (stderr, other) = inherited(STD_ERROR_HANDLE)?;
    Ok((Pipes::default(), Standard { stdin, stdout, stderr, console: one || other }))
}

/// A standard handle of this process, for a child, and whether it is the console; the null device where there is none.
fn inherited(which: STD_HANDLE) -> io::Result<(OwnedHandle, bool)> {
    // SAFETY: asks.
    let handle = unsafe { GetStdHandle(which) };
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Ok((OpenOptions::new().write(true).open("NUL")?.into(), false));
    }
    let mut mode = 0;
    // SAFETY: asks; what is no console is answered so.
    let console = unsafe { GetConsoleMode(handle, &mut mode) } != 0;
    // SAFETY: a standard handle stays open unless this program closes it, which is not for others to survive.
    let handle = unsafe { BorrowedHandle::borrow_raw(handle) };
    Ok((handle.try_clone_to_owned()?, console))
}

/// Reports the end of a process to the port.
///
/// A thread of the system waits for many of them at a time, and has another for each further 63: there is no limit to them.
#[derive(Debug)]
struct EndWait(HANDLE);

// SAFETY: the handle is the system's name of the wait, whichever thread takes it back.
unsafe impl Send for EndWait {}

impl EndWait {
    fn new(process: BorrowedHandle<'_>, Key(key): Key) -> io::Result<Self> {
        unsafe extern "system" fn ended(key: *mut c_void, _timed_out: bool) {
            if let Some(processes) = PROCESSES.get() {
                processes.port.post(Event::Exit(Key(key.addr() as u64)));
            }
        }
        let mut wait = ptr::null_mut();
        let key: *const c_void = ptr::without_provenance(key as usize);
        // SAFETY: the process stays open until the wait is taken back; what the callback is given is a number only.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &mut wait,
                process.as_raw_handle(),
                Some(ended),
                key,
                INFINITE,
                WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD,
            )
        };
        if registered == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(wait)) }
    }
}

impl Drop for EndWait {
    fn drop(&mut self) {
        // SAFETY: taken back once, by the process thread, which the callback does not wait for.
        unsafe { UnregisterWaitEx(self.0, INVALID_HANDLE_VALUE) };
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
