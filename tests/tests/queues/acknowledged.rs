use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use procession::Event;
use procession::prelude::*;
use procession::queue::{AckReceiver, DeadReason, QueueError, Sender};

use crate::porter::{Porter, PorterApi, kill, porter};
use crate::processes::{Probe, ProbeApi, begin, end, event, poll_once, probe, start, system, within};

#[tokio::test]
async fn what_a_killed_worker_had_taken_is_handed_out_again_in_its_place() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(3).open()?;
    within(tx.send_all([1, 2, 3, 4])).await?;
    drop(tx);
    let one = porter(&sup, "one").await;
    within(one.keep_ack_receiver(rx.clone())).await?;
    assert_eq!(within(one.take(2)).await?, [(1, 1), (2, 1)]);
    let third = within(rx.recv()).await?.expect("the third");
    kill(&sup, &one, "one").await;
    for (item, attempt) in [(1, 2), (2, 2), (4, 1)] {
        let delivery = within(rx.recv()).await?.expect("an item");
        assert_eq!((*delivery, delivery.attempt()), (item, attempt));
        assert_eq!(within(delivery.ack()).await?, item);
    }
    // One is out: the end waits for it.
    let mut ends = begin(rx.recv());
    assert_eq!(within(rx.queue().status()).await?.unacknowledged, 1);
    assert!(poll_once(ends.as_mut()).is_pending());
    within(third.ack()).await?;
    assert!(within(ends).await?.is_none());
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn an_item_that_kills_its_workers_is_a_dead_letter() -> procession::Result<()> {
    let sup = start().await;
    let mut events = sup.events();
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(2).open()?;
    within(tx.send_all([13, 14])).await?;
    for attempt in 1..=2 {
        let name = format!("one {attempt}");
        let one = porter(&sup, &name).await;
        within(one.keep_ack_receiver(rx.clone())).await?;
        assert_eq!(within(one.take(1)).await?, [(13, attempt)]);
        kill(&sup, &one, &name).await;
    }
    let next = within(rx.recv()).await?.expect("the other");
    assert_eq!(*next, 14);
    let joins = begin(tx.join());
    within(next.ack()).await?;
    within(joins).await?;
    event(&mut events, |event| matches!(event, Event::ItemsDead { count: 1, .. })).await;
    let letters = within(tx.queue().take_dead_letters(5)).await?;
    let letters: Vec<_> = letters.into_iter().map(|letter| (letter.item, letter.why, letter.attempts)).collect();
    assert_eq!(letters, [(Ok(13), DeadReason::Unacknowledged, 2)]);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_is_dropped_or_refused_counts_and_one_that_nobody_had_does_not() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(3).open()?;
    within(tx.send(1)).await?;
    drop(begin(rx.recv()));
    drop(within(rx.recv()).await?.expect("the first time"));
    let second = within(rx.recv()).await?.expect("the second time");
    assert_eq!(second.attempt(), 2);
    second.nack();
    let third = within(rx.recv()).await?.expect("the third time");
    assert_eq!(third.attempt(), 3);
    drop(third);
    drop(tx);
    assert!(within(rx.recv()).await?.is_none());
    assert_eq!(within(rx.queue().take_dead_letters(5)).await?.len(), 1);
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn a_delivery_may_be_dropped_on_any_thread_of_the_process_that_has_it() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(5).open()?;
    within(tx.send_all([1, 2])).await?;
    let process = porter(&sup, "process").await;
    let thread = within(sup.spawn_local::<Porter>("thread", ())).await?;
    for one in [process, thread] {
        within(one.keep_ack_receiver(rx.clone())).await?;
        within(one.take(2)).await?;
        within(one.drop_elsewhere()).await?;
    }
    let deliveries = within(rx.recv_many(2)).await?;
    assert_eq!(deliveries.iter().map(|one| (**one, one.attempt())).collect::<Vec<_>>(), [(1, 3), (2, 3)]);
    let other = tokio::spawn(async move { rx.ack_all(deliveries).await });
    assert_eq!(within(other).await??, 2);
    within(tx.join()).await?;
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn an_item_that_a_worker_keeps_for_too_long_is_somebody_elses() -> procession::Result<()> {
    let sup = start().await;
    let within_ms = Duration::from_millis(50);
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(5).ack_within(within_ms).open()?;
    within(tx.send(1)).await?;
    let one = porter(&sup, "one").await;
    within(one.keep_ack_receiver(rx.clone())).await?;
    assert_eq!(within(one.take(1)).await?, [(1, 1)]);
    let again = within(rx.recv()).await?.expect("it comes back");
    assert_eq!(within(one.acknowledge()).await?, 0, "too late");
    assert!(again.attempt() >= 2);
    match within(again.ack()).await {
        // On a slow machine it may have come back once more.
        Ok(1) | Err(QueueError::TooLate) => {}
        other => panic!("{other:?}"),
    }
    end(sup).await;
    Ok(())
}

#[tokio::test]
async fn many_are_received_and_acknowledged_in_two_messages() -> procession::Result<()> {
    let sup = start().await;
    let (tx, rx) = sup.queue_builder::<u64>("queue").acknowledged(2).open()?;
    within(tx.send_all(0..500)).await?;
    let deliveries = within(rx.recv_many(1000)).await?;
    assert!(deliveries.iter().map(|delivery| **delivery).eq(0..500));
    assert_eq!(within(rx.ack_all(deliveries)).await?, 500);
    within(tx.join()).await?;
    end(sup).await;
    Ok(())
}

/// Takes items, acknowledges each, and notes it; now and then it forgets one.
#[derive(Actor)]
struct Consumer;

#[handlers]
impl Consumer {
    #[init]
    fn new() -> Self {
        Self
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[cast]
    async fn consume(&self, rx: AckReceiver<u64>, probe: Address<Probe>) -> Result<(), Failure> {
        while let Some(delivery) = rx.recv().await? {
            if delivery.is_multiple_of(17) && delivery.attempt() == 1 {
                continue;
            }
            // Noted before it is acknowledged: a kill between the two makes it be noted twice, never not at all.
            probe.note(delivery.to_string()).await?;
            delivery.ack().await?;
        }
        probe.note("end".to_owned()).await?;
        Ok(())
    }
}

/// Sends items, and notes each that it has sent.
#[derive(Actor)]
struct Producer;

#[handlers]
impl Producer {
    #[init]
    fn new() -> Self {
        Self
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[cast]
    async fn produce(&self, tx: Sender<u64>, from: u64, probe: Address<Probe>) -> Result<(), Failure> {
        for item in from..from + EACH {
            tx.send(item).await?;
            probe.note(format!("sent {item}")).await?;
        }
        Ok(())
    }
}

const EACH: u64 = 200;
const CONSUMERS: usize = 3;
const KILLS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_among_producers_and_consumers_that_are_killed() -> procession::Result<()> {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (tx, rx) = sup.queue_builder::<u64>("queue").items(16).acknowledged(1_000_000).open()?;
    let queue = tx.queue();
    let mut consumers = Vec::new();
    for number in 0..CONSUMERS {
        let consumer = within(sup.spawn::<Consumer>(&format!("consumer {number}"), ())).await?;
        let pid = within(consumer.pid()).await?;
        within(consumer.consume(rx.clone(), probe)).await?;
        consumers.push((consumer, pid));
    }
    // Every incarnation of a producer has items of its own.
    let mut starts = (0..).map(|start| start * EACH);
    let mut producers = Vec::new();
    for number in 0..2 {
        let producer = within(sup.spawn::<Producer>(&format!("producer {number}"), ())).await?;
        let pid = within(producer.pid()).await?;
        within(producer.produce(tx.clone(), starts.next().unwrap_or_default(), probe)).await?;
        producers.push((producer, pid));
    }
    let mut producers_killed = 0;
    for kill in 0..KILLS {
        // They die in the middle of their handlers; the next incarnation is given the queue again.
        if kill % 5 == 4 {
            let (producer, pid) = &mut producers[kill % 2];
            let monitor = producer.ctl().monitor();
            system::kill(*pid);
            within(monitor).await;
            *pid = within(producer.pid()).await?;
            within(producer.produce(tx.clone(), starts.next().unwrap_or_default(), probe)).await?;
            producers_killed += 1;
        } else {
            let (consumer, pid) = &mut consumers[kill % CONSUMERS];
            let monitor = consumer.ctl().monitor();
            system::kill(*pid);
            within(monitor).await;
            *pid = within(consumer.pid()).await?;
            within(consumer.consume(rx.clone(), probe)).await?;
        }
    }
    drop(tx);
    // Each of the consumers that live sees the end, once.
    within(probe.noted("end".to_owned(), CONSUMERS)).await?;
    let notes = within(probe.notes()).await?;
    let sent: BTreeSet<u64> = notes.iter().filter_map(|note| note.strip_prefix("sent ")?.parse().ok()).collect();
    let mut received: BTreeMap<u64, usize> = BTreeMap::new();
    for note in notes.iter().filter_map(|note| note.parse().ok()) {
        *received.entry(note).or_default() += 1;
    }
    let lost: Vec<_> = sent.iter().filter(|item| !received.contains_key(item)).collect();
    assert!(lost.is_empty(), "sent and never received: {lost:?}");
    // One that was sent by a producer that died before it could say so.
    let unsaid = received.keys().filter(|item| !sent.contains(item)).count();
    assert!(unsaid <= producers_killed, "{unsaid} items of {producers_killed} killed producers");
    let again = received.values().filter(|times| **times > 1).count();
    assert!(again <= KILLS - producers_killed, "{again} were handled again");
    let status = within(queue.status()).await?;
    let counts = (status.items, status.unacknowledged, status.dead_letters, status.sent);
    assert_eq!(counts, (0, 0, 0, received.len() as u64));
    println!("{} items, {KILLS} kills, {again} handled twice, none lost", received.len());
    end(sup).await;
    Ok(())
}
