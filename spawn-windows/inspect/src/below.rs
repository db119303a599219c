//! The system below Wine, whose processes those of Windows are.

use std::fs::{self, File};
use std::io::Read;
use std::process::Command;

/// Kills the Unix processes that are the Windows ones with these words among their arguments, as `kill -9` does; how many
/// they were.
pub fn kill_below(words: &[&str]) -> usize {
    let mut killed = 0;
    for entry in fs::read_dir(r"Z:\proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let mut line = Vec::new();
        let read = File::open(format!(r"Z:\proc\{pid}\cmdline")).and_then(|mut file| file.read_to_end(&mut line));
        let args: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if read.is_ok() && words.iter().all(|word| args.contains(&word.as_bytes())) {
            // A program of that system has no process of this one, so the start ends in an error that says nothing.
            let _ = Command::new(r"Z:\bin\kill").args(["-9", &pid.to_string()]).status();
            killed += 1;
        }
    }
    killed
}
