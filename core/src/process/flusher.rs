//! Writes for a thread that computes: what it has left to be written together with more goes out while its handler runs.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use super::drive::output;
use crate::actor::node::Node;
use crate::connection::driver::Connection;
use crate::router::LinkKey;

/// How often it looks, while there is anything to look after: what it finds twice it writes.
const TICK: Duration = Duration::from_micros(500);

/// So many times it looks in vain before it sleeps: messages that come in bursts need not wake it for each.
const REST: u32 = 8;

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
            let (mut in_vain, mut seen) = (0, 0);
            loop {
                // While messages flow nobody needs to wake this thread.
                thread::park_timeout(TICK);
                let may_rest = in_vain >= REST;
                let mut fill = |data: &mut _| output(Node::here(), link, data);
                match connection.relieve(&mut seen, may_rest, &mut fill) {
                    true => in_vain = 0,
                    false if may_rest => {
                        thread::park();
                        in_vain = 0;
                    }
                    false => in_vain += 1,
                }
            }
        });
        self.thread = started.ok().map(|started| started.thread().clone());
        self.thread.is_some()
    }
}
