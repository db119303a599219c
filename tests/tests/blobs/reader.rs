//! The workers of these tests: each does with blobs what it is told.

use procession::blob::{self, Blob, BlobSlice, BlobWriter, FilledSlice, SplitError};
use procession::prelude::*;
use procession::queue::{Receiver, Sender};
use procession::shared::Dict;

use crate::processes::{start, within};

/// A worker that reads blobs, makes some, and may keep some.
#[derive(Actor, Default)]
pub(crate) struct Reader {
    kept: Vec<Blob>,
    slices: Vec<BlobSlice>,
}

/// The number of bytes, and their sum.
pub(crate) fn sum(bytes: &[u8]) -> (usize, u64) {
    (bytes.len(), bytes.iter().map(|byte| u64::from(*byte)).sum())
}

#[handlers]
impl Reader {
    #[call]
    pub(crate) fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call(timeout = "60s")]
    pub(crate) fn sum(&self, blob: Blob) -> (usize, u64) {
        sum(&blob)
    }

    /// Where its bytes are in this process.
    #[call]
    pub(crate) fn place(&self, blob: Blob) -> usize {
        blob.as_ptr().addr()
    }

    #[call]
    pub(crate) fn make(&self, len: usize, byte: u8) -> Result<Blob, Failure> {
        let mut writer = BlobWriter::with_len(len)?;
        writer.fill(byte);
        Ok(writer.finish()?)
    }

    /// The sum of a blob that it has another one make, of ones.
    #[call]
    pub(crate) async fn fetch(&self, from: Address<Reader>, len: usize) -> Result<(usize, u64), Failure> {
        Ok(sum(&from.make(len, 1).await?))
    }

    #[call]
    pub(crate) fn give_back(&self, blobs: Vec<Blob>) -> Vec<Blob> {
        blobs
    }

    #[call(timeout = "60s")]
    pub(crate) fn keep(&mut self, blob: Blob) -> usize {
        self.kept.push(blob);
        self.kept.len()
    }

    #[call]
    pub(crate) fn kept(&self) -> Vec<Blob> {
        self.kept.clone()
    }

    #[call]
    pub(crate) fn drop_all(&mut self) {
        self.kept.clear();
    }

    #[call]
    pub(crate) fn fill(&self, mut slice: BlobSlice, byte: u8) -> Result<FilledSlice, SplitError> {
        slice.bytes_mut()?.fill(byte);
        Ok(slice.done())
    }

    /// Fills it and keeps it open.
    #[call]
    pub(crate) fn keep_open(&mut self, mut slice: BlobSlice, byte: u8) -> Result<(), SplitError> {
        slice.bytes_mut()?.fill(byte);
        self.slices.push(slice);
        Ok(())
    }

    /// Keeps it as it is.
    #[call]
    pub(crate) fn keep_slice(&mut self, slice: BlobSlice) {
        self.slices.push(slice);
    }

    #[call]
    pub(crate) fn fill_kept(&mut self, byte: u8) -> Result<Option<FilledSlice>, SplitError> {
        let Some(mut slice) = self.slices.pop() else { return Ok(None) };
        slice.bytes_mut()?.fill(byte);
        Ok(Some(slice.done()))
    }

    #[call]
    pub(crate) fn return_kept(&mut self) -> Option<BlobSlice> {
        self.slices.pop()
    }

    /// How many blobs the process has, and how many bytes in them.
    #[call]
    pub(crate) fn usage(&self) -> (usize, u64) {
        let usage = blob::usage();
        (usage.blobs, usage.bytes)
    }

    #[call]
    pub(crate) fn limit(&self, bytes: u64) {
        blob::set_limit(bytes);
    }

    #[call]
    pub(crate) async fn pass_on(&self, to: Address<Reader>, blob: Blob) -> Result<(usize, u64), Failure> {
        Ok(to.sum(blob).await?)
    }

    #[call]
    pub(crate) async fn receive(&self, queue: Receiver<Blob>) -> Result<Vec<(usize, u64)>, Failure> {
        let mut sums = Vec::new();
        while let Some(blob) = queue.recv().await? {
            sums.push(sum(&blob));
        }
        Ok(sums)
    }

    #[call]
    pub(crate) async fn send(&self, queue: Sender<Blob>, lens: Vec<usize>) -> Result<(), Failure> {
        for len in lens {
            queue.send(crate::written(len)).await?;
        }
        Ok(())
    }

    #[call]
    pub(crate) async fn look_up(&self, dict: Dict<String, Blob>, key: String) -> Result<Option<(usize, u64)>, Failure> {
        Ok(dict.get(&key).await?.map(|blob| sum(&blob)))
    }
}

/// One that is given a blob at its start.
#[derive(Actor)]
pub(crate) struct Keeper(Blob);

#[handlers]
impl Keeper {
    #[init]
    pub(crate) fn new(blob: Blob) -> Self {
        Self(blob)
    }

    #[call]
    pub(crate) fn check(&self) -> (u32, usize, u64) {
        let (len, sum) = sum(&self.0);
        (std::process::id(), len, sum)
    }
}

/// A supervisor below one.
#[derive(Actor)]
pub(crate) struct Branch {
    sup: Supervisor,
    leaf: Address<Reader>,
}

#[handlers]
impl Branch {
    #[init]
    pub(crate) async fn new() -> procession::Result<Self> {
        let sup = start().await;
        let leaf = sup.spawn::<Reader>("leaf", ()).await?;
        Ok(Self { sup, leaf })
    }

    #[call]
    pub(crate) fn leaf(&self) -> Address<Reader> {
        self.leaf
    }

    #[call]
    pub(crate) fn usage(&self) -> (usize, u64) {
        let usage = blob::usage();
        (usage.blobs, usage.bytes)
    }

    #[call]
    pub(crate) fn pid(&self) -> u32 {
        let _ = &self.sup;
        std::process::id()
    }
}

#[procession::task]
pub(crate) fn sum_of(blob: Blob) -> (usize, u64) {
    sum(&blob)
}

#[procession::task]
pub(crate) fn doubled(blob: Blob) -> Result<Blob, Failure> {
    let mut writer = BlobWriter::with_len(blob.len())?;
    for (to, from) in writer.iter_mut().zip(blob.iter()) {
        *to = from.wrapping_mul(2);
    }
    Ok(writer.finish()?)
}

/// Fills a slice with its index; the first time that number 3 comes, dies over it.
#[procession::task]
pub(crate) fn filled(mut slice: BlobSlice, deadly: bool) -> Result<FilledSlice, SplitError> {
    let index = slice.index();
    slice.bytes_mut()?.fill(index as u8);
    if deadly && index == 3 {
        std::process::abort();
    }
    Ok(slice.done())
}

pub(crate) async fn readers(sup: &Supervisor, count: usize) -> Vec<Address<Reader>> {
    let mut readers = Vec::new();
    for at in 0..count {
        readers.push(within(sup.spawn::<Reader>(format!("reader-{at}"), ())).await.expect("a reader"));
    }
    readers
}
