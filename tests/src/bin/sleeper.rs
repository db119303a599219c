//! A program that does nothing for as long as it lives: what a worker starts that is none of procession's.

// On Windows: it needs no console, which would be one more process.
#![windows_subsystem = "windows"]

fn main() {
    loop {
        std::thread::park();
    }
}
