//! The Windows leaf of procession.
