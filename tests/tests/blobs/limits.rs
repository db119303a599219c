//! What a worker may have in blobs: it is held to that by an error, and lives on.

use procession::blob::{self, Blob, BlobWriter};
use procession::prelude::*;
use procession::{CodecError, Limits, PoolSpec, StartError};

use crate::processes::{end, start, system, within};
use crate::reader::{Keeper, KeeperApi, Reader, ReaderApi, doubled, filled, readers, sum};
use crate::{alone, nothing_is_left, written};

const LIMIT: usize = 1_000_000;

fn limited() -> Limits {
    Limits::new().blobs(LIMIT as u64)
}

async fn reader(sup: &Supervisor) -> Address<Reader> {
    within(sup.start_child(ChildSpec::new("limited", ()).limits(limited()))).await.expect("a reader")
}

/// What a worker is told that wants so many bytes and has others.
fn told(len: usize, used: usize) -> String {
    format!(
        "{len} bytes of a blob are beyond the limit of this worker, which has {used} of the {LIMIT} bytes that Limits::blobs \
         in its spec allows it; let go of blobs, or allow more there"
    )
}

#[track_caller]
fn assert_says(error: &impl ToString, what: &str) {
    let error = error.to_string();
    assert!(error.contains(what), "{error}");
}

#[tokio::test]
async fn a_worker_makes_as_much_as_it_may_and_its_neighbour_what_it_likes() {
    let _one = alone().await;
    let sup = start().await;
    let (one, other) = (reader(&sup).await, readers(&sup, 1).await.remove(0));
    for _ in 0..2 {
        let pid = within(one.pid()).await.unwrap();
        assert_says(&within(one.make(LIMIT + 1, 0)).await.unwrap_err(), &told(LIMIT + 1, 0));
        assert_eq!(within(other.make(LIMIT + 1, 2)).await.unwrap().len(), LIMIT + 1);
        // What it gives away and does not keep is others'.
        let made = within(one.make(LIMIT - 10, 1)).await.unwrap();
        assert_eq!(within(one.make(LIMIT, 3)).await.unwrap().len(), LIMIT);
        within(one.keep(made.clone())).await.unwrap();
        assert_says(&within(one.make(11, 0)).await.unwrap_err(), &told(11, LIMIT - 10));
        // Its own word changes nothing.
        within(one.limit(u64::MAX)).await.unwrap();
        assert_says(&within(one.make(11, 0)).await.unwrap_err(), &told(11, LIMIT - 10));
        assert_eq!(within(one.make(10, 0)).await.unwrap().len(), 10);
        assert_eq!(within(one.pid()).await, Ok(pid));
        // The next incarnation is held to it too.
        within(sup.restart("limited")).await.unwrap();
    }
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn a_blob_beyond_the_limit_is_an_error_to_who_sends_it_and_the_worker_lives_on() {
    let _one = alone().await;
    let sup = start().await;
    let one = reader(&sup).await;
    let pid = within(one.pid()).await.unwrap();
    let (large, small) = (written(LIMIT - 10), written(100));
    assert_eq!(within(one.keep(large.clone())).await, Ok(1));
    let refused = within(one.sum(small.clone())).await.unwrap_err();
    assert!(matches!(&refused, CallError::Codec(CodecError::Request { .. })), "{refused:?}");
    assert_says(&refused, &told(100, LIMIT - 10));
    // The same one counts once, whatever of it comes how often.
    assert_eq!(within(one.keep(large.slice(5..))).await, Ok(2));
    assert_eq!(within(one.sum(large.clone())).await, Ok(sum(&large)));
    assert_eq!(within(one.sum(written(10))).await, Ok(sum(&written(10))));
    assert_says(&within(one.sum(written(11))).await.unwrap_err(), &told(11, LIMIT - 10));
    // A part keeps all of it.
    assert_says(&within(one.sum(written(LIMIT + 1).slice(..1))).await.unwrap_err(), &told(LIMIT + 1, LIMIT - 10));
    within(one.drop_all()).await.unwrap();
    assert_eq!(within(one.sum(small.clone())).await, Ok(sum(&small)));
    assert_eq!(within(one.pid()).await, Ok(pid));
    drop((large, small));
    nothing_is_left().await;
    end(sup).await;
}

#[tokio::test]
async fn what_waits_for_a_worker_does_not_count_before_it_comes_to_it() {
    let _one = alone().await;
    let sup = start().await;
    let one = reader(&sup).await;
    system::freeze(within(one.pid()).await.unwrap());
    let sums: Vec<_> = (0..20).map(|at| tokio::spawn(one.sum(written(LIMIT - at)))).collect();
    system::thaw(sup.children().await[0].pid.unwrap());
    for (at, sum) in sums.into_iter().enumerate() {
        assert_eq!(within(sum).await.unwrap().map(|sum| sum.0), Ok(LIMIT - at));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_blob_beyond_the_limit_is_an_error_in_an_answer_and_in_an_argument_of_init() {
    let _one = alone().await;
    let sup = start().await;
    let (one, other) = (reader(&sup).await, readers(&sup, 1).await.remove(0));
    assert_says(&within(one.fetch(other, LIMIT + 1)).await.unwrap_err(), &told(LIMIT + 1, 0));
    assert_eq!(within(one.fetch(other, LIMIT)).await, Ok((LIMIT, LIMIT as u64)));
    let keeper = |len| ChildSpec::<Keeper>::new("keeper", written(len)).limits(limited());
    let refused = within(sup.start_child(keeper(LIMIT + 1))).await.map(|_| ()).unwrap_err();
    assert_says(&refused, &told(LIMIT + 1, 0));
    let keeper = within(sup.start_child(keeper(LIMIT))).await.expect("a start");
    assert_eq!(within(keeper.check()).await.unwrap().1, LIMIT);
    end(sup).await;
}

#[tokio::test]
async fn the_workers_of_a_pool_are_held_to_its_limit_each_for_itself() {
    let _one = alone().await;
    let sup = start().await;
    let pool = within(sup.task_pool("pool", PoolSpec::new(1).limits(limited()))).await.unwrap();
    // The argument is as large as the result.
    let done = within(pool.map(doubled, [LIMIT / 2, LIMIT / 2 + 1, 1000, LIMIT + 1].map(written))).await;
    assert_says(&done.unwrap_err(), &told(LIMIT + 1, 0));
    let done = within(pool.map(doubled, [LIMIT / 2 + 1].map(written))).await.unwrap().remove(0);
    assert_says(&done.unwrap_err(), &told(LIMIT / 2 + 1, LIMIT / 2 + 1));
    let done = within(pool.map(doubled, [LIMIT / 2].map(written))).await.unwrap().remove(0);
    assert_eq!(done.unwrap().len(), LIMIT / 2);
    assert_eq!(within(pool.workers()).await.len(), 1);
    assert_eq!(sup.exit_reports().len(), 0, "no worker has died of it");
    end(sup).await;
}

#[tokio::test]
async fn a_part_of_a_split_blob_counts_with_its_own_bytes() {
    let _one = alone().await;
    let sup = start().await;
    let one = reader(&sup).await;
    let mut parts = BlobWriter::with_len(3 * LIMIT).unwrap().split(2).unwrap();
    let mut slices = parts.slices().into_iter();
    let first = slices.next().unwrap();
    let len = first.len();
    assert!(len > LIMIT);
    assert_says(&within(one.fill(first, 1)).await.unwrap_err(), &told(len, 0));
    drop((slices, parts));
    let mut parts = BlobWriter::with_len(3 * LIMIT).unwrap().split(4).unwrap();
    for slice in parts.slices() {
        let done = within(one.fill(slice, 7)).await.unwrap();
        parts.put_back(&done).unwrap();
    }
    assert_eq!(sum(&within(parts.finish()).await.unwrap()).1, 7 * 3 * LIMIT as u64);
    let pool = within(sup.task_pool("pool", PoolSpec::new(2).limits(limited()))).await.unwrap();
    let mut parts = BlobWriter::with_len(5 * LIMIT).unwrap().split(10).unwrap();
    let slices: Vec<_> = parts.slices().into_iter().map(|slice| (slice, false)).collect();
    for done in within(pool.map(filled, slices)).await.unwrap() {
        parts.put_back(&done.unwrap()).unwrap();
    }
    drop(within(parts.finish()).await.unwrap());
    nothing_is_left().await;
    end(sup).await;
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused_before_any_process_starts() {
    let _one = alone().await;
    let sup = start().await;
    let none = Limits::new().blobs(0);
    let refused = within(sup.start_child(ChildSpec::<Reader>::new("none", ()).limits(none.clone()))).await;
    let refused = refused.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StartError::BadSpec(_)), "{refused:?}");
    assert_says(&refused, "the limits of none: 0 bytes in blobs would refuse every blob");
    let refused = within(sup.task_pool("pool", PoolSpec::new(1).limits(none))).await.map(|_| ()).unwrap_err();
    assert_says(&refused, "0 bytes in blobs would refuse every blob");
    let local = ChildSpec::<Reader>::local("local", ()).limits(limited());
    assert_says(&within(sup.start_child(local)).await.map(|_| ()).unwrap_err(), "a thread has no limits of its own");
    assert_eq!((sup.children().await.len(), sup.exit_reports().len()), (0, 0));
    end(sup).await;
}

#[tokio::test]
async fn the_limit_of_a_worker_is_none_of_its_supervisor() {
    let _one = alone().await;
    let sup = start().await;
    let _limited = reader(&sup).await;
    let large: Blob = written(2 * LIMIT);
    assert_eq!(blob::usage().bytes, 2 * LIMIT as u64);
    drop(large);
    end(sup).await;
}
