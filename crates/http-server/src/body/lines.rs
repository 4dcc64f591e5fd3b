//! Cuts a body into numbered lines, independent of its chunks. A line over the maximum length is not stored.

/// One line without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes.
    Whole(&'a [u8]),
    /// It is longer than the maximum.
    TooLong,
}

/// Cuts lines. It stores at most the beginning of one line.
#[derive(Debug)]
pub struct Lines {
    max: usize,
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Cuts lines of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, begun: Vec::new(), too_long: false }
    }

    /// Passes on the lines that end in this chunk.
    pub fn push(&mut self, mut chunk: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (piece, rest) = (&chunk[..end], &chunk[end + 1..]);
            if self.begun.is_empty() && !self.too_long && piece.len() <= self.max {
                line(Line::Whole(without_return(piece)));
            } else {
                self.keep(piece);
                self.hand_out(&mut line);
            }
            chunk = rest;
        }
        self.keep(chunk);
    }

    /// Passes on the last line if it has no line break.
    pub fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if !self.begun.is_empty() || self.too_long {
            self.hand_out(&mut line);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.too_long || self.begun.len() + piece.len() > self.max {
            self.too_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn hand_out(&mut self, line: &mut impl FnMut(Line<'_>)) {
        line(if self.too_long { Line::TooLong } else { Line::Whole(without_return(&self.begun)) });
        self.begun.clear();
        self.too_long = false;
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_LINE: usize = 4096;

    fn cut(chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut seen) = (Lines::new(MAX_LINE), Vec::new());
        let mut keep = |line: Line<'_>| match line {
            Line::Whole(bytes) => seen.push(Some(bytes.to_vec())),
            Line::TooLong => seen.push(None),
        };
        for chunk in chunks {
            lines.push(chunk, &mut keep);
            assert!(lines.begun.len() <= MAX_LINE);
        }
        lines.finish(&mut keep);
        seen
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_into_chunks_its_lines_are_the_same(
            lines in prop::collection::vec(prop_oneof![
                4 => "[ -~]{0,60}", 1 => Just("x".repeat(MAX_LINE)), 1 => Just("y".repeat(MAX_LINE + 1)),
            ], 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            ended in any::<bool>(),
        ) {
            let mut body = lines.join("\n").into_bytes();
            if ended { body.push(b'\n'); }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect();
            let mut expected: Vec<Option<Vec<u8>>> = lines
                .iter()
                .map(|line| (line.len() <= MAX_LINE).then(|| line.as_bytes().to_vec()))
                .collect();
            if !ended && lines.last().is_some_and(String::is_empty) { expected.pop(); }
            prop_assert_eq!(cut(&chunks), expected);
        }
    }

    #[test]
    fn a_carriage_return_before_the_end_is_part_of_the_end() {
        assert_eq!(cut(&[b"a\r", b"\nb\r\n\r\n"]), [b"a".as_slice(), b"b", b""].map(|l| Some(l.to_vec())));
    }
}
