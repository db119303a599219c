//! The life of a worker process, from its first act to its exit.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::drive::{DriveEnd, drive, given, hurry, output};
use super::flusher::Flusher;
use super::place::{self, Outgoing};
use super::registration::{ActorEntry, build, registered};
use super::witness::MARKER;
use crate::actor::context::Stop;
use crate::actor::node::{Above, LocalEnd, Node, Peer, held};
use crate::actor::parcel::Parcel;
use crate::actor::party;
use crate::actor::run::{Ended, Hosting, Turn};
use crate::connection::driver::{Connection, Passed};
use crate::connection::outgoing::PATIENCE;
use crate::connection::polling::Polling;
use crate::connection::reader::Reader;
use crate::error::exit::{ExitCause, StopReason};
use crate::error::start::StartFailure;
use crate::router::{LinkKey, NewEntry, Router};
use crate::shm::journal::Journal;
use crate::shm::memories;
use crate::sys::{self, Endpoint, Greeting};
use crate::wire::codec;
use crate::wire::frame::{Frame, PAYLOAD_LIMIT};
use crate::wire::hello::Hello;

/// The exit code of a worker that was started in no sensible way.
pub(crate) const EXIT_USAGE: i32 = 64;
/// Of one whose actor did not start.
const EXIT_START: i32 = 70;
/// Of one whose actor panicked: what Rust's own runtime exits with.
const EXIT_PANIC: i32 = 101;

/// How long a worker waits for its greeting, which is written before it exists.
const GREETING: Duration = Duration::from_secs(30);

/// Becomes a worker.
pub(crate) fn run(parent: u32, marked: bool) -> ! {
    let code = sys::enter_worker(parent)
        .and_then(|endpoint| endpoint.receive_greeting(GREETING).map(|greeting| (endpoint, greeting)))
        .map_err(|error| error.to_string())
        .and_then(|(endpoint, greeting)| {
            if marked {
                println!("{MARKER}");
            }
            live(parent, endpoint, greeting)
        })
        .unwrap_or_else(|error| {
            eprintln!("procession: this worker cannot start: {error}");
            EXIT_START
        });
    let _ = std::io::stdout().flush();
    std::process::exit(code)
}

fn live(parent: u32, endpoint: Endpoint, greeting: Greeting) -> Result<i32, String> {
    let Greeting { bytes, journal } = greeting;
    let journal = Arc::new(Journal::open(journal));
    journal.enter();
    let (hello, entry) = match understand(&bytes) {
        Ok(understood) => understood,
        Err(why) => {
            let mut bytes = BytesMut::new();
            Frame::StartFailed { payload: encoded(&StartFailure::Version(why)) }.encode(&mut bytes);
            let mut stream = endpoint.into_blocking().map_err(|error| error.to_string())?;
            stream.write_all(&bytes).map_err(|error| error.to_string())?;
            return Ok(EXIT_START);
        }
    };
    if !journal.is_whole() {
        return Err("the memory that it shares with its supervisor is too small".to_owned());
    }
    sys::set_process_name(&hello.name);
    memories::limit_worker(hello.blobs);
    place::settle(place::Worker { depth: hello.depth, chunks: journal.chunks() });
    Node::enter(hello.to.run);
    party::settle(hello.to, hello.incarnation);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let code = LocalSet::new().block_on(&runtime, serve(parent, endpoint, journal, hello, entry));
    // What user code left running on other threads does not keep a worker alive.
    runtime.shutdown_background();
    code
}

fn understand(bytes: &[u8]) -> Result<(Hello, ActorEntry), String> {
    let hello = Hello::decode(bytes, build()).map_err(|error| error.to_string())?;
    let entry = registered()?.get(&hello.actor).copied();
    let entry = entry.ok_or_else(|| format!("this program has no actor {}", hello.actor))?;
    if (entry.hash)() != hello.to.type_hash {
        return Err(format!("the messages of {} differ between the supervisor and this worker", hello.actor));
    }
    Ok((hello, entry))
}

async fn serve(
    parent: u32,
    endpoint: Endpoint,
    journal: Arc<Journal>,
    hello: Hello,
    actor: ActorEntry,
) -> Result<i32, String> {
    let stream = endpoint.into_stream().map_err(|error| error.to_string())?;
    let connection = Arc::new(Connection::with_outbox(stream, None, journal.outbox()));
    let node = Node::here();
    let (init_tx, init_rx) = oneshot::channel();
    let stop = Stop::of_worker(journal.clone());
    let init = Mutex::new(Some(init_tx));
    let (spoken, stopped, news) = (connection.clone(), stop.clone(), Arc::new(AtomicBool::new(false)));
    let told = news.clone();
    let link = node.add_link(|link| {
        let above = Arc::new(Uplink { connection: spoken, link, init, stop: stopped, news: told });
        node.set_above(above.clone());
        above
    });
    place::settle_outgoing(Sendings { connection: connection.clone(), link, news: news.clone() });
    node.with(|router| router.set_uplink(link));
    let end = Arc::new(LocalEnd::of_worker(hello.name.clone(), journal.clone()));
    let about = NewEntry {
        owner: 0,
        name: hello.name.as_str().into(),
        type_hash: hello.to.type_hash,
        capacity: u32::MAX,
        methods: actor.methods.iter().map(|method| method.name).collect(),
    };
    let entry = node.with(|router| router.host(hello.to, about));
    node.add_local(entry, &end);
    let driven = connection.clone();
    let polling = Polling::new(Duration::from_micros(hello.poll_for));
    tokio::task::spawn_local(async move {
        let mut reader = Reader::new();
        if let DriveEnd::Bad(error) = drive(node, link, &driven, &mut reader, polling).await {
            eprintln!("procession: the supervisor sent what is no frame: {error}");
        }
        // Without its supervisor a worker has no purpose, and nobody who would stop it.
        sys::die_with_tree();
    });
    let Ok(init) = init_rx.await else { return Err("the supervisor is gone".to_owned()) };
    let spoken = connection.clone();
    let ready = move || {
        node.with(|router| router.send(link, &Frame::Ready));
        speak(&spoken, link);
    };
    let hosting = Hosting {
        to: hello.to,
        registry: Some(hello.registry),
        entry,
        end,
        name: hello.name,
        incarnation: hello.incarnation,
        parent,
        stop,
        init,
        ready: Box::new(ready),
        turn: Box::new(WorkerTurn::new(journal, connection.clone(), link, news)),
    };
    // A task beside the connection's: one wakes the other without a turn of the runtime in between.
    let hosted = tokio::task::spawn_local((actor.host)(hosting));
    let ended = hosted.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let (last, code) = match ended {
        Ended::StartFailed(failure) => (Frame::StartFailed { payload: encoded(&failure) }, EXIT_START),
        Ended::Stopped(StopReason::Normal) => (Frame::Bye { payload: encoded(&ExitCause::Normal) }, 0),
        Ended::Stopped(StopReason::Shutdown) => (Frame::Bye { payload: encoded(&ExitCause::Shutdown) }, 0),
        Ended::Panicked(panic) => {
            (Frame::Bye { payload: encoded(&ExitCause::Panicked(panic.to_string())) }, EXIT_PANIC)
        }
    };
    node.with(|router| router.send(link, &last));
    std::future::poll_fn(|cx| flush(&connection, link, cx)).await;
    Ok(code)
}

/// Writes what there is to say, in place of the connection's driver.
fn speak(connection: &Connection, link: LinkKey) {
    if connection.write(&mut |data| output(Node::here(), link, data)) {
        // Its task goes on with the rest when there is room.
        connection.wake.notify_one();
    }
}

/// The supervisor, as the router of a worker speaks to it.
struct Uplink {
    connection: Arc<Connection>,
    link: LinkKey,
    init: Mutex<Option<oneshot::Sender<Parcel>>>,
    stop: Stop,
    /// Whether there was something to send since it was last asked.
    news: Arc<AtomicBool>,
}

impl Peer for Uplink {
    fn flush(&self) {
        self.news.store(true, Ordering::Release);
        self.connection.wake.notify_one();
    }

    fn hurry(&self) {
        self.news.store(true, Ordering::Release);
        hurry(&self.connection, self.link);
    }

    fn frame(&self, frame: Frame) {
        match frame {
            Frame::Init { handles, payload } => {
                let parcel = Parcel { bytes: payload.into(), handles: held(handles.into()) };
                if let Some(init) = self.init.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    let _ = init.send(parcel);
                }
            }
            Frame::Stop { .. } => self.stop.ask(StopReason::Shutdown),
            _ => {}
        }
    }

    fn refuse(&self, why: String) {
        eprintln!("procession: the supervisor broke the protocol: {why}");
        sys::die_with_tree();
    }
}

impl Above for Uplink {
    fn write(&self, act: &mut dyn FnMut(&mut Router)) {
        self.news.store(true, Ordering::Release);
        let is_blocked = self.connection.write(&mut |data| {
            let ahead = Node::here().fetch(|router| {
                router.fetches(self.link);
                act(router);
                router.take_output(self.link, data)
            });
            given(ahead)
        });
        if is_blocked {
            self.connection.wake.notify_one();
        }
    }
}

/// What this worker sends, as a handler sees it that handles several things.
struct Sendings {
    connection: Arc<Connection>,
    link: LinkKey,
    news: Arc<AtomicBool>,
}

impl Outgoing for Sendings {
    fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::AcqRel)
    }

    fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()> {
        flush(&self.connection, self.link, cx)
    }
}

struct WorkerTurn {
    journal: Arc<Journal>,
    connection: Arc<Connection>,
    link: LinkKey,
    /// Whether there was something to send since what there was to send was last fetched here.
    news: Arc<AtomicBool>,
    born: Instant,
    /// The last time that was put into the journal, and the age at it.
    aged: Cell<(Instant, Duration)>,
    flusher: RefCell<Flusher>,
    /// What became of what was passed on last.
    passed: Cell<Passed>,
    /// Until when it may wait, where it does.
    waits_until: Cell<Option<Instant>>,
}

impl WorkerTurn {
    fn new(journal: Arc<Journal>, connection: Arc<Connection>, link: LinkKey, news: Arc<AtomicBool>) -> Self {
        let flusher = RefCell::new(Flusher::new(connection.clone(), link));
        let born = Instant::now();
        let aged = Cell::new((born, Duration::ZERO));
        let passed = Cell::new(Passed::Written);
        Self { journal, connection, link, news, born, aged, flusher, passed, waits_until: Cell::new(None) }
    }
}

impl Turn for WorkerTurn {
    #[inline]
    fn begins(&self, seq: u64) -> bool {
        self.journal.begin(seq)
    }

    fn started(&self, seq: u64, method: u16, now: Instant) {
        // Messages that follow each other closely have one time.
        if self.aged.get().0 != now {
            self.aged.set((now, now.saturating_duration_since(self.born)));
        }
        self.journal.start(seq, method, self.aged.get().1);
    }

    fn finished(&self, seq: u64) {
        self.journal.finish(seq);
    }

    fn pass(&self, now: Instant, speaks: bool, act: &mut dyn FnMut(&mut Router) -> bool) -> bool {
        if speaks {
            return self.pass_on(now, act);
        }
        let mut more = false;
        // Before what is there is looked for: what comes behind that is told anew.
        self.news.store(false, Ordering::Relaxed);
        let has_output = Node::here().at(now, |router| {
            more = act(router);
            router.has_output(self.link)
        });
        // Most casts say nothing, and what has waited may wait on, or not.
        let is_due = self.waits_until.get().is_some_and(|until| until <= now);
        if has_output || !more || is_due || self.connection.is_behind() {
            return self.pass_on(now, &mut |_| more);
        }
        true
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let is_due = self.waits_until.get().is_some_and(|until| until <= now);
        !is_due && !self.news.load(Ordering::Acquire) && !self.connection.is_behind()
    }

    fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.passed.get() == Passed::Blocked { self.connection.poll_safe(cx) } else { Poll::Ready(()) }
    }

    fn paused(&self) {
        if self.passed.replace(Passed::Written) != Passed::Written {
            speak(&self.connection, self.link);
        }
    }
}

impl WorkerTurn {
    fn pass_on(&self, now: Instant, act: &mut dyn FnMut(&mut Router) -> bool) -> bool {
        self.news.store(false, Ordering::Relaxed);
        let passed = self.connection.pass(now, &mut |data| {
            let (ahead, more) = Node::here().at(now, |router| {
                router.fetches(self.link);
                let more = act(router);
                (router.take_output(self.link, data), more)
            });
            (if ahead.is_empty() { Vec::new() } else { given(ahead) }, more)
        });
        self.passed.set(passed);
        match passed {
            Passed::Waiting { .. } if self.waits_until.get().is_none() => self.waits_until.set(Some(now + PATIENCE)),
            Passed::Waiting { .. } => {}
            Passed::Written | Passed::Blocked => self.waits_until.set(None),
        }
        if passed == (Passed::Waiting { unwatched: true }) && !self.flusher.borrow_mut().watch() {
            speak(&self.connection, self.link);
        }
        passed != Passed::Blocked
    }
}

fn flush(connection: &Connection, link: LinkKey, cx: &mut Context<'_>) -> Poll<()> {
    connection.poll_flush(&mut |data| output(Node::here(), link, data), cx)
}

fn encoded<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value, PAYLOAD_LIMIT).unwrap_or_default()
}
