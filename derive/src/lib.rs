//! The macros of procession.
