use procession::prelude::*;
use procession::queue::{QueueError, Receiver, Sender};
use procession::task;

use crate::porter::{Porter, PorterApi, kill, porter};
use crate::processes::{ProbeApi, begin, end, poll_once, probe, start, within};

/// A queue whose only sender is with a porter.
async fn sent_away(sup: &Supervisor) -> (Address<Porter>, Receiver<u64>) {
    let (tx, rx) = sup.queue::<u64>("queue", 10).expect("a queue");
    let one = porter(sup, "one").await;
    within(one.keep(tx)).await.expect("kept");
    (one, rx)
}

/// Nothing has ended and nothing has come, though the queue has answered since.
async fn assert_open(rx: &Receiver<u64>) {
    assert_eq!(within(rx.try_recv()).await, Err(QueueError::Empty));
    let status = within(rx.queue().status()).await.expect("it is there");
    assert!(!status.closed, "{status:?}");
}

#[tokio::test]
async fn the_stream_is_open_while_a_worker_has_a_clone_and_ends_with_the_last() -> procession::Result<()> {
    let sup = start().await;
    let (one, rx) = sent_away(&sup).await;
    assert_open(&rx).await;
    within(one.clone_senders(3)).await?;
    for _ in 0..4 {
        let back = within(one.give_sender()).await?.expect("it has one");
        assert_open(&rx).await;
        within(back.send(1)).await?;
        assert_eq!(within(rx.recv()).await?, Some(1));
        drop(back);
    }
    assert_eq!(within(rx.recv()).await?, None);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn the_stream_ends_when_the_last_sender_is_killed_and_what_it_sent_is_received() -> procession::Result<()> {
    let sup = start().await;
    let (one, rx) = sent_away(&sup).await;
    within(one.clone_senders(5)).await?;
    within(one.send(vec![1, 2, 3])).await?;
    kill(&sup, &one, "one").await;
    assert_eq!(within(rx.recv_many(10)).await?, [1, 2, 3]);
    assert_eq!(within(rx.recv()).await?, None);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_sender_in_a_message_that_is_never_handled_counts_until_the_message_is_gone() -> procession::Result<()> {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    let one = porter(&sup, "one").await;
    let blocked = begin(one.block(probe));
    within(probe.noted("at gate".to_owned(), 1)).await?;
    within(one.keep_later(tx)).await?;
    assert_open(&rx).await;
    kill(&sup, &one, "one").await;
    assert_eq!(within(rx.recv()).await?, None);
    within(blocked).await.expect_err("it died");
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_sender_in_a_message_that_waits_is_there_when_the_message_is_handled() -> procession::Result<()> {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    let one = porter(&sup, "one").await;
    let blocked = begin(one.block(probe));
    within(probe.noted("at gate".to_owned(), 1)).await?;
    within(one.keep_later(tx)).await?;
    assert_open(&rx).await;
    within(probe.open("gate".to_owned())).await?;
    within(blocked).await?;
    within(one.send(vec![5])).await?;
    within(one.forget()).await?;
    assert_eq!((within(rx.recv()).await?, within(rx.recv()).await?), (Some(5), None));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_sender_in_an_answer_that_nobody_takes_counts_no_more() -> procession::Result<()> {
    let sup = start().await;
    let (one, rx) = sent_away(&sup).await;
    let mut call = Box::pin(one.give_sender());
    assert!(poll_once(call.as_mut()).is_pending());
    // Answered for whoever asked, who is gone.
    drop(call);
    within(one.forget()).await?;
    assert_eq!(within(rx.recv()).await?, None);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_sender_in_an_item_of_another_queue_is_held_by_that() -> procession::Result<()> {
    let sup = start().await;
    let (outer, letters) = sup.queue::<(String, Sender<u64>)>("letters", 10)?;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    within(outer.send(("reply here".to_owned(), tx))).await?;
    assert_open(&rx).await;
    let (text, reply) = within(letters.recv()).await?.expect("a letter");
    within(reply.send(text.len() as u64)).await?;
    drop(reply);
    assert_eq!((within(rx.recv()).await?, within(rx.recv()).await?), (Some(10), None));
    // And gone with it, where nobody can receive the letter.
    let (tx, rx) = sup.queue::<u64>("queue 2", 10)?;
    within(outer.send(("never read".to_owned(), tx))).await?;
    assert_open(&rx).await;
    drop((outer, letters));
    assert_eq!(within(rx.recv()).await?, None);
    end(sup).await;
    Ok(())
}

#[task]
async fn doubles(numbers: Receiver<u64>, to: Sender<u64>) -> Result<usize, Failure> {
    let mut count = 0;
    while let Some(number) = numbers.recv().await? {
        to.send(2 * number).await?;
        count += 1;
    }
    Ok(count)
}

#[tokio::test]
async fn a_queue_is_an_argument_of_a_task_like_any_other() -> procession::Result<()> {
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 2)).await?;
    let (numbers, to_double) = sup.queue::<u64>("numbers", 4)?;
    let (to_add, doubled) = sup.queue::<u64>("doubled", 4)?;
    let tasks = [0, 1].map(|_| pool.submit(doubles, (to_double.clone(), to_add.clone())));
    drop((to_double, to_add));
    let sending = tokio::spawn(async move { numbers.send_all(1..=1000).await });
    let mut all = Vec::new();
    while let Some(number) = within(doubled.recv()).await? {
        all.push(number);
    }
    within(sending).await??;
    all.sort_unstable();
    assert!(all.iter().copied().eq((1..=1000).map(|n| 2 * n)));
    let mut counted = 0;
    for task in tasks {
        counted += within(task).await?.expect("it ends well");
    }
    assert_eq!(counted, 1000);
    within(pool.finish()).await;
    end(sup).await;
    Ok(())
}

#[task]
fn drops(_to: Sender<u64>) {}

#[task]
fn dies(_to: Sender<u64>) {
    std::process::abort()
}

#[task]
fn returns(to: Sender<u64>) -> Sender<u64> {
    to
}

#[tokio::test]
async fn a_sender_in_the_arguments_of_a_task_is_held_to_the_end_of_the_task() -> procession::Result<()> {
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 1)).await?;
    for fate in 0..3 {
        let (tx, rx) = sup.queue::<u64>(&format!("queue {fate}"), 4)?;
        match fate {
            0 => within(pool.submit(drops, tx)).await?,
            1 => assert!(within(pool.submit(dies, tx)).await.is_err()),
            _ => {
                let back = within(pool.submit(returns, tx)).await?;
                assert_open(&rx).await;
                within(back.send(1)).await?;
                assert_eq!(within(rx.recv()).await?, Some(1));
            }
        }
        assert_eq!(within(rx.recv()).await?, None);
    }
    within(pool.finish()).await;
    end(sup).await;
    Ok(())
}
