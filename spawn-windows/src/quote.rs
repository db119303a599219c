//! The command line, of which every program makes its arguments by itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::OsStrExt;

const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;
const SPACE: u16 = b' ' as u16;
const TAB: u16 = b'\t' as u16;

/// The command line from which a program that goes by the rules of the C runtime, as Rust's do, makes these arguments again.
/// It ends with a zero.
pub(crate) fn command_line(program: &OsStr, args: &[OsString]) -> io::Result<Vec<u16>> {
    let mut line = Vec::new();
    // The first is read by other rules: up to the next quote, whatever is in front of it. A file's name has none.
    line.push(QUOTE);
    line.extend(program.encode_wide());
    line.push(QUOTE);
    for arg in args {
        line.push(SPACE);
        push(&mut line, arg);
    }
    if line.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an argument has a zero in it"));
    }
    line.push(0);
    Ok(line)
}

fn push(line: &mut Vec<u16>, arg: &OsStr) {
    let quoted = arg.is_empty() || arg.encode_wide().any(|unit| unit == SPACE || unit == TAB);
    if quoted {
        line.push(QUOTE);
    }
    let mut backslashes = 0;
    for unit in arg.encode_wide() {
        if unit == BACKSLASH {
            backslashes += 1;
        } else {
            if unit == QUOTE {
                // Backslashes are themselves except in front of a quote: there two of them are one, and one more is the
                // quote's.
                line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
            }
            backslashes = 0;
        }
        line.push(unit);
    }
    if quoted {
        line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
        line.push(QUOTE);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::command_line;

    fn line(args: &[&str]) -> String {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let line = command_line("a program".as_ref(), &args).expect("no zeros");
        String::from_utf16(&line).expect("text")
    }

    #[test]
    fn only_what_needs_quotes_has_them() {
        assert_eq!(
            line(&["plain", "two words", "", "tab\tbed"]),
            "\"a program\" plain \"two words\" \"\" \"tab\tbed\"\0"
        );
    }

    #[test]
    fn backslashes_count_in_front_of_quotes_only() {
        assert_eq!(
            line(&[r"C:\dir\", r"C:\a dir\", r#"a\"b"#, r#"say "hi""#]),
            concat!(r#""a program" C:\dir\ "C:\a dir\\" a\\\"b "say \"hi\"""#, "\0",)
        );
    }

    #[test]
    fn a_zero_is_refused() {
        command_line("program".as_ref(), &["a\0b".into()]).expect_err("refused");
    }
}
