// A message crosses a process boundary: it cannot borrow from the sender.
use procession::prelude::*;
use std::path::Path;

#[derive(Actor, Default)]
struct Names {
    all: Vec<String>,
}

#[handlers]
impl Names {
    #[cast]
    fn add(&mut self, name: &str) {
        self.all.push(name.to_owned());
    }

    #[cast]
    fn add_all(&mut self, names: Vec<&'static str>, log: Option<&Path>) {
        self.all.extend(names.into_iter().map(str::to_owned));
        drop(log);
    }

    #[call]
    fn first(&self) -> &str {
        &self.all[0]
    }
}

fn main() {}
