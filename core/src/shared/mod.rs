//! Shared state: lists, dicts, counters and values that any process of the tree can hold.

#![cfg_attr(not(test), expect(dead_code, reason = "the services above it come next"))]
#![expect(unreachable_pub, reason = "the handles come next")]

mod store;
