//! Names of files as text: how a path of any bytes becomes the `path` column.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The path of something below the catalogued folder, relative to it.
///
/// It holds the system's own form of the name, whatever its bytes, and travels between processes: serde has a form for
/// `OsString`, while a `PathBuf` that is not UTF-8 cannot be serialised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RelativePath(OsString);

impl RelativePath {
    /// The entry called `name` of this folder; of the catalogued folder itself where this is the default.
    pub(crate) fn entry(&self, name: &OsStr) -> Self {
        Self(Path::new(&self.0).join(name).into_os_string())
    }

    /// The place of `path` below `root`, if it is there.
    pub(crate) fn of(root: &Path, path: &Path) -> Option<Self> {
        let below = path.strip_prefix(root).ok()?;
        Some(Self(below.as_os_str().to_owned()))
    }

    /// Where it is, given the catalogued folder.
    pub(crate) fn below(&self, root: &Path) -> PathBuf {
        if self.0.is_empty() { root.to_owned() } else { root.join(&self.0) }
    }

    /// The text of the `path` column: the names, joined with `/` on every system.
    ///
    /// A byte that is not part of UTF-8 is written `\xNN`, in lower-case hexadecimal. Everything else stands as it is, a
    /// backslash and a newline too, so that the column compares equal with what `find` prints. There is one exception,
    /// so that two different names never share a row: a backslash that by chance begins such a sequence (the name is
    /// literally `\xff`) is written `\x5c`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for component in Path::new(&self.0).components() {
            if let Component::Normal(name) = component {
                if !text.is_empty() {
                    text.push('/');
                }
                // On Unix these are the bytes of the name; on Windows UTF-8 in which a lone surrogate is three bytes
                // that are not UTF-8. Either way they say which name it is.
                write_name(name.as_encoded_bytes(), &mut text);
            }
        }
        text
    }

    /// The same for people: control characters, which could drive a terminal, are escaped.
    pub(crate) fn shown(&self) -> String {
        shown(&self.text())
    }
}

/// `text` for a line of output: what could break the line or drive the terminal is escaped.
pub(crate) fn shown(text: &str) -> String {
    if text.is_empty() {
        return ".".to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

fn write_name(name: &[u8], text: &mut String) {
    for chunk in name.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            text.push_str(if reads_as_escape(rest) { "\\x5c" } else { "\\" });
        }
        text.push_str(rest);
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes every write");
        }
    }
}

/// Whether a backslash before `rest` would be taken for the begin of `\xNN`.
///
/// Looking at this chunk is enough: `x` and two digits are UTF-8, so they cannot lie beyond bytes that are not.
fn reads_as_escape(rest: &str) -> bool {
    match rest.as_bytes() {
        [b'x', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn text(name: &[u8]) -> String {
        let mut text = String::new();
        write_name(name, &mut text);
        text
    }

    #[test]
    fn names_in_utf8_stand_as_they_are() {
        for name in ["plain", "with space", "back\\slash", "\\", "\\x", "\\xg0", "new\nline", "ünïcödé", "日本", "\\\\"]
        {
            assert_eq!(text(name.as_bytes()), name);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_written_in_hexadecimal() {
        assert_eq!(text(b"caf\xe9"), "caf\\xe9");
        assert_eq!(text(b"\xff\xfe."), "\\xff\\xfe.");
        assert_eq!(text(b"cut \xe2\x82"), "cut \\xe2\\x82");
        assert_eq!(text(b"\\\xff"), "\\\\xff");
    }

    #[test]
    fn a_name_that_looks_like_an_escape_is_not_taken_for_one() {
        assert_eq!(text(b"\\xff"), "\\x5cxff");
        assert_eq!(text(b"\\x5C"), "\\x5cx5C");
    }

    #[test]
    fn different_names_have_different_texts() {
        let alphabet = [b'\\', b'x', b'f', b'5', b'c', 0xff, 0xc3, 0xa9];
        let mut names: Vec<Vec<u8>> = vec![Vec::new()];
        let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
        for _ in 0..5 {
            names = names
                .iter()
                .flat_map(|name| alphabet.iter().map(move |byte| [name.as_slice(), &[*byte]].concat()))
                .collect();
            for name in &names {
                let other = seen.insert(text(name), name.clone());
                assert_eq!(other, None, "{name:02x?} has the same text");
            }
        }
    }

    #[test]
    fn entries_are_joined_with_a_slash() {
        let root = RelativePath::default();
        let file = root.entry(OsStr::new("a")).entry(OsStr::new("b c"));
        assert_eq!(file.text(), "a/b c");
        assert_eq!(root.text(), "");
        assert_eq!(root.shown(), ".");
        assert_eq!(file.below(Path::new("top")), Path::new("top").join("a").join("b c"));
        assert_eq!(RelativePath::of(Path::new("top"), &file.below(Path::new("top"))), Some(file));
        assert_eq!(RelativePath::of(Path::new("top"), Path::new("topping")), None);
    }

    #[test]
    fn a_shown_name_is_one_line_and_drives_no_terminal() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{9b}é\\"), "a\\nb\\u{1b}[2J\\u{9b}é\\");
    }
}
