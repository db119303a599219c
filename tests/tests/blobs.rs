//! Blobs with real processes: they get everywhere without a copy, nothing is left of them, and nobody changes them.

#[path = "blobs/ends.rs"]
mod ends;
#[path = "blobs/limits.rs"]
mod limits;
#[path = "blobs/passing.rs"]
mod passing;
mod processes;
#[path = "blobs/reader.rs"]
mod reader;
#[path = "blobs/split.rs"]
mod split;
#[path = "blobs/values.rs"]
mod values;

procession::test_workers!();

use procession::blob::{self, Blob, BlobWriter};

/// What a process has is counted for all of it, so these tests run one after the other.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    ONE.lock().await
}

/// Bytes that tell where they are.
fn written(len: usize) -> Blob {
    let mut writer = BlobWriter::with_len(len).expect("room");
    for (at, byte) in writer.iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    writer.finish().expect("a blob")
}

/// Nothing of any blob is in this process.
async fn nothing_is_left() {
    processes::within(async {
        while blob::usage().blobs > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(blob::usage().bytes, 0);
}
