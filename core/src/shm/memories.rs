//! The shared memory that this process has, for as long as a value or a message in it refers to it.
//!
//! Who refers to it is counted by the router. What it is called there is its number here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::sys::SharedMemory;

static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();

#[derive(Debug, Default)]
struct Table {
    known: HashMap<u64, Known>,
    last: u64,
}

/// Memory of which this process has heard.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its number among all memory of the run.
    pub(crate) tag: u64,
    /// The memory, unless there was no room for it on its way here.
    pub(crate) memory: Option<SharedMemory>,
}

/// Keeps memory until it is [let go](forget); says its number.
pub(crate) fn keep(known: Known) -> u64 {
    let mut table = lock();
    table.last += 1;
    let number = table.last;
    table.known.insert(number, known);
    number
}

/// Memory by its number.
pub(crate) fn find(number: u64) -> Option<Known> {
    lock().known.get(&number).cloned()
}

/// Nobody refers to it any more.
pub(crate) fn forget(number: u64) {
    let known = lock().known.remove(&number);
    // Which may take its time, and takes it without the lock.
    drop(known);
}

/// How many bytes the process has in shared memory, and in how many pieces.
pub(crate) fn total() -> (usize, u64) {
    let table = lock();
    let bytes = table.known.values().filter_map(|known| Some(known.memory.as_ref()?.len() as u64)).sum();
    (table.known.len(), bytes)
}

fn lock() -> MutexGuard<'static, Table> {
    TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}
