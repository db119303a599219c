use std::time::Duration;

use procession::queue::{QueueError, Receiver, Sender};

use crate::bytes::Bytes;
use crate::processes::{begin, end, poll_once, start, within};

const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_full_queue_makes_its_sender_wait_and_try_send_says_full_with_the_item() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<String>("queue", 2)?;
    within(tx.send("a".to_owned())).await?;
    within(tx.send("b".to_owned())).await?;
    let refused = within(tx.try_send("c".to_owned())).await.expect_err("it is full");
    assert_eq!((refused.item.as_str(), refused.error), ("c", QueueError::Full));
    let mut waits = begin(tx.send("d".to_owned()));
    let late = within(tx.send("e".to_owned()).timeout(SOON)).await.expect_err("it is full");
    assert_eq!((late.item.as_str(), late.error), ("e", QueueError::TimedOut));
    assert!(poll_once(waits.as_mut()).is_pending());
    assert_eq!(within(rx.recv()).await?.as_deref(), Some("a"));
    within(waits).await?;
    drop(tx);
    assert_eq!(within(rx.recv_many(10)).await?, ["b", "d"]);
    assert_eq!(within(rx.recv()).await?, None);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_receiver_waits_for_an_item_or_until_its_time_is_over() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 2)?;
    assert_eq!(within(rx.try_recv()).await, Err(QueueError::Empty));
    assert_eq!(within(rx.recv().timeout(SOON)).await, Err(QueueError::TimedOut));
    let (first, second) = (begin(rx.recv()), begin(rx.recv()));
    within(tx.send_all([1, 2])).await?;
    assert_eq!((within(first).await?, within(second).await?), (Some(1), Some(2)));
    drop(tx);
    assert_eq!((within(rx.try_recv()).await, within(rx.recv()).await), (Ok(None), Ok(None)));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_batch_is_received_as_it_was_sent_however_large_it_is() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<Vec<u8>>("queue", 100_000)?;
    let items: Vec<Vec<u8>> = (0..30_000_usize).map(|n| vec![n as u8; n % 1000]).collect();
    within(tx.send_all(items.clone())).await?;
    drop(tx);
    let mut received = Vec::new();
    loop {
        let some = within(rx.recv_many(7000)).await?;
        if some.is_empty() {
            break;
        }
        received.extend(some);
    }
    assert!(received == items);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn the_bytes_are_bounded_too_and_a_larger_item_passes_alone() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue_builder::<Vec<u8>>("queue").bytes(1 << 20).open()?;
    within(tx.send(vec![1; 3 << 20])).await?;
    assert_eq!(within(tx.try_send(vec![2])).await.expect_err("full").error, QueueError::Full);
    assert_eq!(within(rx.recv()).await?.map(|item| item.len()), Some(3 << 20));
    within(tx.try_send(vec![2])).await?;
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn an_item_that_no_message_carries_is_an_error_that_says_what_to_do() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx): (Sender<Bytes>, Receiver<Bytes>) = sup.queue("queue", 2)?;
    let refused = within(tx.send(Bytes(vec![0; 17 << 20]))).await.expect_err("too large");
    assert_eq!(refused.item.0.len(), 17 << 20);
    let said = refused.to_string();
    assert!(said.contains("bytes") && said.contains("send it in pieces"), "{said}");
    let QueueError::TooLarge { limit } = refused.error else { panic!("{said}") };
    // The largest goes through, there and back, and comes back where it is not taken.
    let largest = Bytes(vec![7; limit - 4]);
    within(tx.send(largest.clone())).await?;
    drop(begin(rx.recv()));
    assert!(within(rx.recv()).await? == Some(largest));
    // In a batch what stands before it was sent.
    let batch = vec![Bytes(vec![1]), Bytes(vec![0; 17 << 20]), Bytes(vec![2])];
    let refused = within(tx.send_all(batch)).await.expect_err("too large");
    assert_eq!(refused.item.iter().map(|item| item.0.len()).collect::<Vec<_>>(), [17 << 20, 1]);
    assert!(within(rx.recv()).await? == Some(Bytes(vec![1])));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_stream_has_the_items_and_ends_once() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    let mut items = rx.clone().into_stream();
    assert!(poll_once(std::pin::pin!(items.next())).is_pending());
    within(tx.send_all([1, 2])).await?;
    assert_eq!(within(items.next()).await.transpose()?, Some(1), "the wish that was left is taken up again");
    drop(tx);
    assert_eq!(within(items.next()).await.transpose()?, Some(2));
    assert_eq!((within(items.next()).await, within(items.next()).await), (None, None));
    let (tx, rx) = sup.queue::<u64>("another", 10)?;
    let mut items = rx.clone().into_stream();
    assert!(poll_once(std::pin::pin!(items.next())).is_pending());
    within(tx.send(1)).await?;
    // Given back with the stream.
    drop(items);
    assert_eq!(within(rx.recv()).await?, Some(1));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn join_waits_until_what_was_sent_is_taken() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    within(tx.join()).await?;
    within(tx.send_all([1, 2])).await?;
    let mut joins = begin(tx.join());
    assert_eq!(within(tx.join().timeout(SOON)).await, Err(QueueError::TimedOut));
    within(tx.send(3)).await?;
    assert_eq!(within(rx.recv_many(2)).await?, [1, 2]);
    within(joins.as_mut()).await?;
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_name_is_one_queue_of_one_type_until_nobody_holds_it() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 10)?;
    let taken = sup.queue::<u64>("queue", 10).expect_err("taken");
    assert!(matches!(&taken, QueueError::NameTaken { name } if name == "queue"), "{taken}");
    let other = sup.find_queue::<String>("queue").expect_err("of numbers");
    assert!(other.to_string().contains("String"), "{other}");
    assert_eq!(sup.find_queue::<u64>("other")?, None);
    let queue = sup.find_queue::<u64>("queue")?.expect("it is there");
    let (another, receiver) = (within(queue.sender()).await?, within(queue.receiver()).await?);
    assert!(matches!(within(queue.ack_receiver()).await, Err(QueueError::OtherType { .. })));
    assert!(another == tx && receiver == rx);
    drop((tx, rx));
    within(another.send(1)).await?;
    drop(another);
    assert_eq!((within(receiver.recv()).await?, within(receiver.recv()).await?), (Some(1), None));
    assert_eq!(within(queue.sender()).await.expect_err("its stream has ended"), QueueError::Closed);
    let joined = begin(queue.join());
    drop((receiver, joined));
    // The name is free as soon as the queue is gone.
    while within(queue.status()).await != Err(QueueError::Gone) {}
    while sup.queue::<String>("queue", 1).is_err() {
        tokio::task::yield_now().await;
    }
    end(sup).await;
    Ok(())
}
