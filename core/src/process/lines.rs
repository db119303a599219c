//! Pieces of output as whole lines.

/// The longest line that is kept whole; longer ones come in pieces of this size.
pub(crate) const LONGEST: usize = 64 << 10;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece; hands on every line that is complete, without its line feed.
    pub(crate) fn push(&mut self, mut piece: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (head, rest) = (&piece[..end], &piece[end + 1..]);
            if self.partial.is_empty() && head.len() <= LONGEST {
                line(without_return(head));
            } else {
                self.fill(head, &mut line);
                line(without_return(&std::mem::take(&mut self.partial)));
            }
            piece = rest;
        }
        self.fill(piece, &mut line);
    }

    /// The stream has ended: hands on what is left.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            line(&std::mem::take(&mut self.partial));
        }
    }

    fn fill(&mut self, mut piece: &[u8], line: &mut impl FnMut(&[u8])) {
        while self.partial.len() + piece.len() > LONGEST {
            let (head, rest) = piece.split_at(LONGEST - self.partial.len());
            self.partial.extend_from_slice(head);
            line(&std::mem::take(&mut self.partial));
            piece = rest;
        }
        self.partial.extend_from_slice(piece);
    }
}

/// A line without the carriage return that Windows programs end it with.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| seen.push(line.to_vec()));
        }
        lines.finish(|line| seen.push(line.to_vec()));
        seen
    }

    #[test]
    fn a_line_longer_than_the_limit_comes_in_pieces_and_nothing_is_lost() {
        let long = vec![b'x'; LONGEST * 2 + 5];
        let mut bytes = long.clone();
        bytes.push(b'\n');
        let pieces = cut(&[&bytes[..100], &bytes[100..]]);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, LONGEST, 5]);
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        assert_eq!(cut(&[b"one\ntw", b"o"]), [b"one".to_vec(), b"two".to_vec()]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            lines in proptest::collection::vec("[a-z]{0,12}", 0..20),
            size in 1_usize..9,
        ) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            let want: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(cut(&pieces), want);
        }
    }
}
