//! One blob that many fill.

use procession::CallError;
use procession::blob::{Blob, BlobSlice, BlobWriter, SplitError};
use procession::shared::SharedSpec;

use crate::processes::{end, start, system, within};
use crate::reader::{ReaderApi, filled, readers};
use crate::{alone, nothing_is_left};

fn runs(blob: &Blob, each: usize) -> Vec<u8> {
    let first: Vec<_> = blob.chunks(each).map(|chunk| chunk[0]).collect();
    assert!(blob.chunks(each).zip(&first).all(|(chunk, first)| chunk.iter().all(|byte| byte == first)));
    first
}

#[tokio::test]
async fn workers_fill_a_blob_and_one_that_dies_leaves_its_part_to_another() {
    let _one = alone().await;
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 2)).await.unwrap();
    let mut split = BlobWriter::with_len(100_000).unwrap().split_every(9_000).unwrap();
    assert_eq!((split.parts(), split.missing().len()), (12, 12));
    let slices = split.slices();
    assert_eq!((slices[11].range(), slices[11].len()), (99_000..100_000, 1_000));
    let tasks: Vec<_> = slices.into_iter().map(|slice| pool.submit(filled, (slice, true))).collect();
    for (index, task) in tasks.into_iter().enumerate() {
        match within(task).await {
            Ok(done) => split.put_back(&done.unwrap()).unwrap(),
            Err(died) => assert_eq!(index, 3, "{died}"),
        }
    }
    assert_eq!(split.missing(), [3]);
    let early = within(split.finish()).await.unwrap_err();
    assert!(matches!(&early, SplitError::Missing(parts) if parts[..] == [3]), "{early}");
    let again = split.take_again(3).unwrap();
    let done = within(pool.submit(filled, (again, false))).await.unwrap().unwrap();
    assert_eq!(done.index(), 3);
    split.put_back(&done).unwrap();
    let blob = within(split.finish()).await.unwrap();
    assert_eq!(runs(&blob, 9_000), (0..12).collect::<Vec<u8>>());
    assert_eq!((split.parts(), blob.len()), (0, 100_000));
    drop((blob, split));
    nothing_is_left().await;
    end(sup).await;
}

#[tokio::test]
async fn a_part_is_open_in_one_process_at_a_time() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 3).await;
    let mut split = BlobWriter::with_len(64).unwrap().split(2).unwrap();
    within(readers[0].keep_open(split.take(0).unwrap(), 1)).await.unwrap();
    let pid = within(readers[0].pid()).await.unwrap();
    // It was given to one of them only, as far as this process knows.
    assert!(split.take(0).is_none());
    let refused = split.take_again(0).unwrap_err();
    assert_eq!(refused.to_string(), format!("part 0 is in use: process {pid} has it open"));
    // Whoever comes second with the same one does not get it open, and whoever is late not any more.
    let mut one = split.take(1).unwrap();
    let copies = sup.dict::<String, BlobSlice>(SharedSpec::unnamed()).unwrap();
    within(copies.insert("one", &one)).await.unwrap();
    for reader in &readers[1..] {
        let copy = within(copies.get("one")).await.unwrap().expect("a copy");
        within(reader.keep_slice(copy)).await.unwrap();
    }
    drop(copies);
    one.bytes_mut().unwrap().fill(9);
    let refused = within(readers[1].fill_kept(2)).await.unwrap_err();
    assert!(matches!(&refused, CallError::Handler(SplitError::Open { index: 1, .. })), "{refused}");
    let open = within(readers[0].fill(one, 1)).await.unwrap_err();
    assert!(matches!(&open, CallError::Codec(why) if why.to_string().contains("open cannot be sent")), "{open}");
    let again = split.take_again(1).unwrap();
    let late = within(readers[2].fill_kept(3)).await.unwrap_err();
    assert!(matches!(&late, CallError::Handler(SplitError::Stale { index: 1 })), "{late}");
    split.put_back(&within(readers[2].fill(again, 4)).await.unwrap()).unwrap();
    // The one that is killed has nothing open any more.
    system::kill(pid);
    while within(readers[0].pid()).await.is_err() {}
    let again = split.take_again(0).unwrap();
    split.put_back(&within(readers[1].fill(again, 5)).await.unwrap()).unwrap();
    let blob = within(split.finish()).await.unwrap();
    assert_eq!(runs(&blob, 32), [5, 4]);
    drop((blob, split));
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn a_part_that_comes_late_or_from_elsewhere_is_not_put_back() {
    let _one = alone().await;
    let sup = start().await;
    let readers = readers(&sup, 2).await;
    let mut split = BlobWriter::with_len(1000).unwrap().split(4).unwrap();
    let mut other = BlobWriter::with_len(1000).unwrap().split(4).unwrap();
    let foreign = within(readers[0].fill(other.take(0).unwrap(), 1)).await.unwrap();
    assert!(matches!(split.put_back(&foreign), Err(SplitError::Foreign)));
    let late = within(readers[0].fill(split.take(2).unwrap(), 1)).await.unwrap();
    let again = split.take_again(2).unwrap();
    assert!(matches!(split.put_back(&late), Err(SplitError::Stale { index: 2 })));
    // One that is sent back as it is, is as good as new.
    within(readers[1].keep_slice(again)).await.unwrap();
    let mut back = within(readers[1].return_kept()).await.unwrap().expect("the slice");
    back.view_mut::<u64>().unwrap()[0] = 1;
    split.put_back(&back.done()).unwrap();
    assert_eq!(split.missing(), [0, 1, 3]);
    assert!(matches!(split.take_again(3), Ok(slice) if slice.len() == 1000 - 3 * 256));
    drop((split, other));
    end(sup).await;
    nothing_is_left().await;
}

#[tokio::test]
async fn nothing_and_little_can_be_split() {
    let _one = alone().await;
    let mut nothing = BlobWriter::new().split(3).unwrap();
    assert_eq!((nothing.parts(), nothing.slices().len()), (0, 0));
    assert_eq!(nothing.finish().await.unwrap(), Blob::default());
    let mut writer = BlobWriter::with_len(20).unwrap();
    writer[19] = 7;
    let mut split = writer.split(7).unwrap();
    let mut slices = split.slices();
    assert_eq!(slices.iter().map(|slice| slice.range()).collect::<Vec<_>>(), [0..16, 16..20]);
    assert!(slices[1].view_mut::<u64>().is_err());
    assert_eq!(slices[1].bytes_mut().unwrap(), [0, 0, 0, 7]);
    slices[0].view_mut::<[u64; 2]>().unwrap()[0] = [1, 2];
    for slice in slices {
        split.put_back(&slice.done()).unwrap();
    }
    assert_eq!(split.finish().await.unwrap()[..], [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    nothing_is_left().await;
}
