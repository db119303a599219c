//! What the examples of procession share.
