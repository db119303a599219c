//! Feeds the router from a connection, and the connection from the router.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::actor::node::Node;
use crate::connection::driver::{Connection, Given, Woken};
use crate::connection::polling::Polling;
use crate::connection::reader::{LastWordsError, ReadEnd, Reader};
use crate::router::{Ahead, LinkKey, Router};
use crate::shm::memories::{self, Known};
use crate::shm::outbox::Outbox;
use crate::wire::frame::{Cut, Frame, FrameError};
use crate::wire::rope::Rope;

/// How often to look before others in this process have their turn.
const LOOKS: usize = 8;
/// How long memory for long frames is kept for the next one.
const REST: Duration = Duration::from_millis(100);

/// Why a connection is driven no further.
#[derive(Debug)]
pub(crate) enum DriveEnd {
    /// The peer is gone.
    Closed,
    /// It sent what is no frame.
    Bad(FrameError),
}

/// Drives a connection until it ends.
///
/// # Cancellation
/// Safe at any await: what was read is in the router, what is to be written is in the connection.
pub(crate) async fn drive(
    node: &Node,
    link: LinkKey,
    connection: &Connection,
    reader: &mut Reader,
    mut polling: Polling,
) -> DriveEnd {
    let mut cuts = Vec::new();
    let mut sleep: Option<Pin<Box<Sleep>>> = None;
    let mut is_readable = true;
    // When to look for what may have waited long enough, if at all.
    let mut look_at: Option<Instant> = None;
    let mut is_blocked = false;
    let mut is_told = true;
    loop {
        let mut read = match is_readable {
            true => reader.read(connection, &mut cuts),
            false => Ok(ReadEnd::Drained),
        };
        let has_come = !cuts.is_empty();
        if polling.is_on() && has_come {
            polling.hear(Instant::now());
        }
        let (mut frames, mut known) = (Vec::new(), VecDeque::new());
        if cuts.iter().any(|cut| cut.gives_memory)
            && let Err(error) = take_all(connection, &mut cuts, &mut frames, &mut known)
        {
            read = Err(error);
        }
        let now = Instant::now();
        if look_at.is_some_and(|at| at <= now) {
            look_at = None;
        }
        // Not while bytes are fetched: who hears of what has come may have something to write at once.
        let (deadline, handled, has_output) = node.at(now, |router| {
            handle(router, link, &mut frames, known);
            let handled = handle_cuts(router, link, &mut cuts);
            router.handle_timeout(link);
            (router.poll_timeout(link), handled, router.has_output(link))
        });
        if let Err(error) = handled {
            read = Err(error);
        }
        // A worker's actor may have heard what it waits for: it goes on before anything else is done. It is a task beside this
        // one: it has its turn without one of the runtime, which would look at all else that there is.
        if has_come && !connection.leads_down() {
            step_back().await;
        }
        // What the frames bring about goes out at once; whoever says so from now on is heard.
        is_told |= connection.is_told();
        let mut calm_until = None;
        if is_told || has_output || is_blocked {
            is_blocked = connection.write(&mut |data| {
                let ahead = node.at(now, |router| {
                    calm_until = router.calm_until(link).filter(|until| now < *until);
                    if calm_until.is_some() { Vec::new() } else { router.take_output(link, data) }
                });
                given(ahead)
            });
        }
        is_told = false;
        // On the way down the process's clock looks for it.
        if calm_until.is_some() && look_at.is_none() && !connection.leads_down() {
            look_at = calm_until;
        }
        let deadline = [deadline, look_at].into_iter().flatten().min();
        // A worker always reads, so this ends; whoever is above it is waited for by nobody's reading.
        let stalled = is_blocked && connection.leads_down() && node.with(|router| router.is_deaf(link));
        is_readable = match read {
            Ok(ReadEnd::Closed) => return DriveEnd::Closed,
            Err(error) => return DriveEnd::Bad(error),
            // Others first.
            Ok(ReadEnd::Turn) => {
                tokio::task::yield_now().await;
                !stalled
            }
            Ok(ReadEnd::Drained) => {
                let looked = if is_blocked { None } else { look(&polling, connection, reader).await };
                let woken = match looked {
                    Some(woken) => woken,
                    None => {
                        let rest = reader.has_spares().then(|| Instant::now() + REST);
                        let until = [deadline, rest].into_iter().flatten().min();
                        let woken = woken(connection, is_blocked, stalled, until, &mut sleep).await;
                        if rest.is_some_and(|rest| Instant::now() >= rest) {
                            reader.drop_spares();
                        }
                        woken
                    }
                };
                is_told = woken == Woken::Told;
                if is_told {
                    // Whoever has something to say says it first, so that it goes out together.
                    tokio::task::yield_now().await;
                }
                woken == Woken::Readable
            }
        }
    }
}

/// Looks for what comes next, for as long as that is worth it.
async fn look(polling: &Polling, connection: &Connection, reader: &mut Reader) -> Option<Woken> {
    let until = polling.until()?;
    // Whoever has heard something may have something to say, and sends it by itself. A worker's actor has had its turn.
    if connection.leads_down() {
        tokio::task::yield_now().await;
    }
    loop {
        for _ in 0..LOOKS {
            // The process at the other end may wait for this core.
            std::thread::yield_now();
            if reader.look(connection) {
                return Some(Woken::Readable);
            }
            if connection.is_told() {
                return Some(Woken::Told);
            }
        }
        if Instant::now() >= until {
            return None;
        }
        // And others in this process for this thread.
        tokio::task::yield_now().await;
    }
}

/// Lets the tasks have their turn that are to run now.
async fn step_back() {
    let mut stepped = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits until there is something to do.
async fn woken(
    connection: &Connection,
    is_blocked: bool,
    stalled: bool,
    deadline: Option<Instant>,
    sleep: &mut Option<Pin<Box<Sleep>>>,
) -> Woken {
    let Some(at) = deadline else { return connection.ready(is_blocked, stalled).await };
    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
    // One that was asked for before may be earlier: to wake up once for nothing is less than to set it anew for each message.
    if sleep.is_elapsed() || sleep.deadline().into_std() > at {
        sleep.as_mut().reset(at.into());
    }
    tokio::select! {
        woken = connection.ready(is_blocked, stalled) => woken,
        () = sleep => Woken::Writable,
    }
}

/// Writes what the router has for the peer, from whichever thread it came.
pub(crate) fn hurry(connection: &Connection, link: LinkKey) {
    connection.write_from_outside(&mut |data| output(Node::here(), link, data));
}

/// Fetches what the router has for the peer, and the memory that goes with it.
pub(crate) fn output(node: &Node, link: LinkKey, data: &mut Rope) -> Vec<Given> {
    given(node.fetch(|router| router.take_output(link, data)))
}

/// The memory that goes ahead of frames.
pub(crate) fn given(ahead: Vec<Ahead>) -> Vec<Given> {
    let given = ahead.into_iter().map(|ahead| {
        let known = memories::find(ahead.handle.actor.0);
        let tag = known.as_ref().map_or(0, |known| known.tag);
        let memory = known.filter(|_| !ahead.withheld).and_then(|known| known.memory);
        Given { at: ahead.at, handle: ahead.handle, tag, memory }
    });
    given.collect()
}

/// Hands the router what has come, up to what is no frame.
fn handle_cuts(router: &mut Router, link: LinkKey, cuts: &mut Vec<Cut>) -> Result<(), FrameError> {
    for cut in cuts.drain(..) {
        for frame in cut.frames() {
            if let Some((call, value)) = frame.as_value() {
                router.handle_value(link, call, value);
            } else if let Some(short) = frame.as_short() {
                router.handle_short(link, short);
            } else {
                router.handle_frame(link, frame.decode()?);
            }
        }
    }
    Ok(())
}

/// Takes the frames out of what has come, up to what is none, and the memory that they tell of.
fn take_all(
    connection: &Connection,
    cuts: &mut Vec<Cut>,
    frames: &mut Vec<Frame>,
    given: &mut VecDeque<(u64, bool)>,
) -> Result<(), FrameError> {
    let decoded = cuts.iter().flat_map(Cut::frames).try_for_each(|frame| {
        frames.push(frame.decode()?);
        Ok(())
    });
    cuts.clear();
    take_memories(connection, frames, given)?;
    decoded
}

/// The same with the memory that was taken.
fn handle(router: &mut Router, link: LinkKey, frames: &mut Vec<Frame>, mut given: VecDeque<(u64, bool)>) {
    for frame in frames.drain(..) {
        match frame {
            Frame::Memory { handle, .. } => {
                if let Some((number, lost)) = given.pop_front() {
                    router.handle_memory(link, handle, number, lost);
                }
            }
            frame => router.handle_frame(link, frame),
        }
    }
}

/// Reads on in the outbox of a process that has ended, from where its stream has ended.
pub(crate) fn hear_out(
    node: &Node,
    link: LinkKey,
    connection: &Connection,
    reader: &mut Reader,
    outbox: &Outbox,
) -> Result<(), LastWordsError> {
    let (mut frames, mut given) = (Vec::new(), VecDeque::new());
    let read = reader.read_on(outbox, &mut frames);
    let taken = take_memories(connection, &mut frames, &mut given);
    node.with(|router| handle(router, link, &mut frames, given));
    read.and(taken.map_err(LastWordsError::from))
}

/// Takes the memory that frames tell of, in order: its number here, and whether it came without the memory itself. At the
/// first that is none the frames end.
fn take_memories(
    connection: &Connection,
    frames: &mut Vec<Frame>,
    given: &mut VecDeque<(u64, bool)>,
) -> Result<(), FrameError> {
    for index in 0..frames.len() {
        let Frame::Memory { about, .. } = &frames[index] else { continue };
        match connection.take_memory(about) {
            Ok(memory) => {
                let lost = memory.is_none();
                given.push_back((memories::keep(Known { tag: about.tag, memory }), lost));
            }
            // Not the peer's fault: this process has no room for it, or the peer has died and its handles with it.
            Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                given.push_back((memories::keep(Known { tag: about.tag, memory: None }), true));
            }
            Err(error) => {
                frames.truncate(index);
                return Err(FrameError::Memory { why: error.to_string() });
            }
        }
    }
    Ok(())
}
