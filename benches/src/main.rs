//! Benchmarks: procession beside the bare limits of the system and beside its peers, in one run.
//!
//! `cargo run --release -p procession-bench -- [w1 w2 ..] [--rounds N] [--json] [--pin same|split] [--quick]`; what each
//! row measures is in docs/benchmarks.md.

#[cfg(target_os = "linux")]
mod bench;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    bench::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("procession-bench is for Linux: what it measures beside is made of the Linux kernel's own parts");
}
