//! Large bytes in messages: they arrive as they were, among small ones and beside them, wherever the actor is.

mod processes;

use bytes::Bytes;
use procession::CodecError;
use procession::prelude::*;

use processes::{end, start, system, within};

procession::test_workers!();

#[derive(Actor, Default)]
struct Store {
    kept: Vec<Bytes>,
}

#[handlers]
impl Store {
    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    /// The sum of all, and how many bytes that were.
    #[call(timeout = "30s")]
    fn look(&self, first: u8, one: Bytes, text: String, other: Bytes, last: Vec<Bytes>) -> (u64, usize) {
        let mut found = (u64::from(first), text.len());
        for bytes in [one, other].iter().chain(&last) {
            found.0 += sum(bytes);
            found.1 += bytes.len();
        }
        found
    }

    #[call(timeout = "30s")]
    fn keep(&mut self, bytes: Bytes) -> usize {
        self.kept.push(bytes);
        self.kept.len()
    }

    #[call(timeout = "30s")]
    fn kept(&self, at: usize) -> Bytes {
        self.kept[at].clone()
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().enumerate().map(|(at, byte)| u64::from(*byte) * (at as u64 % 97 + 1)).sum()
}

fn written(len: usize, seed: usize) -> Bytes {
    (0..len).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

const LENGTHS: [usize; 7] = [0, 100, (128 << 10) - 1, 128 << 10, 300_000, 5 << 20, 15 << 20];

#[tokio::test]
async fn large_bytes_arrive_as_they_were_in_a_process_and_on_a_thread() {
    let sup = start().await;
    let remote = within(sup.spawn::<Store>("remote", ())).await.unwrap();
    let local = within(sup.spawn_local::<Store>("local", ())).await.unwrap();
    for store in [remote, local] {
        for (turn, len) in LENGTHS.into_iter().enumerate() {
            let whole = written(len, turn);
            let other = whole.slice(len / 3..len - len / 20);
            let rest = vec![whole.slice(..len / 40), Bytes::from_static(b"last")];
            let total = whole.len() + other.len() + rest[0].len() + 4 + 4;
            let expected = sum(&whole) + sum(&other) + sum(&rest[0]) + sum(b"last") + turn as u64;
            let found = within(store.look(turn as u8, whole, "text".into(), other, rest)).await;
            if total > 16 << 20 {
                assert!(matches!(found, Err(CallError::Codec(CodecError::Arguments { .. }))), "{found:?}");
            } else {
                assert_eq!(found, Ok((expected, total)), "{len} bytes");
            }
        }
    }
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_large_messages_does_not_change_when_others_come() {
    let sup = start().await;
    let store = within(sup.spawn::<Store>("store", ())).await.unwrap();
    // All under way at once, small ones among them.
    let length = |turn| [200_000 + turn * 1000, 64, 1 << 20, 7_000][turn % 4];
    let calls: Vec<_> = (0..60).map(|turn| tokio::spawn(store.keep(written(length(turn), turn)))).collect();
    for call in calls {
        within(call).await.unwrap().unwrap();
    }
    let mut kept = Vec::new();
    for at in 0..60 {
        kept.push(within(store.kept(at)).await.unwrap());
    }
    kept.sort();
    let mut expected: Vec<_> = (0..60).map(|turn| written(length(turn), turn)).collect();
    expected.sort();
    assert!(kept == expected);
    end(sup).await;
}

#[tokio::test]
async fn a_worker_that_dies_over_large_messages_is_a_death_and_the_next_one_takes_them() {
    let sup = start().await;
    let store = within(sup.spawn::<Store>("store", ())).await.unwrap();
    for turn in 0..5 {
        let pid = within(store.pid()).await.unwrap();
        system::freeze(pid);
        let calls: Vec<_> = (0..4).map(|seed| tokio::spawn(store.keep(written(3 << 20, seed)))).collect();
        // Some of it is on its way.
        tokio::task::yield_now().await;
        system::kill(pid);
        for call in calls {
            let kept = within(call).await.unwrap();
            assert!(matches!(kept, Ok(_) | Err(CallError::Died { .. })), "turn {turn}: {kept:?}");
        }
        while within(store.keep(written(1 << 20, turn))).await.is_err() {}
        let kept = within(store.kept(0)).await.unwrap();
        assert!(kept.len() >= 1 << 20);
    }
    end(sup).await;
}
