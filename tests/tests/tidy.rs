//! Guards the invariants that docs/architecture.md states, by text search.
