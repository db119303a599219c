//! The shared memory that this process has, for as long as a value or a message in it refers to it; and how much it may have.
//!
//! Who refers to it is counted by the router. What it is called there is its number here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::sys::SharedMemory;

static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();

#[derive(Debug)]
struct Table {
    known: HashMap<u64, Entry>,
    last: u64,
    /// Bytes of all that is known.
    bytes: u64,
    /// Bytes of it to which values refer.
    used: u64,
    /// Bytes that are being written, and that others will know when they are.
    written: u64,
    /// Bytes in parts of what others have made.
    parts: u64,
    process_limit: u64,
    worker_limit: u64,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// How many values refer to it.
    uses: usize,
}

/// Memory of which this process has heard.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its number among all memory of the run.
    pub(crate) tag: u64,
    /// The memory, unless there was no room for it on its way here.
    pub(crate) memory: Option<SharedMemory>,
}

/// What counts though it is no memory of which others know as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Memory that is being written.
    Written,
    /// A part of what another process has made.
    Part,
}

/// More than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    pub(crate) len: u64,
    pub(crate) used: u64,
    pub(crate) limit: u64,
    /// Whether the limit is that of the worker, which is not for the process itself to change.
    pub(crate) is_worker: bool,
}

impl Entry {
    fn len(&self) -> u64 {
        self.known.memory.as_ref().map_or(0, |memory| memory.len() as u64)
    }
}

impl Table {
    /// Whether the worker may have more that it is asked for as a part of `len` bytes.
    fn check_worker(&self, more: u64, len: u64) -> Result<(), Beyond> {
        let (used, limit) = (self.used + self.written + self.parts, self.worker_limit);
        match used.checked_add(more).is_some_and(|total| total <= limit) {
            true => Ok(()),
            false => Err(Beyond { len, used, limit, is_worker: true }),
        }
    }

    fn add_use(&mut self, number: u64) {
        let Some(entry) = self.known.get_mut(&number) else { return };
        entry.uses += 1;
        if entry.uses == 1 {
            self.used += entry.len();
        }
    }

    fn check_process(&self, more: u64, len: u64) -> Result<(), Beyond> {
        let (used, limit) = (self.bytes + self.written, self.process_limit);
        match used.checked_add(more).is_some_and(|total| total <= limit) {
            true => Ok(()),
            false => Err(Beyond { len, used, limit, is_worker: false }),
        }
    }
}

/// Keeps memory until it is [let go](forget); says its number.
pub(crate) fn keep(known: Known) -> u64 {
    let mut table = lock();
    table.last += 1;
    let number = table.last;
    let entry = Entry { known, uses: 0 };
    table.bytes += entry.len();
    table.known.insert(number, entry);
    number
}

/// Memory by its number.
pub(crate) fn find(number: u64) -> Option<Known> {
    lock().known.get(&number).map(|entry| entry.known.clone())
}

/// One more value refers to the memory as a whole, until it is [unused](unuse), if the worker may have it.
pub(crate) fn use_given(number: u64) -> Result<(), Beyond> {
    let mut table = lock();
    if let Some(entry) = table.known.get(&number)
        && entry.uses == 0
    {
        table.check_worker(entry.len(), entry.len())?;
    }
    table.add_use(number);
    Ok(())
}

/// The same of memory that this process has made, as it may if it could.
pub(crate) fn use_made(number: u64) {
    lock().add_use(number);
}

/// A value refers to it no more.
pub(crate) fn unuse(number: u64) {
    let mut table = lock();
    // It may have gone as a whole.
    let Some(entry) = table.known.get_mut(&number) else { return };
    entry.uses -= 1;
    if entry.uses == 0 {
        let len = entry.len();
        table.used -= len;
    }
}

/// Whether a value refers to it as a whole.
pub(crate) fn is_used(number: u64) -> bool {
    lock().known.get(&number).is_some_and(|entry| entry.uses > 0)
}

/// Nobody refers to it any more.
pub(crate) fn forget(number: u64) {
    let mut table = lock();
    let entry = table.known.remove(&number);
    if let Some(entry) = &entry {
        table.bytes -= entry.len();
        if entry.uses > 0 {
            table.used -= entry.len();
        }
    }
    drop(table);
    // Which may take its time, and takes it without the lock.
    drop(entry);
}

/// What had `old` bytes of a kind has `new` ones, if it may.
pub(crate) fn resize(kind: Kind, old: u64, new: u64) -> Result<(), Beyond> {
    let mut table = lock();
    let more = new.saturating_sub(old);
    if more > 0 {
        table.check_worker(more, new)?;
        // What others have made is here already.
        if kind == Kind::Written {
            table.check_process(more, new)?;
        }
    }
    let sum = match kind {
        Kind::Written => &mut table.written,
        Kind::Part => &mut table.parts,
    };
    *sum = *sum - old + new;
    Ok(())
}

/// How many bytes the process may have, those of others included, which are not refused.
pub(crate) fn limit_process(bytes: u64) {
    lock().process_limit = bytes;
}

/// How many bytes this worker may have in values, and write.
pub(crate) fn limit_worker(bytes: Option<u64>) {
    lock().worker_limit = bytes.unwrap_or(u64::MAX);
}

/// In how many pieces the process has shared memory, and how many bytes, those included that are being written.
pub(crate) fn total() -> (usize, u64) {
    let table = lock();
    (table.known.len(), table.bytes + table.written)
}

fn lock() -> MutexGuard<'static, Table> {
    TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Table {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            last: 0,
            bytes: 0,
            used: 0,
            written: 0,
            parts: 0,
            process_limit: u64::MAX,
            worker_limit: u64::MAX,
        }
    }
}
