//! A function that a pool can run in another process: known by its type here, by its name there.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::CodecError;
use crate::error::start::StartError;
use crate::router::Handles;
use crate::wire::codec::EncodeError;
use crate::wire::ids::TypeHash;

/// What a result carries in front of its value: whether the function says by itself that it failed, and how long it ran.
pub(super) const RESULT_HEADER: usize = 9;
/// What arguments carry in front: the function, and how long it may run before it is told that it takes too long.
pub(super) const CALL_HEADER: usize = FUNCTION + 4;
const FUNCTION: usize = 8;

/// A function that a pool can run: one with `#[procession::task]`. `Args` are its arguments as a tuple.
///
/// Implemented for every function of up to eight arguments that can travel and of a result that can; never implement it
/// yourself. Whether the function has the attribute is known when it is given to a pool.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task of a pool",
    label = "not a task",
    note = "a task is a function with `#[procession::task]`, given by its name: `pool.map(is_prime, 1..100)`",
    note = "its arguments and its result cross a process boundary: they own what is in them and derive serde's `Serialize` and `Deserialize`"
)]
pub trait Task<Args>: 'static {
    /// What one task is given: the argument, or a tuple where there are none or several.
    type Input: Send;
    /// What it answers.
    type Output: Payload;

    /// The arguments as a tuple.
    #[doc(hidden)]
    fn arguments(input: Self::Input) -> Args;
}

/// What a task function returns: a value, or the future of one.
pub trait Returns {
    /// The value.
    type Output: Payload;
}

impl<R: Payload> Returns for R {
    type Output = R;
}

impl<R: Payload> Returns for TaskFuture<R> {
    type Output = R;
}

impl<F, R> Task<()> for F
where
    F: Fn() -> R + 'static,
    R: Returns,
{
    type Input = ();
    type Output = R::Output;

    fn arguments((): ()) {}
}

impl<F, A, R> Task<(A,)> for F
where
    F: Fn(A) -> R + 'static,
    A: Payload,
    R: Returns,
{
    type Input = A;
    type Output = R::Output;

    fn arguments(input: A) -> (A,) {
        (input,)
    }
}

macro_rules! several_arguments {
    ($($argument:ident)*) => {
        impl<F, R, $($argument),*> Task<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> R + 'static,
            $($argument: Payload,)*
            R: Returns,
        {
            type Input = ($($argument,)*);
            type Output = R::Output;

            fn arguments(input: Self::Input) -> ($($argument,)*) {
                input
            }
        }
    };
}

several_arguments!(A B);
several_arguments!(A B C);
several_arguments!(A B C D);
several_arguments!(A B C D E);
several_arguments!(A B C D E G);
several_arguments!(A B C D E G H);
several_arguments!(A B C D E G H I);

/// The future of an async task function.
#[must_use = "a future does nothing unless it is awaited"]
pub struct TaskFuture<R>(Pin<Box<dyn Future<Output = R> + Send>>);

impl<R> TaskFuture<R> {
    /// A future by this name.
    pub fn new(future: impl Future<Output = R> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<R> Future for TaskFuture<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        self.0.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for TaskFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskFuture")
    }
}

/// A registered task function. Made by `#[procession::task]`.
#[derive(Clone, Copy)]
pub struct TaskEntry {
    pub(super) name: &'static str,
    place: &'static str,
    function: fn() -> TypeId,
    pub(super) run: fn(&TaskArguments<'_>) -> TaskRun,
    idempotent: bool,
}

inventory::collect!(TaskEntry);

impl TaskEntry {
    /// The entry of the function of this name, defined at this place.
    #[must_use]
    pub const fn new(
        name: &'static str,
        place: &'static str,
        function: fn() -> TypeId,
        run: fn(&TaskArguments<'_>) -> TaskRun,
    ) -> Self {
        Self { name, place, function, run, idempotent: false }
    }

    /// The function may be begun again where it is not known what became of it.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    fn id(&self) -> u64 {
        TypeHash::of(&[self.name, self.place]).0
    }
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskEntry({} at {})", self.name, self.place)
    }
}

/// The encoded arguments of one task.
#[derive(Debug)]
pub struct TaskArguments<'a> {
    pub(super) task: &'static str,
    pub(super) bytes: &'a [u8],
    pub(super) handles: &'a Handles,
    /// Memory for the result, which may have had another before.
    pub(super) room: RefCell<Vec<u8>>,
}

/// One run of a task function.
#[must_use = "the future of an async task does nothing unless it is awaited"]
pub struct TaskRun(pub(super) Running);

/// What a task function made of its arguments.
#[derive(Debug)]
pub(super) struct Made {
    /// Room for a header, and the value behind it.
    pub(super) bytes: Vec<u8>,
    pub(super) handles: Handles,
    /// Whether the function says by itself that it failed.
    pub(super) failed: bool,
}

/// Small, since it is handed up once for each task.
pub(super) enum Running {
    /// The value is in the room of the arguments, behind room for a header; what it refers to, and whether the function
    /// says by itself that it failed.
    Done(Handles, bool),
    Refused(Box<CodecError>),
    Future(Pin<Box<dyn Future<Output = Result<Made, CodecError>>>>),
}

impl TaskRun {
    /// Runs a function that returns its value, and whether that is a failure.
    #[inline]
    pub fn sync<A: DeserializeOwned + 'static, R: Payload>(
        arguments: &TaskArguments<'_>,
        run: impl FnOnce(A) -> (R, bool),
    ) -> Self {
        let done = arguments.decode().and_then(|decoded| {
            let (value, failed) = run(decoded);
            Ok((Made::write(arguments.task, &value, &mut arguments.room.borrow_mut())?, failed))
        });
        Self(match done {
            Ok((handles, failed)) => Running::Done(handles, failed),
            Err(error) => Running::Refused(Box::new(error)),
        })
    }

    /// Runs a function that returns a future of that.
    pub fn future<A: DeserializeOwned + 'static, R: Payload, F: Future<Output = (R, bool)> + 'static>(
        arguments: &TaskArguments<'_>,
        run: impl FnOnce(A) -> F,
    ) -> Self {
        let (task, room) = (arguments.task, arguments.room.take());
        Self(match arguments.decode() {
            Err(error) => Running::Refused(Box::new(error)),
            Ok(decoded) => {
                let future = run(decoded);
                Running::Future(Box::pin(async move {
                    let (value, failed) = future.await;
                    let mut bytes = room;
                    let handles = Made::write(task, &value, &mut bytes)?;
                    Ok(Made { bytes, handles, failed })
                }))
            }
        })
    }
}

impl TaskArguments<'_> {
    #[inline]
    fn decode<A: DeserializeOwned + 'static>(&self) -> Result<A, CodecError> {
        Parcel::open_slice(self.bytes, self.handles)
            .map_err(|error| CodecError::Request { method: self.task.to_owned(), error })
    }
}

impl Made {
    /// Writes the value, and room for a header in front of it; what it refers to.
    #[inline]
    fn write<R: Serialize>(task: &str, value: &R, into: &mut Vec<u8>) -> Result<Handles, CodecError> {
        into.clear();
        into.extend_from_slice(&[0; RESULT_HEADER]);
        Parcel::write(value, into).map_err(|error| CodecError::Answer { method: task.to_owned(), error })
    }

    /// Writes in front of a value whether the function says by it that it failed, and that it took so long.
    pub(super) fn write_header(room: &mut [u8], failed: bool, ran: Duration) {
        if let Some((header, _)) = room.split_first_chunk_mut::<RESULT_HEADER>() {
            header[0] = failed.into();
            header[1..].copy_from_slice(&u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        }
    }
}

/// What stands in front of a result.
pub(super) fn result_header(result: &[u8]) -> Option<(bool, Duration)> {
    let header = result.get(..RESULT_HEADER)?;
    let nanos = u64::from_le_bytes(header[1..].try_into().ok()?);
    Some((header[0] != 0, Duration::from_nanos(nanos)))
}

/// A registered function, as a caller of it knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) idempotent: bool,
    id: u64,
}

impl Function {
    /// The function of this type; its name where it is not registered.
    pub(super) fn of<F: 'static>() -> Result<Self, &'static str> {
        let known = known().ok().and_then(|known| known.by_type.get(&TypeId::of::<F>()));
        known.copied().ok_or_else(std::any::type_name::<F>)
    }

    /// A call of it: its id, how long it may run before it is told, then its arguments, as bytes.
    pub(super) fn call<A: Serialize>(self, soft: Option<Duration>, arguments: &A) -> Result<Parcel, EncodeError> {
        let mut bytes = Vec::new();
        let handles = self.write_call(soft, arguments, &mut bytes)?;
        Ok(Parcel { bytes: bytes.into(), handles })
    }

    /// The same behind what is in `into` already, which an error leaves as it was; what the arguments refer to.
    pub(super) fn write_call<A: Serialize>(
        self,
        soft: Option<Duration>,
        arguments: &A,
        into: &mut Vec<u8>,
    ) -> Result<Handles, EncodeError> {
        let from = into.len();
        into.extend_from_slice(&self.head(soft));
        Parcel::write(arguments, into).inspect_err(|_| into.truncate(from))
    }

    /// What stands in front of the arguments in a call of it.
    pub(super) fn head(self, soft: Option<Duration>) -> [u8; CALL_HEADER] {
        let soft = soft.map_or(0, |soft| u32::try_from(soft.as_millis()).unwrap_or(u32::MAX).max(1));
        let mut head = [0; CALL_HEADER];
        head[..FUNCTION].copy_from_slice(&self.id.to_le_bytes());
        head[FUNCTION..].copy_from_slice(&soft.to_le_bytes());
        head
    }
}

/// The registered function that a call names, and how long it may run before it is told.
pub(super) fn entry(call: &[u8]) -> Option<(&'static TaskEntry, Option<Duration>)> {
    let (id, soft) = call.get(..CALL_HEADER)?.split_at(FUNCTION);
    let soft = u32::from_le_bytes(soft.try_into().ok()?);
    let entry = known().ok()?.by_id.get(&u64::from_le_bytes(id.try_into().ok()?)).copied()?;
    Some((entry, (soft > 0).then(|| Duration::from_millis(soft.into()))))
}

/// What tells the tasks of this build from those of another.
pub(super) fn fingerprint() -> Result<u64, StartError> {
    Ok(known()?.fingerprint)
}

struct Known {
    by_type: HashMap<TypeId, Function>,
    by_id: HashMap<u64, &'static TaskEntry>,
    fingerprint: u64,
}

fn known() -> Result<&'static Known, StartError> {
    static KNOWN: OnceLock<Result<Known, StartError>> = OnceLock::new();
    KNOWN.get_or_init(Known::collect).as_ref().map_err(Clone::clone)
}

impl Known {
    fn collect() -> Result<Self, StartError> {
        let mut known = Self { by_type: HashMap::new(), by_id: HashMap::new(), fingerprint: 0 };
        let mut ids = Vec::new();
        for entry in inventory::iter::<TaskEntry> {
            let (id, function) = (entry.id(), (entry.function)());
            if let Some(other) = known.by_id.insert(id, entry)
                && (other.function)() != function
            {
                return Err(StartError::DuplicateId(format!(
                    "two tasks cannot be told apart: {} at {}, and {} at {}",
                    entry.name, entry.place, other.name, other.place
                )));
            }
            known.by_type.insert(function, Function { name: entry.name, idempotent: entry.idempotent, id });
            ids.push(format!("{id:016x}"));
        }
        ids.sort();
        known.fingerprint = TypeHash::of(&ids.iter().map(String::as_str).collect::<Vec<_>>()).0;
        Ok(known)
    }
}

impl fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskRun")
    }
}
