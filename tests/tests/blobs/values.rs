//! A blob as a value of its own process.

use std::io::{self, Read, Write};

use procession::blob::{Blob, BlobError, BlobWriter, ViewError};

use crate::alone;

#[tokio::test]
async fn a_writer_grows_and_is_written_in_place() {
    let _one = alone().await;
    let mut writer = BlobWriter::new();
    let mut want = Vec::new();
    for turn in 0..2000_u32 {
        let piece = vec![turn as u8; (turn % 300) as usize];
        writer.write_all(&piece).unwrap();
        want.extend(piece);
    }
    writer[3] = 77;
    want[3] = 77;
    writer.resize(400_000).unwrap();
    want.resize(400_000, 0);
    writer.resize(350_000).unwrap();
    want.truncate(350_000);
    let blob = writer.finish().unwrap();
    assert!(blob[..] == want[..]);
    assert_eq!(blob, Blob::copy_from(&want).unwrap());
    assert_eq!(BlobWriter::new().finish().unwrap(), Blob::default());
    assert_eq!(BlobWriter::with_len(0).unwrap().finish().unwrap().len(), 0);
}

#[tokio::test]
async fn a_reader_and_a_file_are_read_to_their_end() {
    let _one = alone().await;
    for len in [0, 1, 31, 32, 33, 65_536, 65_537, 1_000_000] {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 253) as u8).collect();
        assert!(Blob::from_reader(&bytes[..]).unwrap()[..] == bytes);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        assert!(Blob::from_file(file.path()).unwrap()[..] == bytes);
    }
    struct Fails(u32);
    impl Read for Fails {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0 -= 1;
            if self.0 == 0 { Err(io::Error::other("no more")) } else { Ok(buf.len().min(10)) }
        }
    }
    let error = Blob::from_reader(Fails(5)).unwrap_err();
    assert!(matches!(&error, BlobError::Read(why) if why.to_string() == "no more"), "{error}");
    assert!(matches!(Blob::from_file("there/is/no/such/file"), Err(BlobError::Read(_))));
}

#[tokio::test]
async fn a_view_of_another_type_must_fit() {
    let _one = alone().await;
    let mut writer = BlobWriter::with_len(80).unwrap();
    writer.view_mut::<u64>().unwrap().copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9, u64::MAX]);
    assert_eq!(writer.view_mut::<[u16; 3]>().unwrap_err().to_string(), {
        "80 bytes are no whole number of [u16; 3] of 6 bytes each"
    });
    let blob = writer.finish().unwrap();
    assert_eq!(blob.view::<u64>().unwrap()[7..], [8, 9, u64::MAX]);
    assert_eq!(blob.slice(8..24).view::<u64>().unwrap(), [2, 3]);
    assert_eq!(blob.slice(..72).view::<[u64; 3]>().unwrap().len(), 3);
    let misaligned = blob.slice(4..20).view::<u64>().unwrap_err();
    assert!(matches!(misaligned, ViewError::Misaligned { align: 8, .. }), "{misaligned}");
    let short = blob.slice(8..20).view::<u64>().unwrap_err();
    assert!(matches!(short, ViewError::Length { len: 12, size: 8, .. }), "{short}");
    assert_eq!(blob.slice(3..3).view::<u64>(), Ok(&[][..]));
}

#[tokio::test]
async fn a_part_keeps_the_whole_in_whatever_order_they_are_dropped() {
    let _one = alone().await;
    let whole = crate::written(10_000);
    let part = whole.slice(100..=199);
    let inner = part.slice(50..);
    assert_eq!((part.len(), inner.len(), inner[0]), (100, 50, 150));
    drop(whole);
    drop(part);
    assert_eq!(inner[49], 199);
    let clone = inner.clone();
    drop(inner);
    assert_eq!(clone[1], 151);
    assert_eq!(format!("{clone:?}").split(", ").last(), Some("50 bytes)"));
    drop(clone);
    crate::nothing_is_left().await;
}

#[tokio::test]
#[should_panic(expected = "the range 5..12 is not within the 10 bytes of the blob")]
async fn a_part_beyond_the_end_is_a_panic() {
    let _ = Blob::copy_from(&[0; 10]).unwrap().slice(5..12);
}

#[tokio::test]
async fn a_blob_outside_of_a_message_is_refused() {
    let refused = postcard::to_allocvec(&Blob::copy_from(b"x").unwrap()).unwrap_err();
    assert_eq!(refused, postcard::Error::SerdeSerCustom);
}
