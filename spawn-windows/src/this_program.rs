use std::io;
use std::path::PathBuf;

/// The file of this program, as a child is to run it. The system lets nobody replace it while it is running.
pub fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}
