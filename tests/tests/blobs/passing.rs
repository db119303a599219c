//! The ways of a blob.

use procession::blob::Blob;
use procession::shared::SharedSpec;

use crate::processes::{end, event, start, system, within};
use crate::reader::{Branch, BranchApi, Keeper, KeeperApi, ReaderApi, doubled, readers, sum, sum_of};
use crate::{alone, nothing_is_left, written};

#[tokio::test]
async fn a_blob_goes_in_a_call_and_comes_in_a_reply() {
    let _one = alone().await;
    let sup = start().await;
    let reader = readers(&sup, 1).await.remove(0);
    let blob = written(3_000_001);
    assert_eq!(within(reader.sum(blob.clone())).await, Ok(sum(&blob)));
    assert_eq!(within(reader.sum(blob.slice(7..1000))).await, Ok(sum(&blob[7..1000])));
    assert_eq!(within(reader.sum(Blob::default())).await, Ok((0, 0)));
    let made = within(reader.make(70_000, 9)).await.unwrap();
    assert_eq!(&made[..], &[9; 70_000][..]);
    // What comes back is the same memory.
    let back = within(reader.give_back(vec![blob.clone(), made.clone(), blob.slice(5..9)])).await.unwrap();
    assert_eq!(
        back.iter().map(|blob| blob.as_ptr()).collect::<Vec<_>>(),
        [blob.as_ptr(), made.as_ptr(), blob[5..].as_ptr()]
    );
    drop((blob, made, back));
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn a_receiver_maps_a_blob_once_for_as_long_as_it_is_there() {
    let _one = alone().await;
    let sup = start().await;
    let reader = readers(&sup, 1).await.remove(0);
    let blob = written(100_000);
    within(reader.keep(blob.slice(10..20))).await.unwrap();
    let place = within(reader.place(blob.clone())).await.unwrap();
    assert_eq!(within(reader.place(blob.slice(1000..))).await, Ok(place + 1000));
    assert_eq!(within(reader.usage()).await, Ok((1, 100_000)));
    within(reader.drop_all()).await.unwrap();
    drop(blob);
    nothing_is_left().await;
    while within(reader.usage()).await != Ok((0, 0)) {}
    end(sup).await;
}

#[tokio::test]
async fn a_blob_goes_from_worker_to_worker_and_through_a_supervisor_below() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 2).await;
    let branch = within(sup.spawn::<Branch>("branch", ())).await.unwrap();
    let leaf = within(branch.leaf()).await.unwrap();
    // Made by one worker, kept by another two processes further on.
    let made = within(readers[0].make(50_000, 3)).await.unwrap();
    let want = Ok((50_000, 150_000));
    assert_eq!(within(readers[0].pass_on(readers[1], made.clone())).await, want);
    assert_eq!(within(readers[1].pass_on(leaf, made.clone())).await, want);
    within(leaf.keep(made)).await.unwrap();
    system::kill(within(readers[0].pid()).await.unwrap());
    assert_eq!(within(leaf.kept()).await.unwrap().first().map(|blob| sum(blob)), Some((50_000, 150_000)));
    // The other way: made at the leaf, read at the top and beside.
    let made = within(leaf.make(1234, 1)).await.unwrap();
    assert_eq!(sum(&made), (1234, 1234));
    assert_eq!(within(leaf.pass_on(readers[1], made.clone())).await, Ok((1234, 1234)));
    drop(made);
    within(leaf.drop_all()).await.unwrap();
    nothing_is_left().await;
    while within(branch.usage()).await != Ok((0, 0)) {}
    end(sup).await;
}

#[tokio::test]
async fn a_blob_is_kept_in_a_queue_and_in_a_dict() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 2).await;
    let (sender, receiver) = sup.queue::<Blob>("blobs", 100).unwrap();
    sender.send(written(10)).await.unwrap();
    within(readers[0].send(sender.clone(), vec![100, 200, 0, 300])).await.unwrap();
    drop(sender);
    // The sender of most of them is gone before anybody has received them.
    system::kill(within(readers[0].pid()).await.unwrap());
    let want: Vec<_> = [10, 100, 200, 0, 300].map(|len| sum(&written(len))).into();
    assert_eq!(within(readers[1].receive(receiver)).await, Ok(want));

    let dict = sup.dict::<String, Blob>(SharedSpec::unnamed()).unwrap();
    for len in [5000, 6000, 7000] {
        within(dict.insert(&len.to_string(), written(len))).await.unwrap();
    }
    within(dict.insert("part", written(5000).slice(1..3))).await.unwrap();
    assert_eq!(within(readers[1].look_up(dict.clone(), "6000".to_owned())).await, Ok(Some(sum(&written(6000)))));
    let all = within(dict.snapshot()).await.unwrap();
    let mut lens: Vec<_> = all.values.iter().map(|(key, blob)| (key.clone(), sum(blob))).collect();
    lens.sort();
    let want = [("5000", 5000), ("6000", 6000), ("7000", 7000)].map(|(key, len)| (key.to_owned(), sum(&written(len))));
    assert_eq!(lens[..3], want);
    assert_eq!(lens[3], ("part".to_owned(), (2, 3)));
    drop((all, dict));
    nothing_is_left().await;
    end(sup).await;
}

#[tokio::test]
async fn a_blob_in_an_init_argument_is_there_after_each_restart() {
    let _one = alone().await;
    let sup = start().await;
    let mut events = sup.events();
    let keeper = within(sup.spawn::<Keeper>("keeper", written(20_000))).await.unwrap();
    for incarnation in 2..5 {
        let (pid, len, total) = within(keeper.check()).await.unwrap();
        assert_eq!((len, total), sum(&written(20_000)));
        system::kill(pid);
        let next = |event: &procession::Event| matches!(event, procession::Event::Started { incarnation: at, .. } if *at == incarnation);
        event(&mut events, next).await;
    }
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn tasks_of_a_pool_take_and_return_blobs() {
    let _one = alone().await;
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 2)).await.unwrap();
    let blob = written(64 << 10);
    let parts: Vec<_> = (0..64).map(|at| blob.slice(at << 10..(at + 1) << 10)).collect();
    let sums = within(pool.map(sum_of, parts.clone())).await.unwrap();
    assert_eq!(sums, parts.iter().map(|part| sum(part)).collect::<Vec<_>>());
    let doubles = within(pool.map(doubled, parts.clone())).await.unwrap();
    for (part, double) in parts.iter().zip(doubles) {
        assert!(part.iter().map(|byte| byte.wrapping_mul(2)).eq(double.unwrap().iter().copied()));
    }
    drop((blob, parts));
    end(sup).await;
    nothing_is_left().await;
}
