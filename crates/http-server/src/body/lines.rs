//! Cuts a body into numbered lines, independent of its chunks. A line over the maximum length is not stored.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::web::{Bytes, Payload};

use crate::{Problem, body};

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

/// Reads the lines of a body one by one, for a reader that has to wait in between.
pub struct LineReader {
    payload: Payload,
    lines: Lines,
    cut: VecDeque<Option<Bytes>>,
    read: u64,
    limit: Duration,
    is_at_end: bool,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedLine {
    /// Its number, from 1.
    pub number: u64,
    /// `None` if it is longer than this.
    bytes: Option<Bytes>,
    max: usize,
}

impl LineReader {
    /// A reader of lines of at most `max` bytes. `limit` is the time limit for the next chunk of the body.
    pub fn new(payload: Payload, max: usize, limit: Duration) -> Self {
        Self { payload, lines: Lines::new(max), cut: VecDeque::new(), read: 0, limit, is_at_end: false }
    }

    /// The next line; `None` at the end of the body.
    ///
    /// # Errors
    /// Returns an error if the body is cut off, or too slow.
    pub async fn next(&mut self) -> Result<Option<NumberedLine>, Problem> {
        while self.cut.is_empty() && !self.is_at_end {
            let chunk = body::chunk(&mut self.payload, self.limit).await?;
            let cut = &mut self.cut;
            let keep = |line: Line<'_>| {
                cut.push_back(match line {
                    Line::Whole(bytes) => Some(Bytes::copy_from_slice(bytes)),
                    Line::TooLong => None,
                });
            };
            match chunk {
                Some(chunk) => self.lines.push(&chunk, keep),
                None => {
                    self.lines.finish(keep);
                    self.is_at_end = true;
                }
            }
        }
        let Some(bytes) = self.cut.pop_front() else { return Ok(None) };
        self.read += 1;
        Ok(Some(NumberedLine { number: self.read, bytes, max: self.lines.max }))
    }

    /// What is left of the body.
    pub fn into_rest(self) -> Payload {
        self.payload
    }
}

impl NumberedLine {
    /// Its text, without a byte order mark.
    ///
    /// # Errors
    /// Returns an error if it is too long, or not UTF-8.
    pub fn text(&self) -> Result<&str, Problem> {
        let too_long = || Problem::invalid("line", format!("it is longer than {} bytes", self.max));
        let bytes = self.bytes.as_deref().ok_or_else(too_long)?;
        let bytes = if self.number == 1 { body::without_mark(bytes) } else { bytes };
        std::str::from_utf8(bytes).map_err(|_| Problem::invalid("line", "it is not UTF-8"))
    }
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
