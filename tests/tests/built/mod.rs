//! The programs of the examples, built from the sources as they are now.

use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The program of the example of this name.
pub(crate) fn example(name: &str) -> &'static Path {
    static EXAMPLES: Mutex<Option<HashMap<String, &'static Path>>> = Mutex::new(None);
    // One at a time: cargo would let the second one wait anyway.
    let mut examples = EXAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = examples.get_or_insert_default();
    match known.get(name) {
        Some(program) => program,
        None => {
            let program: &'static Path = Box::leak(build(name).into_boxed_path());
            known.insert(name.to_owned(), program);
            program
        }
    }
}

fn build(name: &str) -> PathBuf {
    // This test is `target/[triple/]profile/deps/test-hash`; the example is `target/[triple/]profile/examples/name`.
    let this = env::current_exe().expect("a test has a path");
    let profile = this.parent().and_then(Path::parent).expect("cargo's layout");
    let program = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace, for the same features as in a test of all: the dependencies are then built already.
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--workspace", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(profile) = profile.file_name().and_then(OsStr::to_str).filter(|profile| *profile != "debug") {
        build.args(["--profile", profile]);
    }
    // Cargo marks the top of a target folder; one level further down is a triple.
    let above = profile.parent().expect("cargo's layout");
    if above.join("CACHEDIR.TAG").exists() {
        build.arg("--target-dir").arg(above);
    } else if let (Some(target), Some(triple)) = (above.parent(), above.file_name()) {
        build.arg("--target-dir").arg(target).arg("--target").arg(triple);
    }
    match build.status() {
        Ok(status) => assert!(status.success(), "the example could not be built"),
        // Where cargo is out of reach (Wine), what is there counts.
        Err(error) => assert!(program.exists(), "{} is missing, and cargo: {error}", program.display()),
    }
    assert!(program.exists(), "cargo did not put the example at {}", program.display());
    program
}
