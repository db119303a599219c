//! Actors in OS processes of their own: typed, supervised, on Linux and Windows.

mod pool;
