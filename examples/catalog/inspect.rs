//! What a worker does with a file: one pass over its content, in a buffer of fixed size.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::door::{self, Special};
use crate::kind;
use crate::name::RelativePath;
use crate::text::TextCount;

/// How much of a file is in memory at a time, whatever its size.
const BUFFER: usize = 128 * 1024;

/// A file to inspect: plain data that travels to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    root: OsString,
    path: RelativePath,
}

/// What became of a `Job`: plain data that travels back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Finding {
    /// It was a file, readable or not.
    Row(FileRow),
    /// Between the walk and the inspection it became something that is never opened.
    Special(Special),
    /// Between the walk and the inspection it vanished, or became a folder.
    Gone,
}

/// One row of the table `files`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRow {
    /// As `RelativePath::text` writes it.
    pub(crate) path: String,
    /// The number of bytes that were read; of a file that could not be read what the file system says, if it does.
    pub(crate) size: Option<u64>,
    /// The digest of the content, in lower-case hexadecimal.
    pub(crate) sha256: Option<String>,
    /// A format, or `text`, `binary`, `empty`.
    pub(crate) kind: Option<Cow<'static, str>>,
    /// Of texts and empty files: the newlines.
    pub(crate) lines: Option<u64>,
    /// Of texts and empty files: the words.
    pub(crate) words: Option<u64>,
    /// Why the file could not be read to its end. Then only path and size are known.
    pub(crate) error: Option<String>,
}

impl Job {
    /// The file at `path` below `root`.
    pub(crate) fn new(root: &Path, path: RelativePath) -> Self {
        Self { root: root.as_os_str().to_owned(), path }
    }

    /// The row of a file that nobody could inspect: its worker died, or it was given up.
    pub(crate) fn failed(&self, error: String) -> FileRow {
        failed(&self.path, None, error)
    }
}

/// Reads the file of `job` from begin to end. Never waits for a writer and never follows a symlink.
pub(crate) fn inspect(job: &Job) -> Finding {
    let full = job.path.below(Path::new(&job.root));
    let opened = door::open(&full).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, mut file)) if metadata.is_file() => Finding::Row(match read(&mut file) {
            Ok(row) => FileRow { path: job.path.text(), ..row },
            Err(error) => failed(&job.path, Some(metadata.len()), error.to_string()),
        }),
        Ok((metadata, _)) => not_a_file(&metadata),
        // What the open refused may be there and be no file: a symlink, a socket.
        Err(error) => match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_file() => {
                Finding::Row(failed(&job.path, Some(metadata.len()), error.to_string()))
            }
            Ok(metadata) => not_a_file(&metadata),
            Err(absent) if matches!(absent.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Finding::Gone
            }
            Err(_) => Finding::Row(failed(&job.path, None, error.to_string())),
        },
    }
}

fn not_a_file(metadata: &Metadata) -> Finding {
    if metadata.is_dir() { Finding::Gone } else { Finding::Special(Special::of(metadata.file_type())) }
}

fn failed(path: &RelativePath, size: Option<u64>, error: String) -> FileRow {
    FileRow { path: path.text(), size, error: Some(error), ..FileRow::default() }
}

fn read(file: &mut impl Read) -> io::Result<FileRow> {
    let mut buffer = vec![0; BUFFER];
    let mut digest = Sha256::new();
    let mut text = TextCount::new();
    let mut size = 0;
    let mut announced = None;
    loop {
        let piece = fill(file, &mut buffer)?;
        if size == 0 {
            announced = kind::by_magic(&piece[..piece.len().min(kind::HEAD)]);
        }
        size += piece.len() as u64;
        digest.update(piece);
        if announced.is_none() {
            text.update(piece);
        }
        if piece.len() < BUFFER {
            break;
        }
    }
    let counted = if announced.is_none() { text.finish() } else { None };
    let kind = match announced {
        Some(kind) => kind,
        None if size == 0 => "empty",
        None if counted.is_some() => "text",
        None => "binary",
    };
    Ok(FileRow {
        path: String::new(),
        size: Some(size),
        sha256: Some(hexadecimal(&digest.finalize())),
        kind: Some(Cow::Borrowed(kind)),
        lines: counted.map(|(lines, _)| lines),
        words: counted.map(|(_, words)| words),
        error: None,
    })
}

/// Reads until the buffer is full or the file ends, so that a short read is not taken for the end.
fn fill<'b>(file: &mut impl Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn job(folder: &Path, name: &str) -> Job {
        Job::new(folder, RelativePath::default().entry(OsStr::new(name)))
    }

    fn row(content: &[u8]) -> FileRow {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::write(folder.path().join("file"), content).expect("a file");
        match inspect(&job(folder.path(), "file")) {
            Finding::Row(row) => row,
            other => panic!("no row: {other:?}"),
        }
    }

    #[test]
    fn a_text_has_size_digest_lines_and_words() {
        let expected = FileRow {
            path: "file".to_owned(),
            size: Some(3),
            sha256: Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned()),
            kind: Some("text".into()),
            lines: Some(0),
            words: Some(1),
            error: None,
        };
        assert_eq!(row(b"abc"), expected);
    }

    #[test]
    fn an_empty_file_is_empty() {
        let row = row(b"");
        assert_eq!(row.size, Some(0));
        assert_eq!(row.sha256.as_deref(), Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        assert_eq!((row.kind.as_deref(), row.lines, row.words), (Some("empty"), Some(0), Some(0)));
    }

    #[test]
    fn only_texts_have_lines_and_words() {
        for (content, kind) in [(b"\x89PNG\r\n\x1a\n".as_slice(), "png"), (b"a\0b\n", "binary"), (b"\xff\n", "binary")]
        {
            let row = row(content);
            assert_eq!((row.kind.as_deref(), row.lines, row.words), (Some(kind), None, None));
        }
    }

    #[test]
    fn a_file_larger_than_the_buffer_is_read_to_its_end() {
        for size in [BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER, 3 * BUFFER + 7] {
            let content: Vec<u8> = b"word \n".iter().copied().cycle().take(size).collect();
            let text = str::from_utf8(&content).expect("ASCII");
            let row = row(&content);
            assert_eq!(row.size, Some(size as u64));
            assert_eq!(row.sha256, Some(hexadecimal(&Sha256::digest(&content))));
            assert_eq!(row.lines, Some(text.matches('\n').count() as u64));
            assert_eq!(row.words, Some(text.split_whitespace().count() as u64));
        }
    }

    #[test]
    fn a_text_whose_last_byte_is_not_is_binary() {
        let mut content = vec![b'a'; 2 * BUFFER];
        content.push(0xff);
        assert_eq!(row(&content).kind.as_deref(), Some("binary"));
    }

    #[test]
    fn short_and_interrupted_reads_change_nothing() {
        struct Drops<'c>(&'c [u8], bool);
        impl Read for Drops<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let count = self.0.len().min(buffer.len()).min(7);
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let content = b"caf\xc3\xa9 ".repeat(1000);
        let dripped = read(&mut Drops(&content, false)).expect("read");
        assert_eq!(FileRow { path: "file".to_owned(), ..dripped }, row(&content));
    }

    #[test]
    fn an_error_in_the_middle_is_no_digest_of_a_part() {
        struct Breaks(bool);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0 {
                    return Err(io::Error::other("a bad sector"));
                }
                self.0 = true;
                buffer.fill(b'a');
                Ok(buffer.len())
            }
        }
        assert_eq!(read(&mut Breaks(false)).expect_err("an error").to_string(), "a bad sector");
    }

    #[test]
    fn what_vanished_or_became_a_folder_has_no_row() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        fs::write(folder.path().join("plain"), "").expect("a file");
        assert_eq!(inspect(&job(folder.path(), "nowhere")), Finding::Gone);
        assert_eq!(inspect(&job(folder.path(), "plain/below")), Finding::Gone);
        assert_eq!(inspect(&job(folder.path(), "sub")), Finding::Gone);
    }

    #[test]
    fn a_file_nobody_could_inspect_has_a_row_that_says_why() {
        let row = job(Path::new("anywhere"), "a").failed("its worker was killed".to_owned());
        assert_eq!(
            row,
            FileRow { path: "a".into(), error: Some("its worker was killed".into()), ..FileRow::default() }
        );
    }
}
