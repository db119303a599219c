//! Queues between processes.

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "its shell comes next"))]
mod ledger;
