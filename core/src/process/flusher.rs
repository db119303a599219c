//! Writes for a thread that computes: what it has left to be written together with more goes out while its handler runs.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use super::drive::output;
use crate::actor::node::Node;
use crate::connection::driver::Connection;
use crate::router::LinkKey;

/// How often it looks, while there is anything to look after.
const TICK: Duration = Duration::from_micros(500);

/// A thread that looks after what waits on a connection. There is none before the first time.
#[derive(Debug)]
pub(crate) struct Flusher {
    connection: Arc<Connection>,
    link: LinkKey,
    thread: Option<Thread>,
}

impl Flusher {
    pub(crate) fn new(connection: Arc<Connection>, link: LinkKey) -> Self {
        Self { connection, link, thread: None }
    }

    /// Has it look from now on, until once there is nothing. False where the system gives no thread.
    pub(crate) fn watch(&mut self) -> bool {
        if let Some(thread) = &self.thread {
            thread.unpark();
            return true;
        }
        let (connection, link) = (self.connection.clone(), self.link);
        let started = thread::Builder::new().name("procession-flusher".to_owned()).spawn(move || {
            loop {
                // While messages flow there is something each time, and nobody needs to wake this thread.
                thread::park_timeout(TICK);
                let more = connection.relieve(&mut |data, control| output(Node::here(), link, data, control));
                if !more {
                    thread::park();
                }
            }
        });
        self.thread = started.ok().map(|started| started.thread().clone());
        self.thread.is_some()
    }
}
