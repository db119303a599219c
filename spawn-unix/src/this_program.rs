use std::io;
use std::path::PathBuf;

/// The file of this program, as a child is to run it: what is running, even where the file was replaced or removed since.
pub fn this_program() -> io::Result<PathBuf> {
    Ok(PathBuf::from("/proc/self/exe"))
}
