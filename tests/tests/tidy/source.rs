//! Rust source as the rules see it: code without comments, without the content of strings, with or without its tests.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// A file of the project.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the top of the workspace, with `/` on every system.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
    /// For Rust, the same lines and columns, but blanks for comments and the content of strings.
    pub(crate) code: String,
    /// The code without what only a test build has.
    pub(crate) shipped: String,
}

/// Where something is that should not be there.
pub(crate) type Offence = String;

impl Source {
    pub(crate) fn new(path: &str, text: String) -> Self {
        let code = if path.ends_with(".rs") { without_comments(&text) } else { String::new() };
        let shipped = if is_test_file(path) { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), text, code, shipped }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// One offence, at a place in the text or the code, which have the same lines.
    pub(crate) fn offence(&self, at: usize, what: &str) -> Offence {
        let line = self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

/// Every file of the workspace that people write, read once.
pub(crate) fn tree() -> &'static [Source] {
    static TREE: OnceLock<Vec<Source>> = OnceLock::new();
    TREE.get_or_init(|| {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned();
        let mut files = Vec::new();
        collect(&top, &top, &mut files);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        assert!(
            files.iter().any(|file| file.path == "core/src/lib.rs"),
            "this is not the workspace: {}",
            top.display()
        );
        files
    })
}

fn collect(top: &Path, folder: &Path, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            // Cargo marks the folders that it fills.
            if name != ".git" && !path.join("CACHEDIR.TAG").exists() {
                collect(top, &path, files);
            }
        } else if kind.is_file() && is_written(&path) {
            let below = path.strip_prefix(top).expect("below the top").to_string_lossy().replace('\\', "/");
            if let Ok(text) = fs::read_to_string(&path) {
                files.push(Source::new(&below, text));
            }
        }
    }
}

/// Whether people write this file: neither a lock file nor something that a program left behind.
fn is_written(path: &Path) -> bool {
    const ENDINGS: [&str; 7] = ["rs", "md", "toml", "sh", "yml", "yaml", "stderr"];
    let ending = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    ending || path.components().any(|part| part.as_os_str() == ".ci")
}

/// Whether the whole file is a test: `tests.rs` beside what it tests, or anything in a `tests` folder.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Whether the byte may stand in a name.
pub(crate) fn in_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Every place of `needle` in `code`, not as a part of a longer name.
pub(crate) fn places(code: &str, needle: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let whole = |at: &usize| {
        let end = at + needle.len();
        let before = *at > 0 && in_name(bytes[at - 1]) && in_name(bytes[*at]);
        let after = end < bytes.len() && in_name(bytes[end]) && in_name(bytes[end - 1]);
        !before && !after
    };
    code.match_indices(needle).map(|(at, _)| at).filter(whole).collect()
}

/// The names that are reached from the path `root`: for `root::a::b` it is `a`, for `root::{a, b::c}` both `a` and `b`.
pub(crate) fn children(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in places(code, root) {
        // `$crate` is a macro's path into the public API. What follows another name is not the root that is meant, but
        // `::std` is.
        let before = code[..at].trim_end_matches("::");
        let inner = before.ends_with('$') || before.len() < at && before.bytes().last().is_some_and(in_name);
        let Some(rest) = code[at + root.len()..].trim_start().strip_prefix("::").filter(|_| !inner) else { continue };
        let rest = rest.trim_start();
        match rest.strip_prefix('{') {
            None => found.push((at, name(rest).to_owned())),
            Some(group) => {
                let mut depth = 0;
                let mut first = true;
                for (place, char) in group.char_indices() {
                    match char {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => first = true,
                        _ if first && depth == 0 && !char.is_whitespace() => {
                            first = false;
                            found.push((at, name(&group[place..]).to_owned()));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The name at the begin of `code`.
pub(crate) fn name(code: &str) -> &str {
    let end = code.bytes().position(|byte| !in_name(byte)).unwrap_or(code.len());
    &code[..end]
}

/// What stands between the bracket at `open` and the one that closes it, and the place behind that.
pub(crate) fn bracketed(code: &str, open: usize) -> (&str, usize) {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&code[open + 1..at], at + 1);
        }
    }
    (&code[open + 1..], code.len())
}

/// Blanks for comments and for the content of strings and characters; lines and columns stay.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let end = at
            + if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment(rest)
            } else if let Some(length) = raw_string(text, at) {
                length
            } else if rest.starts_with('"') {
                string(rest)
            } else if rest.starts_with('\'') {
                character(rest)
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("whole characters were blanked")
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(text: &str, at: usize) -> Option<usize> {
    if at > 0 && in_name(text.as_bytes()[at - 1]) {
        return None;
    }
    let rest = &text[at..];
    let start = ["r", "br", "cr"].iter().find_map(|start| rest.strip_prefix(start))?;
    let quoted = start.trim_start_matches('#');
    let close = format!("\"{}", "#".repeat(start.len() - quoted.len()));
    let content = quoted.strip_prefix('"')?;
    let length = content.find(&close).map_or(content.len(), |end| end + close.len());
    Some(rest.len() - content.len() + length)
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character, or of the quote alone where it begins a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            chars.find(|(_, char)| *char == '\'').map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Blanks for every item under `#[cfg(test)]`, whatever else the condition asks for.
fn without_tests(code: &str) -> String {
    let mut shipped = code.to_owned();
    for (start, _) in code.match_indices("#[cfg(") {
        let (condition, mut at) = bracketed(code, start + 1);
        if places(condition, "test").is_empty() || condition.contains("not(test") || condition.contains("any(") {
            continue;
        }
        // More attributes, then the item up to its end: a semicolon, or a block.
        while let Some(open) = code[at..].find(['(', '[', '{', ';']).map(|open| at + open) {
            let end = match code.as_bytes()[open] {
                b';' => open + 1,
                _ => bracketed(code, open).1,
            };
            at = end;
            if matches!(code.as_bytes()[open], b';' | b'{') {
                break;
            }
        }
        let blank = code[start..at].chars().flat_map(|char| {
            let blank = if char == '\n' { '\n' } else { ' ' };
            std::iter::repeat_n(blank, char.len_utf8())
        });
        let blank: String = blank.collect();
        shipped.replace_range(start..at, &blank);
    }
    shipped
}

#[test]
fn comments_and_strings_are_no_code() {
    let text = r##"let a = "unsafe \" unsafe"; // unsafe
/* unsafe /* unsafe */ unsafe */ let b = '"'; let c: &'a str = r#"unsafe " unsafe"#; b"unsafe"; '\''; kept('é')"##;
    let code = without_comments(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 2);
    assert!(!code.contains("unsafe"), "{code}");
    assert!(code.contains("let b =") && code.contains("let c: & a str") && code.contains("kept("), "{code}");
}

#[test]
fn tests_are_not_shipped() {
    let code = "a();\n#[cfg(test)]\n#[expect(x)]\nmod tests { fn b() { c(); } }\nd();\n#[cfg(test)]\nmod more;\n\
                #[cfg(all(test, unix))] use e; #[cfg(not(test))] f();";
    let source = Source::new("core/src/x.rs", code.to_owned());
    let kept: Vec<&str> = source.shipped.split_whitespace().collect();
    assert_eq!(kept, ["a();", "d();", "#[cfg(not(test))]", "f();"]);
    assert_eq!(source.shipped.len(), source.code.len());
    assert!(Source::new("core/src/x/tests/y.rs", code.to_owned()).shipped.is_empty());
}

#[test]
fn names_are_found_whole_and_behind_their_root() {
    assert_eq!(places("unsafe_code unsafe xunsafe", "unsafe"), [12]);
    let code =
        "use crate::{a, b::{c, d}, self}; pub(crate) fn x() { crate::e::f(); $crate::g; ::crate::h; x::crate::i }";
    let names: Vec<String> = children(code, "crate").into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "self", "e", "h"]);
}
