// An actor lives in a process of its own.
use procession::prelude::*;

#[derive(Actor)]
struct Names<'a> {
    all: Vec<&'a str>,
}

fn main() {}
