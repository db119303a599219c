// A call of an address is checked like any other.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[cast]
    fn add(&mut self, by: i64) {
        self.n += by;
    }

    #[call]
    fn get(&self) -> i64 {
        self.n
    }
}

async fn run(counter: Address<Counter>) {
    let _ = counter.add("five").await;
    let _ = counter.add().await;
    let _ = counter.subtract(5).await;
    let _: Result<String, _> = counter.get().await;
}

fn main() {}
