use std::time::Duration;

use procession::prelude::*;
use procession::queue::{QueueError, Receiver, Sender};

use crate::processes::{end, poll_once, start, within};

/// Receives in a loop in which the wish for an item is dropped again and again, at every stage that it may be in.
async fn received_by_dropping(rx: &Receiver<u64>) -> procession::Result<(Vec<u64>, usize)> {
    let (mut received, mut drops) = (Vec::new(), 0);
    loop {
        let mut asks = Box::pin(rx.recv());
        for _ in 0..drops % 4 {
            if let std::task::Poll::Ready(item) = poll_once(asks.as_mut()) {
                match item? {
                    Some(item) => received.push(item),
                    None => return Ok((received, drops)),
                }
                asks = Box::pin(rx.recv());
                break;
            }
            tokio::task::yield_now().await;
        }
        drops += 1;
        drop(asks);
        tokio::select! {
            biased;
            item = rx.recv() => match item? {
                Some(item) => received.push(item),
                None => return Ok((received, drops)),
            },
            () = async { for _ in 0..drops % 7 { tokio::task::yield_now().await } } => drops += 1,
        }
        // On a slow system hardly any of those comes to its end; this one does.
        match rx.recv().await? {
            Some(item) => received.push(item),
            None => return Ok((received, drops)),
        }
    }
}

#[tokio::test]
async fn thousands_of_dropped_wishes_lose_nothing_and_keep_the_order() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 8)?;
    let sending = tokio::spawn(async move {
        for item in 0..3000 {
            tx.send(item).await?;
        }
        procession::Result::<()>::Ok(())
    });
    let (received, drops) = within(received_by_dropping(&rx)).await?;
    within(sending).await??;
    assert!(drops >= 1000, "only {drops} were dropped");
    assert!(received.iter().copied().eq(0..3000), "{} received", received.len());
    end(sup).await;
    Ok(())
}

/// Does the same in a worker, and sends on what it received.
#[derive(Actor)]
struct Dropper;

#[handlers]
impl Dropper {
    #[init]
    fn new() -> Self {
        Self
    }

    #[call(timeout = "60s")]
    async fn pass_on(&self, from: Receiver<u64>, to: Sender<u64>) -> Result<usize, Failure> {
        let (received, drops) = received_by_dropping(&from).await?;
        to.send_all(received).await?;
        Ok(drops)
    }
}

#[tokio::test]
async fn the_same_holds_between_processes() -> procession::Result<()> {
    const ITEMS: u64 = 500;
    let sup = start().await;
    let (tx, from) = sup.queue::<u64>("from", 8)?;
    let (to, rx) = sup.queue::<u64>("to", 10_000)?;
    let dropper = within(sup.spawn::<Dropper>("dropper", ())).await?;
    let sending = tokio::spawn(async move { tx.send_all(0..ITEMS).await });
    let drops = within(dropper.pass_on(from, to)).await?;
    within(sending).await??;
    let received = within(rx.recv_many(4000)).await?;
    assert!(received.into_iter().eq(0..ITEMS));
    assert!(drops >= ITEMS as usize / 2, "only {drops} were dropped");
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_dropped_send_is_withdrawn_and_its_place_is_the_next_ones() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 1)?;
    within(tx.send(1)).await?;
    let dropped = crate::processes::begin(tx.send(2));
    let waits = crate::processes::begin(tx.send(3));
    while within(tx.queue().status()).await?.senders_waiting != 2 {}
    drop(dropped);
    assert_eq!(within(rx.recv()).await?, Some(1));
    within(waits).await?;
    drop(tx);
    assert_eq!((within(rx.recv()).await?, within(rx.recv()).await?), (Some(3), None));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_wish_whose_time_is_over_loses_nothing() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 8)?;
    let sending = tokio::spawn(async move {
        for item in 0..200 {
            tx.send(item).await?;
            for _ in 0..item % 7 * 5 {
                tokio::task::yield_now().await;
            }
        }
        procession::Result::<()>::Ok(())
    });
    let (mut received, mut late) = (Vec::new(), 0);
    loop {
        match within(rx.recv().timeout(Duration::from_micros(late % 9 * 100))).await {
            Ok(Some(item)) => received.push(item),
            Ok(None) => break,
            Err(QueueError::TimedOut) => late += 1,
            Err(error) => return Err(error.into()),
        }
    }
    within(sending).await??;
    assert!(received.into_iter().eq(0..200), "{late} were too late");
    assert!(late > 0);
    end(sup).await;
    Ok(())
}
