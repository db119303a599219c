// A call is answered once: through the reply that it takes, or by what it returns.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[call]
    fn get(&self, reply: Reply<i64>) -> i64 {
        drop(reply);
        self.n
    }

    #[cast]
    fn add(&mut self, by: i64, reply: Reply<i64>) {
        self.n += by;
        drop(reply);
    }
}

fn main() {}
