//! The one place of core that names an operating system: it picks the leaf and lists the names that a leaf must have.
//!
//! Every leaf has the same names with the same signatures; what each must guarantee is written at its definition.

#[cfg(target_os = "linux")]
use procession_spawn_unix as leaf;
#[cfg(windows)]
use procession_spawn_windows as leaf;

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("procession runs on Linux and on Windows; this target is neither");

pub(crate) use leaf::{
    // Streams: a private byte stream between a process and a child of it.
    // Memory for data: written by one, or in parts by many, and then read by many.
    CLAIM,
    // Processes: started, watched, stopped by one thread of this process.
    Child,
    Endpoint,
    Exit,
    ExitKind,
    // What a parent hands to its child over the stream, before anything else.
    Greeting,
    Launch,
    // What a child may use, and which part of that it is not held to.
    Limit,
    Limits,
    Memory,
    OpenPart,
    Output,
    PartedMemory,
    Priority,
    Program,
    SealedMemory,
    // Shared memory: the journal's page.
    Segment,
    SharedMemory,
    ShutdownSignal,
    ShutdownSignals,
    Stream,
    Vigil,
    Watch,
    check_limits,
    // The first acts of a worker.
    die_with_tree,
    enter_worker,
    // The process that outlives this one for as long as it takes to kill its workers.
    run_guardian,
    set_guardian,
    set_process_name,
    spawn,
    this_program,
};
