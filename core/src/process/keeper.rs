//! One incarnation of an actor in a process of its own: born, driven, stopped and mourned by one task.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::drive::{DriveEnd, drive, hear_out, hurry};
use super::entry::Children;
use super::limits::Limits;
use super::registration::{ActorEntry, build};
use super::witness::{LineSink, Witness};
use crate::actor::node::{Node, Peer};
use crate::actor::parcel::Parcel;
use crate::connection::driver::Connection;
use crate::connection::polling::Polling;
use crate::connection::reader::Reader;
use crate::error::exit::{Exit, ExitCause};
use crate::error::start::{StartError, StartFailure};
use crate::event::{self, Event};
use crate::router::{EntryKey, LinkKey};
use crate::shm::chunk::Places;
use crate::shm::journal::Journal;
use crate::sys::{self, Child, Endpoint, ExitKind, Launch, Vigil};
use crate::wire::budget::Budget;
use crate::wire::codec;
use crate::wire::frame::Frame;
use crate::wire::hello::Hello;

/// How long a worker has between being asked by the system to end and being killed.
const TERMINATE: Duration = Duration::from_millis(500);
/// How long a process may take to end after its last word.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to look whether a process has ended whose connection has: it ends microseconds later, if that is why.
const LOOK: Duration = Duration::from_micros(50);
/// How long the last bytes of a dead process may take to be read.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What an incarnation is made of.
pub(crate) struct Incarnation {
    pub(crate) owner: u64,
    pub(crate) name: String,
    pub(crate) actor: ActorEntry,
    pub(crate) hello: Hello,
    pub(crate) entry: EntryKey,
    /// The encoded init argument.
    pub(crate) init: Parcel,
    pub(crate) init_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) children: Children,
    /// Takes the worker's lines; where there is none it prints by itself.
    pub(crate) lines: Option<LineSink>,
}

/// How an incarnation is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Not at all.
    Live,
    /// In order: it is asked, and killed when the grace is over.
    Stop { grace: Duration },
    /// At once.
    Kill,
}

/// The end of an incarnation.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// Why it never was ready, if it never was.
    pub(crate) failed: Option<StartError>,
    /// Its connection; whoever has told the router of the end closes it.
    pub(crate) link: Option<LinkKey>,
}

/// What is left of an incarnation that has ended. To clear it away takes longer than to tell of the end, which goes first.
#[expect(dead_code, reason = "only kept, to be dropped")]
pub(crate) struct Remains(Option<(Born, Option<Vigil>)>);

/// Runs an incarnation to its end. Never fails and never leaves a process behind: one that is dropped is killed.
pub(crate) async fn keep(
    incarnation: Incarnation,
    mut wish: watch::Receiver<Wish>,
    ready: impl FnOnce(&Child, Places),
) -> (End, Remains) {
    let name = incarnation.name.clone();
    let lines = incarnation.lines.clone();
    let capture = lines.is_some();
    let sink = lines.unwrap_or_else(|| Arc::new(|_, _, _| {}));
    let witness = Arc::new(Witness::new(name.clone(), incarnation.children.marked, sink));
    match begin(&incarnation, &witness, capture).await {
        Ok(born) => {
            let guard = Guard { child: Some(born.child.clone()), link: Some(born.link) };
            Keeper { incarnation, witness, born, guard, vigil: None, cause: None, failed: None, is_refused: false }
                .live(&mut wish, ready)
                .await
        }
        Err(begun) => {
            // A process that exists ends before it is spoken of.
            let exit = match begun.child {
                Some(child) => {
                    child.kill();
                    mourn(&child, &witness, None).await
                }
                None => Exit { pid: 0, cause: ExitCause::StartFailed(begun.error.to_string()), stderr: String::new() },
            };
            (End { exit, failed: Some(begun.error), link: None }, Remains(None))
        }
    }
}

/// A process that has been greeted.
struct Born {
    child: Child,
    link: LinkKey,
    connection: Arc<Connection>,
    peer: Arc<Downlink>,
    journal: Arc<Journal>,
}

struct Stillborn {
    child: Option<Child>,
    error: StartError,
}

async fn begin(incarnation: &Incarnation, witness: &Arc<Witness>, capture: bool) -> Result<Born, Stillborn> {
    let name = &incarnation.name;
    let failed = |child: Option<Child>| {
        let name = name.clone();
        move |error: std::io::Error| Stillborn {
            child,
            error: StartError::Spawn { child: name, error: error.to_string() },
        }
    };
    let (data, data_child) = Endpoint::pair().map_err(failed(None))?;
    let journal = Journal::create().map_err(failed(None))?;
    let launch = Launch {
        program: incarnation.children.program.clone(),
        name: name.clone(),
        stdin: data_child,
        capture,
        limits: incarnation.limits.system.clone(),
    };
    let child = sys::spawn(launch, witness.clone()).await.map_err(failed(None))?;
    // From here on a task that is dropped must not leave the process behind.
    let mut guard = Guard { child: Some(child.clone()), link: None };
    for one in child.unenforced() {
        let (limit, why) = (one.limit.into(), one.why.clone());
        event::publish(incarnation.owner, Event::LimitNotEnforced { child: name.clone(), limit, why });
    }
    let greeting = incarnation.hello.encode(build());
    if let Err(error) = data.send_greeting(&child, &greeting, journal.page())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(failed(Some(child))(error));
    }
    let data = data.into_stream().map_err(failed(Some(child.clone())))?;
    let connection = Arc::new(Connection::new(data, Some(child.clone())));
    let peer = Arc::new(Downlink::new(connection.clone()));
    let node = Node::here();
    let link = node.add_link(|link| {
        let _ = peer.link.set(link);
        peer.clone()
    });
    guard.link = Some(link);
    node.with(|router| {
        router.send_init(link, incarnation.init.bytes.clone().into_bytes(), incarnation.init.handles.list())
    });
    guard.disarm();
    Ok(Born { child, link, connection, peer, journal: Arc::new(journal) })
}

struct Keeper {
    incarnation: Incarnation,
    witness: Arc<Witness>,
    born: Born,
    guard: Guard,
    /// There when its end was found here.
    vigil: Option<Vigil>,
    /// What the end will be put down to, where more is known than the system says.
    cause: Option<ExitCause>,
    failed: Option<StartError>,
    /// Whether it has broken the protocol.
    is_refused: bool,
}

/// A rung of the ladder by which a process ends, and when the next one is due.
#[derive(Clone, Copy, Debug)]
enum Rung {
    Living,
    Asked { until: Instant },
    Terminated { until: Instant },
    Killed,
}

impl Keeper {
    async fn live(mut self, wish: &mut watch::Receiver<Wish>, ready: impl FnOnce(&Child, Places)) -> (End, Remains) {
        let node = Node::here();
        let (link, connection, peer) = (self.born.link, self.born.connection.clone(), self.born.peer.clone());
        let mut reader = Reader::new();
        let polling = Polling::new(Duration::from_micros(self.incarnation.hello.poll_for));
        let mut driving = Box::pin(drive(node, link, &connection, &mut reader, polling));
        let mut driven = false;
        // When a process that has said its last word or closed its connection, and goes on nevertheless, is killed.
        let mut lost: Option<Instant> = None;
        let mut exit = self.witness.exit();
        let mut starting = Some((Instant::now() + self.incarnation.init_timeout, ready));
        let mut rung = Rung::Living;
        let mut deserted = false;
        loop {
            let start_due = starting.as_ref().map(|(due, _)| *due);
            tokio::select! {
                biased;
                _ = exit.wait_for(Option::is_some) => break,
                end = &mut driving, if !driven => {
                    driven = true;
                    match end {
                        // The end of its process follows at once, unless something in there holds it up. It is looked
                        // for here, where this task does not wait for it: told meanwhile, it would be woken up by itself.
                        DriveEnd::Closed => {
                            self.vigil = look_for_the_end(&self.born.child);
                            lost.get_or_insert_with(|| rung.due().unwrap_or_else(|| Instant::now() + TERMINATE));
                        }
                        DriveEnd::Bad(error) => self.refuse(error.to_string()),
                    }
                }
                () = peer.arrived.notified() => {}
                wished = wish.changed(), if !deserted => {
                    // Whoever wanted it is gone.
                    deserted = wished.is_err();
                    let wished = if deserted { Wish::Kill } else { *wish.borrow_and_update() };
                    rung = self.climb(rung, wished, starting.is_some());
                }
                () = until(rung.due()) => rung = self.climb_on(rung),
                () = until(lost), if !matches!(rung, Rung::Killed) => {
                    event::publish(self.incarnation.owner, Event::Killed { child: self.incarnation.name.clone() });
                    self.cause.get_or_insert_with(|| ExitCause::Protocol("it closed its connection".to_owned()));
                    self.born.child.kill();
                    rung = Rung::Killed;
                }
                () = until(start_due), if matches!(rung, Rung::Living) => {
                    starting = None;
                    self.failed = Some(StartError::TimedOut {
                        child: self.incarnation.name.clone(),
                        after: self.incarnation.init_timeout,
                        stderr: String::new(),
                    });
                    self.born.child.kill();
                    rung = Rung::Killed;
                }
            }
            for arrival in peer.take() {
                match arrival {
                    Arrival::Frame(Frame::Ready) => {
                        if let Some((_, ready)) = starting.take() {
                            node.with(|router| {
                                router.attach_worker(self.incarnation.entry, link, self.born.journal.clone());
                            });
                            ready(&self.born.child, self.born.journal.chunks());
                        }
                    }
                    Arrival::Frame(frame) => {
                        // Its actor has ended: nobody in there takes a message any more, nor an order to stop.
                        if matches!(frame, Frame::Bye { .. } | Frame::StartFailed { .. }) {
                            lost.get_or_insert_with(|| rung.due().unwrap_or_else(|| Instant::now() + FAREWELL));
                        }
                        self.hear(frame);
                    }
                    Arrival::Refused(why) => self.refuse(why),
                }
            }
        }
        // What it sent before its end still counts, and so does what it had no time to write.
        if !driven && let Ok(DriveEnd::Bad(error)) = tokio::time::timeout(LAST_WORDS, &mut driving).await {
            self.refuse(error.to_string());
        }
        drop(driving);
        self.hear_out(&mut reader);
        for arrival in peer.take() {
            match arrival {
                Arrival::Frame(frame) => self.hear(frame),
                Arrival::Refused(why) => self.refuse(why),
            }
        }
        let said = self.failed.as_ref().map(|error| ExitCause::StartFailed(error.to_string()));
        let exit = mourn(&self.born.child, &self.witness, self.cause.take().or(said)).await;
        let failed = match (self.failed.take(), starting) {
            (Some(StartError::TimedOut { child, after, .. }), _) => {
                Some(StartError::TimedOut { child, after, stderr: exit.stderr.clone() })
            }
            (Some(error), _) => Some(error),
            (None, Some(_)) if !matches!(rung, Rung::Living) => {
                Some(StartError::Stopped(self.incarnation.name.clone()))
            }
            (None, Some(_)) => Some(self.unready(&exit)),
            (None, None) => None,
        };
        self.guard.disarm();
        (End { exit, failed, link: Some(link) }, Remains(Some((self.born, self.vigil))))
    }

    /// Hears what the process, which has ended, left in its outbox.
    fn hear_out(&mut self, reader: &mut Reader) {
        // Who has lost the thread of its frames has nothing more to say.
        if !self.is_refused
            && let Some(outbox) = self.born.journal.outbox()
            && let Err(error) = hear_out(Node::here(), self.born.link, &self.born.connection, reader, &outbox)
        {
            self.refuse(error.to_string());
        }
    }

    fn hear(&mut self, frame: Frame) {
        match frame {
            Frame::StartFailed { payload } => {
                self.failed = Some(match decoded::<StartFailure>(&payload) {
                    Some(failure) => failure.of(&self.incarnation.name),
                    None => StartError::Init {
                        child: self.incarnation.name.clone(),
                        error: "the worker did not say why".to_owned(),
                    },
                });
            }
            Frame::Bye { payload } => self.cause = self.cause.take().or_else(|| decoded(&payload)),
            Frame::Event { payload } => {
                // A worker tells of its own handlers only.
                if let Some(told @ Event::CastFailed { .. }) = decoded(&payload) {
                    event::publish(self.incarnation.owner, told);
                }
            }
            _ => {}
        }
    }

    /// What a process that ended by itself, and never was ready, comes to.
    fn unready(&self, exit: &Exit) -> StartError {
        let (child, exit) = (self.incarnation.name.clone(), Box::new(exit.clone()));
        if self.born.journal.is_entered() {
            StartError::Exited { child, exit }
        } else {
            let program = self.incarnation.children.program.path.display().to_string();
            StartError::NotAWorker { child, program, exit }
        }
    }

    fn refuse(&mut self, why: String) {
        self.is_refused = true;
        event::publish(
            self.incarnation.owner,
            Event::Refused { child: self.incarnation.name.clone(), why: why.clone() },
        );
        self.cause.get_or_insert(ExitCause::Protocol(why));
        self.born.child.kill();
    }

    fn climb(&mut self, rung: Rung, wish: Wish, starting: bool) -> Rung {
        match (wish, rung) {
            (Wish::Live, rung) | (Wish::Stop { .. }, rung @ (Rung::Asked { .. } | Rung::Terminated { .. })) => rung,
            (_, Rung::Killed) => Rung::Killed,
            // Who is not ready yet has nothing to bring in order.
            (Wish::Stop { grace }, Rung::Living) if !starting && !grace.is_zero() => {
                // To be seen while a handler computes; and over the stream, to be heard where one waits, before whatever is sent
                // from now on.
                self.born.journal.ask_to_stop();
                Node::here().with(|router| router.send(self.born.link, &Frame::Stop { payload: Bytes::new() }));
                Rung::Asked { until: Instant::now() + grace }
            }
            (Wish::Stop { .. } | Wish::Kill, _) => {
                self.cause.get_or_insert(ExitCause::Shutdown);
                self.born.child.kill();
                Rung::Killed
            }
        }
    }

    fn climb_on(&mut self, rung: Rung) -> Rung {
        match rung {
            Rung::Asked { .. } => {
                event::publish(self.incarnation.owner, Event::Killed { child: self.incarnation.name.clone() });
                self.cause = Some(ExitCause::Killed);
                self.born.child.terminate();
                Rung::Terminated { until: Instant::now() + TERMINATE }
            }
            _ => {
                self.born.child.kill();
                Rung::Killed
            }
        }
    }
}

impl Rung {
    fn due(self) -> Option<Instant> {
        match self {
            Self::Asked { until } | Self::Terminated { until } => Some(until),
            Self::Living | Self::Killed => None,
        }
    }
}

/// Looks for a moment whether a process has ended whose connection has, so as not to depend on another thread's being woken up
/// for it. Where it has not, that thread will see to it; where it has, that thread clears away what it has of it when nobody keeps the
/// vigil any more.
fn look_for_the_end(child: &Child) -> Option<Vigil> {
    let vigil = child.vigil();
    let until = Instant::now() + LOOK;
    while !child.try_wait() {
        if Instant::now() >= until {
            return None;
        }
        // It may need this core for its end.
        std::thread::yield_now();
    }
    Some(vigil)
}

/// Waits for the process's end and says how it came.
async fn mourn(child: &Child, witness: &Witness, cause: Option<ExitCause>) -> Exit {
    let mut exit = witness.exit();
    let told = match exit.wait_for(Option::is_some).await {
        Ok(exit) => *exit,
        Err(_) => None,
    };
    let cause = cause.unwrap_or_else(|| match told.map(|exit| (exit.kind, exit.name())) {
        Some((ExitKind::Code(code), None)) => ExitCause::Code(code),
        Some((ExitKind::Code(code), Some(name))) => {
            ExitCause::Status { code: code.cast_unsigned(), name: name.to_owned() }
        }
        Some((ExitKind::Signal { number, core_dumped }, name)) => ExitCause::Signal {
            number,
            name: name.map_or_else(|| format!("signal {number}"), str::to_owned),
            core_dumped,
        },
        Some((ExitKind::Unknown, _)) | None => ExitCause::Unknown,
    });
    Exit { pid: child.pid(), cause, stderr: witness.stderr() }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn decoded<T: serde::de::DeserializeOwned>(payload: &Bytes) -> Option<T> {
    codec::decode(payload, Budget::default()).ok()
}

/// The worker, as the router of its supervisor speaks to it.
struct Downlink {
    connection: Arc<Connection>,
    link: OnceLock<LinkKey>,
    inbox: Mutex<Vec<Arrival>>,
    arrived: Notify,
}

enum Arrival {
    Frame(Frame),
    Refused(String),
}

/// Arrivals that wait to be heard; a worker that sends more of them at once is not one of ours.
const ARRIVALS: usize = 1024;

impl Downlink {
    fn new(connection: Arc<Connection>) -> Self {
        Self { connection, link: OnceLock::new(), inbox: Mutex::default(), arrived: Notify::new() }
    }

    fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, arrival: Arrival) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.len() < ARRIVALS {
            inbox.push(arrival);
        }
        self.arrived.notify_one();
    }
}

impl Peer for Downlink {
    fn flush(&self) {
        self.connection.wake.notify_one();
    }

    fn hurry(&self) {
        match self.link.get() {
            Some(&link) => hurry(&self.connection, link),
            None => self.flush(),
        }
    }

    fn frame(&self, frame: Frame) {
        self.push(Arrival::Frame(frame));
    }

    fn refuse(&self, why: String) {
        self.push(Arrival::Refused(why));
    }
}

/// Kills the process, and closes its connection, of a task that was dropped in the middle.
struct Guard {
    child: Option<Child>,
    link: Option<LinkKey>,
}

impl Guard {
    fn disarm(&mut self) {
        self.child = None;
        self.link = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
        if let Some(link) = self.link.take() {
            Node::here().close_link(link);
        }
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incarnation").field("name", &self.name).field("actor", &self.actor).finish_non_exhaustive()
    }
}
