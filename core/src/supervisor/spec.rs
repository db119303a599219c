//! What a child is: how it is started, when it is started again, how it is stopped.

use std::fmt;
use std::time::Duration;

use crate::actor::message::type_hash;
use crate::actor::parcel::Parcel;
use crate::actor::restart::Restart;
use crate::actor::traits::Handlers;
use crate::error::start::StartError;
use crate::process::limits::Limits;
use crate::process::registration::{ActorEntry, actor_id};
use crate::wire::codec::EncodeError;
use crate::wire::ids::TypeHash;

/// What becomes of a child at its supervisor's orderly end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// It is asked to stop, and killed when its shutdown time is over.
    #[default]
    Stop,
    /// It is waited for, however long it takes to end by itself.
    Wait,
}

/// Where an actor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In a process of its own.
    Process,
    /// On a thread of this process.
    Thread,
}

/// A child of a supervisor, to be: its actor type, its name, the arguments of its init, and what `#[actor(..)]` said,
/// or what is said here instead.
///
/// Every incarnation is built from these arguments anew, never from the state of the one before.
pub struct ChildSpec<A: Handlers> {
    pub(crate) spec: Spec,
    actor: std::marker::PhantomData<fn() -> A>,
}

/// A child spec whose type is told at run time.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) actor: ActorEntry,
    pub(crate) id: String,
    pub(crate) type_name: &'static str,
    pub(crate) type_hash: TypeHash,
    pub(crate) init: Result<Parcel, EncodeError>,
    pub(crate) home: Home,
    pub(crate) restart: Restart,
    pub(crate) mailbox: u32,
    pub(crate) shutdown: Duration,
    pub(crate) init_timeout: Duration,
    pub(crate) at_end: AtEnd,
    pub(crate) limits: Limits,
}

impl<A: Handlers> ChildSpec<A> {
    /// A child in a process of its own.
    pub fn new(name: impl Into<String>, args: A::Init) -> Self {
        let options = A::options();
        let spec = Spec {
            name: name.into(),
            actor: ActorEntry::of::<A>(),
            id: actor_id::<A>(),
            type_name: std::any::type_name::<A>(),
            type_hash: type_hash::<A>(),
            init: Parcel::new(&args),
            home: Home::Process,
            restart: options.restart,
            mailbox: options.mailbox,
            shutdown: options.shutdown,
            init_timeout: options.init_timeout,
            at_end: AtEnd::Stop,
            limits: Limits::new(),
        };
        Self { spec, actor: std::marker::PhantomData }
    }

    /// A child on a thread of this process.
    pub fn local(name: impl Into<String>, args: A::Init) -> Self {
        let mut spec = Self::new(name, args);
        spec.spec.home = Home::Thread;
        spec
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    /// How many messages its mailbox holds, at least one.
    #[must_use]
    pub fn mailbox(mut self, messages: u32) -> Self {
        self.spec.mailbox = messages;
        self
    }

    /// How long it may take to stop before it is killed. Zero kills at once.
    #[must_use]
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.spec.shutdown = grace;
        self
    }

    /// How long it may take to become ready.
    #[must_use]
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.spec.init_timeout = timeout;
        self
    }

    /// What becomes of it at the supervisor's orderly end. At any other end it dies.
    #[must_use]
    pub fn at_end(mut self, at_end: AtEnd) -> Self {
        self.spec.at_end = at_end;
        self
    }

    /// What its process may use of the machine, in every incarnation. A local child has no process to be held to it.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.spec.limits = limits;
        self
    }
}

impl Spec {
    /// What is wrong with the spec, before anything is started.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(StartError::BadSpec(format!(
                "the name {:?} is empty or has control characters: it stands in front of every line of output",
                self.name
            )));
        }
        if self.mailbox == 0 {
            return Err(StartError::BadSpec(format!("the mailbox of {} must hold at least one message", self.name)));
        }
        if self.init_timeout.is_zero() {
            return Err(StartError::BadSpec(format!(
                "{} needs some time to start: its init timeout is zero",
                self.name
            )));
        }
        if self.home == Home::Thread && !self.limits.is_none() {
            return Err(StartError::BadSpec(format!(
                "{} is local, and a thread has no limits of its own: give it a process, by ChildSpec::new, or no limits",
                self.name
            )));
        }
        self.limits.check(&self.name)?;
        match &self.init {
            Ok(_) => Ok(()),
            Err(error) => Err(StartError::Arguments { child: self.name.clone(), error: error.to_string() }),
        }
    }
}

impl<A: Handlers> fmt::Debug for ChildSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("actor", &self.type_name)
            .field("restart", &self.restart)
            .field("mailbox", &self.mailbox)
            .field("shutdown", &self.shutdown)
            .field("init_timeout", &self.init_timeout)
            .field("at_end", &self.at_end)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
