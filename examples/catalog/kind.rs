//! The kind of a file by its first bytes: the formats that announce themselves.

/// How many bytes from the begin of a file `by_magic` looks at.
pub(crate) const HEAD: usize = 4096;

/// Bytes and their offset from the begin of the file.
type Mark = (usize, &'static [u8]);

/// Formats and the marks that announce them. The first that fits is the kind.
///
/// Those made of plain letters ask for more than the letters, so that a text that begins with them stays a text.
const MAGICS: &[(&str, &[Mark])] = &[
    ("png", &[(0, b"\x89PNG\r\n\x1a\n")]),
    ("jpeg", &[(0, b"\xff\xd8\xff")]),
    ("gif", &[(0, b"GIF87a")]),
    ("gif", &[(0, b"GIF89a")]),
    ("webp", &[(0, b"RIFF"), (8, b"WEBPVP8")]),
    ("wav", &[(0, b"RIFF"), (8, b"WAVEfmt ")]),
    ("avi", &[(0, b"RIFF"), (8, b"AVI LIST")]),
    ("bmp", &[(0, b"BM"), (6, b"\0\0\0\0"), (15, b"\0\0\0")]),
    ("tiff", &[(0, b"II*\0")]),
    ("tiff", &[(0, b"MM\0*")]),
    ("psd", &[(0, b"8BPS\0\x01")]),
    ("pdf", &[(0, b"%PDF-")]),
    ("zip", &[(0, b"PK\x03\x04")]),
    ("zip", &[(0, b"PK\x05\x06")]),
    ("zip", &[(0, b"PK\x07\x08")]),
    ("gzip", &[(0, b"\x1f\x8b\x08")]),
    ("zstd", &[(0, b"\x28\xb5\x2f\xfd")]),
    ("xz", &[(0, b"\xfd7zXZ\0")]),
    ("lz4", &[(0, b"\x04\x22\x4d\x18")]),
    ("7z", &[(0, b"7z\xbc\xaf\x27\x1c")]),
    ("rar", &[(0, b"Rar!\x1a\x07")]),
    ("ar", &[(0, b"!<arch>\n")]),
    ("tar", &[(257, b"ustar\0")]),
    ("tar", &[(257, b"ustar  \0")]),
    ("elf", &[(0, b"\x7fELF")]),
    ("macho", &[(0, b"\xfe\xed\xfa\xce")]),
    ("macho", &[(0, b"\xfe\xed\xfa\xcf")]),
    ("macho", &[(0, b"\xce\xfa\xed\xfe")]),
    ("macho", &[(0, b"\xcf\xfa\xed\xfe")]),
    ("wasm", &[(0, b"\0asm")]),
    ("sqlite", &[(0, b"SQLite format 3\0")]),
    ("parquet", &[(0, b"PAR1\x15")]),
    ("ogg", &[(0, b"OggS\0")]),
    ("flac", &[(0, b"fLaC\0")]),
    ("flac", &[(0, b"fLaC\x80")]),
    ("mp3", &[(0, b"ID3\x02")]),
    ("mp3", &[(0, b"ID3\x03")]),
    ("mp3", &[(0, b"ID3\x04")]),
    ("midi", &[(0, b"MThd\0\0\0\x06")]),
    ("matroska", &[(0, b"\x1a\x45\xdf\xa3")]),
    ("avif", &[(0, b"\0\0\0"), (4, b"ftypavif")]),
    ("heic", &[(0, b"\0\0\0"), (4, b"ftypheic")]),
    ("mp4", &[(0, b"\0\0\0"), (4, b"ftyp")]),
    ("woff", &[(0, b"wOFF\0\x01\0\0")]),
    ("woff", &[(0, b"wOFFOTTO")]),
    ("woff2", &[(0, b"wOF2\0\x01\0\0")]),
    ("woff2", &[(0, b"wOF2OTTO")]),
    ("truetype", &[(0, b"\0\x01\0\0\0")]),
    ("opentype", &[(0, b"OTTO\0")]),
];

/// The kind of a file that begins with `head`, if it announces one.
pub(crate) fn by_magic(head: &[u8]) -> Option<&'static str> {
    let announced = MAGICS.iter().find(|(_, marks)| marks.iter().all(|(offset, bytes)| has(head, *offset, bytes)));
    announced.map(|(kind, _)| *kind).or_else(|| computed(head))
}

fn has(head: &[u8], offset: usize, bytes: &[u8]) -> bool {
    head.get(offset..).is_some_and(|rest| rest.starts_with(bytes))
}

/// The formats whose mark is more than bytes at a fixed place.
fn computed(head: &[u8]) -> Option<&'static str> {
    match head {
        // Two letters are too few: the header says where the real mark is, and it must be there.
        [b'M', b'Z', ..] => {
            let at = head.get(0x3c..0x40)?;
            let at = u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize;
            has(head, at, b"PE\0\0").then_some("pe")
        }
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
            let block = rest.starts_with(b"\x31\x41\x59\x26\x53\x59");
            let empty = rest.starts_with(b"\x17\x72\x45\x38\x50\x90");
            (block || empty).then_some("bzip2")
        }
        // Java classes and Mach-O binaries for several machines share these four bytes. What follows is the version, of
        // which 45 was the first, or the number of machines, of which there are fewer.
        [0xca, 0xfe, 0xba, 0xbe, _, _, high, low, ..] => {
            Some(if u16::from_be_bytes([*high, *low]) >= 45 { "class" } else { "macho" })
        }
        // An MPEG audio frame, layer III, with none of the reserved values.
        [0xff, second, third, ..] => {
            let layer_three = second & 0xe6 == 0xe2;
            let version = second & 0x18 != 0x08;
            let rates = third & 0xf0 != 0xf0 && third & 0xf0 != 0 && third & 0x0c != 0x0c;
            (layer_three && version && rates).then_some("mp3")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..263].copy_from_slice(b"ustar\0");
        let mut pe = vec![0; 256];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x80;
        pe[0x80..0x84].copy_from_slice(b"PE\0\0");
        let cases: &[(&[u8], &str)] = &[
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
            (b"GIF89a\x01\0", "gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
            (b"%PDF-1.7\n%\xe2\xe3", "pdf"),
            (b"PK\x03\x04\x14\0", "zip"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x28\xb5\x2f\xfd\x24", "zstd"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"BZh91AY&SY", "bzip2"),
            (b"\x7fELF\x02\x01\x01", "elf"),
            (b"\0asm\x01\0\0\0", "wasm"),
            (b"SQLite format 3\0\x10", "sqlite"),
            (b"\xca\xfe\xba\xbe\0\0\0\x34", "class"),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", "macho"),
            (b"ID3\x03\0\0", "mp3"),
            (b"\xff\xfb\x90\x64", "mp3"),
            (b"OggS\0\x02", "ogg"),
            (b"fLaC\0\0\0\x22", "flac"),
            (b"\0\0\0\x20ftypisom", "mp4"),
            (b"\0\0\0\x20ftypavif", "avif"),
            (&tar, "tar"),
            (&pe, "pe"),
        ];
        for (head, kind) in cases {
            assert_eq!(by_magic(head), Some(*kind), "{head:02x?}");
        }
    }

    #[test]
    fn a_text_that_begins_with_the_letters_of_a_format_is_not_of_it() {
        let texts = [
            "MZ is a county's code",
            "BM",
            "BMW",
            "ID3 tags are",
            "OggS",
            "RIFF",
            "RIFF1234WAVE",
            "BZh9 something",
            "PK",
            "wOFF",
            "",
            "M",
            "Rar!",
            "PAR1",
            "\0\0\0",
        ];
        for text in texts {
            assert_eq!(by_magic(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_byte_order_mark_of_utf16_is_not_music() {
        assert_eq!(by_magic(b"\xff\xfeh\0i\0"), None);
    }

    #[test]
    fn no_head_of_any_length_panics() {
        for (_, marks) in MAGICS {
            let mut head = vec![0; 300];
            for (offset, bytes) in *marks {
                head[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            for end in 0..head.len() {
                by_magic(&head[..end]);
            }
        }
        assert_eq!(by_magic(&[b"MZ".as_slice(), &[0xff; 100]].concat()), None);
    }
}
