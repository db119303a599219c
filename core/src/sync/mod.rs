//! Locks that any process may hold and no dead one keeps.

#![cfg_attr(not(test), expect(dead_code, unused_imports, reason = "for the service above it"))]

mod kind;
mod table;

pub use kind::LockKind;
