//! Lines and words, counted while a file streams by.

use std::str;

/// A count of lines and words that also tells whether the whole is text: UTF-8 without a NUL.
///
/// Lines are newlines, as `wc -l` counts them; words are what `str::split_whitespace` gives. Where the pieces are cut does
/// not change the result.
#[derive(Clone, Debug)]
pub(crate) struct TextCount {
    is_text: bool,
    in_word: bool,
    lines: u64,
    words: u64,
    /// The begin of a character whose end is in the next piece.
    begun: [u8; 4],
    begun_len: usize,
}

impl TextCount {
    pub(crate) fn new() -> Self {
        Self { is_text: true, in_word: false, lines: 0, words: 0, begun: [0; 4], begun_len: 0 }
    }

    /// Takes the next piece. After the first byte that is not text it costs nothing.
    pub(crate) fn update(&mut self, mut piece: &[u8]) {
        while self.is_text && self.begun_len > 0 {
            let Some((first, rest)) = piece.split_first() else {
                return;
            };
            piece = rest;
            self.begun[self.begun_len] = *first;
            self.begun_len += 1;
            let begun = self.begun;
            match str::from_utf8(&begun[..self.begun_len]) {
                Ok(char) => {
                    self.begun_len = 0;
                    self.count(char);
                }
                // Four bytes are a character or an error, so there is always room for one more here.
                Err(error) => self.is_text = error.error_len().is_none(),
            }
        }
        if !self.is_text {
            return;
        }
        match str::from_utf8(piece) {
            Ok(text) => self.count(text),
            Err(error) if error.error_len().is_none() => {
                let (text, begun) = piece.split_at(error.valid_up_to());
                self.begun_len = begun.len();
                self.begun[..begun.len()].copy_from_slice(begun);
                self.count(str::from_utf8(text).expect("valid up to here"));
            }
            Err(_) => self.is_text = false,
        }
    }

    /// Lines and words, if all of it was text.
    pub(crate) fn finish(self) -> Option<(u64, u64)> {
        (self.is_text && self.begun_len == 0).then_some((self.lines, self.words))
    }

    fn count(&mut self, text: &str) {
        if text.is_ascii() {
            // One pass over bytes: several times faster than over characters, and most text is ASCII.
            for byte in text.bytes() {
                self.lines += u64::from(byte == b'\n');
                self.is_text &= byte != 0;
                self.step(matches!(byte, b'\t'..=b'\r' | b' '));
            }
        } else {
            for char in text.chars() {
                self.lines += u64::from(char == '\n');
                self.is_text &= char != '\0';
                self.step(char.is_whitespace());
            }
        }
    }

    fn step(&mut self, space: bool) {
        self.words += u64::from(!space && !self.in_word);
        self.in_word = !space;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pieces: &[&[u8]]) -> Option<(u64, u64)> {
        let mut count = TextCount::new();
        for piece in pieces {
            count.update(piece);
        }
        count.finish()
    }

    #[test]
    fn lines_are_newlines_and_words_are_split_at_white_space() {
        assert_eq!(count(&[b""]), Some((0, 0)));
        assert_eq!(count(&[b"one"]), Some((0, 1)));
        assert_eq!(count(&[b"one two\nthree\n"]), Some((2, 3)));
        assert_eq!(count(&[b" \t\r\n\x0b\x0c one \n\n"]), Some((3, 1)));
        assert_eq!(count(&["eins\u{a0}zwei\u{2003}drei\u{3000}vier fünf".as_bytes()]), Some((0, 5)));
    }

    #[test]
    fn every_ascii_byte_separates_words_as_split_whitespace_does() {
        for byte in 1..=127u8 {
            let text = format!("a{}b", char::from(byte));
            assert_eq!(count(&[text.as_bytes()]).map(|(_, words)| words), Some(text.split_whitespace().count() as u64));
        }
    }

    #[test]
    fn a_nul_or_a_byte_outside_utf8_makes_it_binary() {
        for binary in
            [b"a\0b".as_slice(), b"caf\xe9 ", b"\xff\xfeh\0", b"cut \xe2\x82", b"\xed\xa0\x80", "é\0".as_bytes()]
        {
            assert_eq!(count(&[binary]), None, "{binary:02x?}");
        }
    }

    #[test]
    fn where_the_pieces_are_cut_does_not_matter() {
        let text = "a é\u{2003}日本 🦀🦀 z\n\u{a0}x".as_bytes();
        let whole = count(&[text]);
        assert_eq!(whole.map(|(lines, _)| lines), Some(1));
        for first in 0..=text.len() {
            for second in first..=text.len() {
                assert_eq!(count(&[&text[..first], &text[first..second], &text[second..]]), whole);
            }
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(count(&single), whole);
    }
}
