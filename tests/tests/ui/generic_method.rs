// Both sides must know the types of a message.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Log {
    lines: Vec<String>,
}

#[handlers]
impl Log {
    #[cast]
    fn line<T: ToString>(&mut self, value: T) {
        self.lines.push(value.to_string());
    }

    #[cast]
    fn lines(&mut self, values: impl Iterator<Item = String>) {
        self.lines.extend(values);
    }
}

fn main() {}
