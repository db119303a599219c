// Every address has these names already.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Document;

#[handlers]
impl Document {
    #[call]
    fn clone(&self) -> String {
        String::new()
    }

    #[cast]
    fn ctl(&mut self, key: char) {
        drop(key);
    }
}

fn main() {}
