use std::marker::PhantomData;

use procession::prelude::*;
use procession::queue::{AckReceiver, Queue, QueueError, Receiver, Sender};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::processes::{end, start, within};

/// Written as one type and read as another: what a peer may do that lies, or is another build.
enum Mimic<W, R> {
    Written(W),
    Read(R),
}

impl<W: Serialize, R> Serialize for Mimic<W, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Written(value) => value.serialize(serializer),
            Self::Read(_) => Err(serde::ser::Error::custom("it was read")),
        }
    }
}

impl<'de, W, R: Deserialize<'de>> Deserialize<'de> for Mimic<W, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        R::deserialize(deserializer).map(Self::Read)
    }
}

/// What a receiver finds that is sent a `W` and expects an `R`.
async fn read_as<W, R>(sup: &Supervisor, value: W, _: PhantomData<R>) -> Result<R, QueueError>
where
    W: Serialize + Send + 'static,
    R: DeserializeOwned + Send + 'static,
{
    let (tx, rx) = sup.queue::<Mimic<W, R>>("mimic", 1)?;
    within(tx.send(Mimic::Written(value))).await.map_err(|refused| refused.error)?;
    let read = within(rx.recv()).await;
    let letters = within(tx.queue().take_dead_letters(2)).await?;
    assert_eq!(letters.len(), usize::from(read.is_err()), "what nobody can read is kept");
    drop(tx);
    assert!(within(rx.recv()).await?.is_none());
    let gone = rx.queue();
    drop(rx);
    while within(gone.status()).await != Err(QueueError::Gone) {}
    while sup.find_queue::<Mimic<W, R>>("mimic")?.is_some() {
        tokio::task::yield_now().await;
    }
    match read? {
        Some(Mimic::Read(value)) => Ok(value),
        _ => panic!("nothing was read"),
    }
}

const SENDER: PhantomData<Sender<u64>> = PhantomData;
const RECEIVER: PhantomData<Receiver<u64>> = PhantomData;

/// A sender's parts: the hash of its type, its kind, and where it leads.
type Raw = (u64, (u8, (u64, u64, u64, u64)));

#[tokio::test]
async fn what_is_no_side_of_this_queue_is_a_clear_error() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 1)?;
    let (texts, _) = sup.queue::<String>("texts", 1)?;
    let (_, acks) = sup.queue_builder::<u64>("acks").acknowledged(1).open()?;
    let said = |error: QueueError| error.to_string();
    let refused = said(read_as(&sup, texts, SENDER).await.expect_err("of texts"));
    assert!(refused.contains("not a side of a queue of u64"), "{refused}");
    let refused = said(read_as(&sup, rx.clone(), SENDER).await.expect_err("the other side"));
    assert!(refused.contains("not to the sending side of a queue"), "{refused}");
    let refused = said(read_as(&sup, acks, RECEIVER).await.expect_err("of the other kind"));
    assert!(refused.contains("AckReceiver"), "{refused}");
    let refused =
        said(read_as(&sup, rx.clone(), PhantomData::<AckReceiver<u64>>).await.expect_err("of the other kind"));
    assert!(refused.contains("its receiving side is a Receiver"), "{refused}");
    for rubbish in [vec![], vec![7_u64; 1], vec![u64::MAX; 40]] {
        let refused = said(read_as(&sup, rubbish, SENDER).await.expect_err("rubbish"));
        assert!(refused.contains("failed to decode"), "{refused}");
    }
    // None of that has cost the queue anything.
    within(tx.send(1)).await?;
    assert_eq!(within(rx.recv()).await?, Some(1));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_side_that_leads_nowhere_says_that_the_queue_is_gone() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 1)?;
    let (hash, (kind, (run, node, actor, protocol))) = read_as(&sup, tx.clone(), PhantomData::<Raw>).await?;
    for (node, actor) in [(node, actor + 1_000_000), (node ^ 1, actor), (node, 0)] {
        let forged: Raw = (hash, (kind, (run, node, actor, protocol)));
        let forged = read_as(&sup, forged, SENDER).await?;
        let refused = within(forged.send(7)).await.expect_err("it leads nowhere");
        assert_eq!((refused.item, refused.error), (7, QueueError::Gone));
    }
    // One that was written by hand leads to the queue, as an address would.
    let by_hand: Raw = (hash, (kind, (run, node, actor, protocol)));
    within(read_as(&sup, by_hand, SENDER).await?.send(8)).await?;
    assert_eq!(within(rx.recv()).await?, Some(8));
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_side_travels_in_messages_only_and_the_queue_as_plain_data() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue::<u64>("queue", 1)?;
    for outside in [postcard::to_stdvec(&tx), postcard::to_stdvec(&rx)] {
        outside.expect_err("nobody could count it");
    }
    let bytes = postcard::to_stdvec(&tx.queue())?;
    let queue: Queue<u64> = postcard::from_bytes(&bytes)?;
    assert_eq!(queue, rx.queue());
    postcard::from_bytes::<Queue<String>>(&bytes).expect_err("of another type");
    drop((tx, rx));
    while within(queue.status()).await != Err(QueueError::Gone) {}
    end(sup).await;
    Ok(())
}
