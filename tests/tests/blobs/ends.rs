//! What is left of blobs when processes end: nothing that nobody has.

use std::time::{Duration, Instant};

use procession::blob::{self, BlobError, BlobWriter};

use crate::processes::system::Holdings;
use crate::processes::{end, start, system, within};
use crate::reader::{Branch, BranchApi, ReaderApi, readers, sum};
use crate::{alone, nothing_is_left, written};

/// A sequence of numbers that look drawn and are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

const ROUNDS: usize = 1000;
/// As many of them as go into this will do, where starting a process takes long.
const TIME: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_nothing_is_left_and_others_read_on() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 2).await;
    let branch = within(sup.spawn::<Branch>("branch", ())).await.unwrap();
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let begun = Instant::now();
    let mut before = None;
    let mut rounds = 0;
    while rounds < ROUNDS && (begun.elapsed() < TIME || rounds < 20) {
        rounds += 1;
        let mut pids = Vec::new();
        for reader in &readers {
            pids.push(within(reader.pid()).await.unwrap());
        }
        let leaf = within(branch.leaf()).await.unwrap();
        pids.extend([within(leaf.pid()).await.unwrap(), within(branch.pid()).await.unwrap()]);
        let ours = written(20_000 + rounds);
        let want = sum(&ours);
        // Blobs of this process and of a worker are kept everywhere, on their way, and in mailboxes.
        let made = within(readers[0].make(10_000, 1)).await.unwrap();
        let mut calls = Vec::new();
        for to in [&readers[0], &readers[1], &leaf] {
            for blob in [&ours, &made] {
                calls.push(tokio::spawn(to.keep(blob.clone())));
                calls.push(tokio::spawn(to.keep(blob.slice(1..))));
            }
        }
        let others = tokio::spawn(readers[1].pass_on(leaf, made.clone()));
        for _ in 0..draws.below(4) {
            tokio::task::yield_now().await;
        }
        let victim = draws.below(pids.len() as u64) as usize;
        system::kill(pids[victim]);
        for call in calls {
            let _ = within(call).await.unwrap();
        }
        let _ = within(others).await.unwrap();
        assert_eq!((sum(&ours), sum(&made)), (want, (10_000, 10_000)), "round {rounds}");
        drop((ours, made));
        // Whoever lives lets go of what it has, whoever does not has none.
        for reader in &readers {
            while within(reader.drop_all()).await.is_err() {}
        }
        if within(leaf.drop_all()).await.is_err() {
            while within(branch.leaf()).await.is_err() {}
        }
        nothing_is_left().await;
        if rounds == 10 {
            before = Some(Holdings::now());
        }
    }
    // What a process holds for its workers comes and goes with them.
    let before = before.expect("more than ten rounds");
    within(async {
        while !Holdings::now().are_as(&before) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    println!("{rounds} rounds in {:?}", begun.elapsed());
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn a_blob_in_a_mailbox_is_there_when_its_maker_is_not() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 2).await;
    let made = within(readers[0].make(30_000, 2)).await.unwrap();
    system::freeze(within(readers[1].pid()).await.unwrap());
    let sums: Vec<_> = (0..20).map(|_| tokio::spawn(readers[1].sum(made.clone()))).collect();
    drop(made);
    system::kill(within(readers[0].pid()).await.unwrap());
    while within(readers[0].pid()).await.is_err() {}
    let children = sup.children().await;
    system::thaw(children.iter().find(|child| child.name == "reader-1").and_then(|child| child.pid).unwrap());
    for sum in sums {
        assert_eq!(within(sum).await.unwrap(), Ok((30_000, 60_000)));
    }
    nothing_is_left().await;
    end(sup).await;
}

#[tokio::test]
async fn what_is_too_much_is_told_before_it_is_promised() {
    let _one = alone().await;
    for len in [1 << 60, isize::MAX as usize, usize::MAX] {
        let refused = BlobWriter::with_len(len).unwrap_err();
        assert!(matches!(&refused, BlobError::Memory { len: asked, .. } if *asked == len as u64), "{refused}");
        let mut writer = BlobWriter::with_len(10).unwrap();
        assert!(writer.resize(len).is_err() && writer.len() == 10);
        writer[9] = 1;
        assert_eq!(writer.finish().unwrap()[9], 1);
    }
    blob::set_limit(1_000_000);
    let one = written(600_000);
    let refused = BlobWriter::with_len(400_001).unwrap_err();
    assert!(matches!(refused, BlobError::Limit { len: 400_001, used: 600_000, limit: 1_000_000 }), "{refused}");
    assert_eq!(
        refused.to_string(),
        "400001 bytes are not to be had for a blob: this process has 600000 of the 1000000 bytes that blob::set_limit allows \
         it; let go of blobs, or set a higher limit"
    );
    let mut two = BlobWriter::with_len(300_000).unwrap();
    assert!(two.resize(400_001).is_err() && BlobWriter::with_len(100_001).is_err());
    two.resize(400_000).unwrap();
    assert_eq!(blob::usage().bytes, 1_000_000);
    drop(one);
    two.resize(900_000).unwrap();
    drop(two);
    blob::set_limit(u64::MAX);
    nothing_is_left().await;
    // Each process has its own.
    let sup = start().await;
    let reader = readers(&sup, 1).await.remove(0);
    within(reader.limit(1000)).await.unwrap();
    let refused = within(reader.make(1001, 0)).await.unwrap_err().to_string();
    assert!(refused.contains("0 of the 1000 bytes"), "{refused}");
    assert_eq!(within(reader.make(1000, 1)).await.unwrap().len(), 1000);
    assert_eq!(within(reader.sum(written(5000))).await.unwrap().0, 5000, "what others give is not refused");
    end(sup).await;
}
