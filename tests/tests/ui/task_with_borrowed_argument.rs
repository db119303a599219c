// A task runs in another process: it cannot borrow from this one, and its types are known there.
#[procession::task]
fn length(text: &str) -> usize {
    text.len()
}

#[procession::task]
async fn first(lines: Vec<String>) -> &'static str {
    drop(lines);
    ""
}

#[procession::task]
fn largest<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

#[procession::task(retries = 3)]
fn nothing() {}

fn main() {}
