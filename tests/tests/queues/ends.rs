use procession::prelude::*;
use procession::queue::{DeadReason, QueueError, Receiver, Sender};
use procession::{Event, Exit};

use crate::bytes::Bytes;
use crate::porter::{PorterApi, kill, porter};
use crate::processes::{self, begin, end, event, quiet, start, within};

/// Sends 10 MB and ends.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Source;

#[handlers]
impl Source {
    #[init]
    fn new() -> Self {
        Self
    }

    #[cast]
    async fn pour(&self, ctx: &Context<Self>, to: Sender<Bytes>, pieces: usize) -> Result<(), Failure> {
        let all: Vec<u8> = (0..TEN_MB).map(|at| (at % 251) as u8).collect();
        for piece in all.chunks(TEN_MB / pieces) {
            to.send(Bytes(piece.to_vec())).await?;
        }
        ctx.stop();
        Ok(())
    }
}

const TEN_MB: usize = 10_000_000;

#[tokio::test]
async fn a_worker_that_has_sent_10_mb_is_joined_before_anybody_reads() -> procession::Result<()> {
    for pieces in [1, 100] {
        let sup = start().await;
        let (tx, rx) = sup.queue::<Bytes>("bytes", 100)?;
        let source = within(sup.spawn::<Source>("source", ())).await?;
        within(source.pour(tx, pieces)).await?;
        let exit: Exit = within(sup.join(&source, processes::PATIENCE)).await?;
        assert!(exit.is_orderly(), "{exit}");
        let mut received = Vec::new();
        let mut count = 0;
        while let Some(piece) = within(rx.recv()).await? {
            received.extend(piece.0);
            count += 1;
        }
        assert_eq!((count, received.len()), (pieces, TEN_MB));
        assert!(received.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
        end(sup).await;
    }
    Ok(())
}

#[tokio::test]
async fn without_a_receiver_a_send_is_closed_and_gives_the_item_back() -> procession::Result<()> {
    let sup = start().await;
    let mut events = sup.events();
    let (tx, rx) = sup.queue::<u64>("queue", 2)?;
    let queue = tx.queue();
    within(tx.send_all([1, 2])).await?;
    let waits = begin(tx.send(3));
    let one = porter(&sup, "one").await;
    within(one.keep_receiver(rx)).await?;
    kill(&sup, &one, "one").await;
    let refused = within(waits).await.expect_err("nobody receives");
    assert_eq!((refused.item, refused.error), (3, QueueError::Closed));
    let refused = within(tx.send_all([4, 5])).await.expect_err("nobody receives");
    assert_eq!((refused.item, refused.error), (vec![4, 5], QueueError::Closed));
    let dead = event(&mut events, |event| matches!(event, Event::ItemsDead { .. })).await;
    let Event::ItemsDead { queue: name, count, why } = &dead else { panic!("{dead:?}") };
    assert_eq!((name.as_str(), *count), ("queue", 2), "{why}");
    assert_eq!(within(queue.status()).await?.dead_letters, 2);
    let letters = within(queue.take_dead_letters(10)).await?;
    let letters: Vec<_> = letters.into_iter().map(|letter| (letter.item, letter.why, letter.attempts)).collect();
    assert_eq!(letters, [(Ok(1), DeadReason::NoReceiver, 0), (Ok(2), DeadReason::NoReceiver, 0)]);
    assert_eq!(within(queue.take_dead_letters(10)).await?.len(), 0);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_closed_queue_is_received_to_its_end_while_there_are_senders() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 2)?;
    within(tx.send_all([1, 2])).await?;
    let waits = begin(tx.send_all([3, 4]));
    within(rx.queue().close()).await?;
    let refused = within(waits).await.expect_err("closed");
    assert_eq!((refused.item, refused.error), (vec![3, 4], QueueError::Closed));
    assert!(within(rx.queue().status()).await?.closed);
    assert_eq!((within(rx.recv_many(5)).await?, within(rx.recv()).await?), (vec![1, 2], None));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_side_is_told_that_the_queue_is_gone_with_its_supervisor() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 1)?;
    let waits = begin(rx.recv());
    processes::end(sup).await;
    assert_eq!(within(waits).await, Err(QueueError::Gone));
    let refused = within(tx.send(1)).await.expect_err("gone");
    assert_eq!((refused.item, refused.error), (1, QueueError::Gone));
    Ok(())
}

#[tokio::test]
async fn each_end_of_a_pipe_sees_the_death_of_the_other() -> procession::Result<()> {
    let sup = start().await;
    let (left, right) = sup.duplex::<String, String>("pipe", 10)?;
    let one = porter(&sup, "one").await;
    within(one.keep_pipe(right)).await?;
    within(left.send("hello".to_owned())).await?;
    assert_eq!(within(one.hear()).await?, Some("hello".to_owned()));
    within(one.say("good bye".to_owned())).await?;
    kill(&sup, &one, "one").await;
    assert_eq!(within(left.recv()).await?, Some("good bye".to_owned()));
    assert_eq!((within(left.recv()).await?, within(left.recv()).await?), (None, None));
    let refused = within(left.send("still there?".to_owned())).await.expect_err("nobody is there");
    assert_eq!((refused.item.as_str(), refused.error), ("still there?", QueueError::Closed));
    // And the reverse: between two workers, of which the other dies.
    let (left, right) = sup.duplex::<String, String>("pipe 2", 10)?;
    let (two, three) = (porter(&sup, "two").await, porter(&sup, "three").await);
    within(two.keep_pipe(left)).await?;
    within(three.keep_pipe(right)).await?;
    within(two.say("one".to_owned())).await?;
    kill(&sup, &two, "two").await;
    assert_eq!((within(three.hear()).await?, within(three.hear()).await?), (Some("one".to_owned()), None));
    let refused = within(three.say("two".to_owned())).await.expect_err("nobody is there");
    assert!(refused.to_string().contains("its last receiver is gone"), "{refused}");
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn the_turn_of_a_receiver_that_dies_while_it_waits_is_the_next_ones() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    let one = porter(&sup, "one").await;
    within(one.keep_receiver(rx.clone())).await?;
    let asks = begin(one.receive_all());
    while within(rx.queue().status()).await?.receivers_waiting != 1 {}
    let next = begin(rx.recv());
    while within(rx.queue().status()).await?.receivers_waiting != 2 {}
    kill(&sup, &one, "one").await;
    within(tx.send(1)).await?;
    assert_eq!(within(next).await?, Some(1));
    within(asks).await.expect_err("it died");
    end(sup).await;
    Ok(())
}

/// Has a supervisor of its own, in whose process the queue is.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Nest {
    sup: Supervisor,
}

#[handlers]
impl Nest {
    #[init]
    async fn new() -> Result<Self, Failure> {
        Ok(Self { sup: quiet().start().await? })
    }

    #[call]
    fn open(&self) -> Result<(Sender<u64>, Receiver<u64>), Failure> {
        Ok(self.sup.queue::<u64>("below", 10)?)
    }
}

#[tokio::test]
async fn a_queue_of_a_worker_s_own_supervisor_is_used_from_above_and_ends_with_it() -> procession::Result<()> {
    let sup = start().await;
    let nest = within(sup.spawn::<Nest>("nest", ())).await?;
    let one = porter(&sup, "one").await;
    let (tx, rx) = within(nest.open()).await?;
    within(one.keep(tx)).await?;
    within(one.send(vec![1, 2])).await?;
    assert_eq!(within(rx.recv_many(5)).await?, [1, 2]);
    within(one.forget()).await?;
    assert_eq!(within(rx.recv()).await?, None);
    drop(rx);
    // Nobody held it any more, so its name is free.
    let (tx, rx) = loop {
        match within(nest.open()).await {
            Ok(sides) => break sides,
            Err(error) => assert!(error.to_string().contains("already"), "{error}"),
        }
    };
    let waits = begin(rx.recv());
    while within(rx.queue().status()).await?.receivers_waiting != 1 {}
    sup.stop("nest").await?;
    assert_eq!(within(waits).await, Err(QueueError::Gone));
    assert_eq!(within(tx.send(1)).await.expect_err("gone").error, QueueError::Gone);
    end(sup).await;
    Ok(())
}
