//! The Linux leaf of procession.
