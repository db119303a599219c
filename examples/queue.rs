//! A queue between processes that can be joined before anybody reads, and that has an end.
//!
//! Run it: `cargo run --example queue`. In Python a child that has put 10 MB into a `Queue` cannot be joined before the
//! queue is read, and `while not q.empty()` may stop before the first item is there.

use std::time::Duration;

use procession::prelude::*;
use procession::queue::Sender;

const PIECE: usize = 100_000;

/// Produces pieces in a process of its own, and ends.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Producer {
    number: u8,
}

#[handlers]
impl Producer {
    #[init]
    fn new(number: u8) -> Self {
        Self { number }
    }

    #[cast]
    async fn produce(&self, ctx: &Context<Self>, pieces: usize, to: Sender<Vec<u8>>) -> Result<(), Failure> {
        for _ in 0..pieces {
            // Returns when the queue has the piece: it outlives this process. Where the queue is full this waits.
            to.send(vec![self.number; PIECE]).await?;
        }
        println!("sent {} MB, ending", pieces * PIECE / 1_000_000);
        ctx.stop();
        Ok(())
    }

    #[cast]
    fn crash(&self, _to: Sender<Vec<u8>>) {
        std::process::abort()
    }
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    // At most 1,000 items and 64 MiB. The two sides are values that may stand in any message.
    let (to, pieces) = sup.queue::<Vec<u8>>("pieces", 1000)?;

    let mut producers = Vec::new();
    for number in 1..=3 {
        let producer = sup.spawn::<Producer>(&format!("producer {number}"), number).await?;
        producer.produce(100, to.clone()).await?;
        producers.push(producer);
    }
    // One that dies with a sender in its hands holds none any more.
    let unlucky = sup.spawn::<Producer>("unlucky", 4).await?;
    unlucky.crash(to.clone()).await?;
    // From now on only the producers hold senders.
    drop(to);

    for producer in &producers {
        let exit = sup.join(producer, Duration::from_secs(30)).await?;
        println!("joined before anything was read: {exit}");
    }

    let mut bytes = [0; 4];
    while let Some(piece) = pieces.recv().await? {
        let producer = usize::from(piece[0]);
        bytes[producer] += piece.len();
    }
    println!("the stream has ended: {} MB, {:?} from each", bytes.iter().sum::<usize>() / 1_000_000, &bytes[1..]);
    println!("and stays so: {:?}", pieces.recv().await?);
    sup.shutdown().await?;
    Ok(())
}
