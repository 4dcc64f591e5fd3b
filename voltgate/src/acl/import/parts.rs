//! The parts of a file that is imported. A thread of their own reads them, so that Ctrl-C is handled while standard
//! input is idle.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use tokio::sync::mpsc;

/// Maximum lines in one part. If a call is interrupted, at most these are uncertain.
pub(super) const LINES: u64 = 5000;
/// The rest of a longer line is not sent: acl-service rejects the line for its length anyway.
pub(super) const MAX_LINE: usize = 8192;

/// Some lines of the file.
pub(super) struct Part {
    pub(super) text: Vec<u8>,
    pub(super) lines: u64,
    /// How many bytes of the file it was.
    pub(super) read: u64,
}

/// The parts, and the size of the file; 0 if it is unknown.
pub(super) fn parts(file: &Path) -> io::Result<(mpsc::Receiver<io::Result<Part>>, u64)> {
    let (mut input, size) = open(file)?;
    let (send, parts) = mpsc::channel(1);
    std::thread::Builder::new().name("import".to_owned()).spawn(move || {
        loop {
            let part = next(&mut input).transpose();
            let Some(part) = part else { return };
            let failed = part.is_err();
            // The receiver is gone once the import has ended.
            if send.blocking_send(part).is_err() || failed {
                return;
            }
        }
    })?;
    Ok((parts, size))
}

fn next(input: &mut impl BufRead) -> io::Result<Option<Part>> {
    let mut part = Part { text: Vec::new(), lines: 0, read: 0 };
    while part.lines < LINES {
        let taken = read_line(input, &mut part.text)?;
        if taken == 0 {
            break;
        }
        part.lines += 1;
        part.read += taken as u64;
    }
    Ok((part.lines > 0).then_some(part))
}

fn open(file: &Path) -> io::Result<(BufReader<Box<dyn Read + Send>>, u64)> {
    if file == Path::new("-") {
        return Ok((BufReader::new(Box::new(io::stdin())), 0));
    }
    let opened = File::open(file)?;
    let size = opened.metadata()?.len();
    Ok((BufReader::new(Box::new(opened)), size))
}

/// Appends one line with its line break, or the part of it that may be sent; returns how many bytes were read.
fn read_line(input: &mut impl BufRead, part: &mut Vec<u8>) -> io::Result<usize> {
    let (mut taken, mut kept) = (0, 0);
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(taken);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = end.map_or(available.len(), |end| end + 1);
        let keep = end.unwrap_or(piece).min(MAX_LINE - kept);
        part.extend_from_slice(&available[..keep]);
        if end.is_some() {
            part.push(b'\n');
        }
        (taken, kept) = (taken + piece, kept + keep);
        input.consume(piece);
        if end.is_some() {
            return Ok(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_end_and_no_longer_than_it_may_be() {
        let long = format!("{}\nnext", "x".repeat(3 * MAX_LINE));
        let mut input = BufReader::with_capacity(1000, long.as_bytes());
        let mut part = Vec::new();
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 3 * MAX_LINE + 1);
        assert_eq!((part.len(), part.last()), (MAX_LINE + 1, Some(&b'\n')));
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 4);
        assert!(part.ends_with(b"\nnext"));
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 0);
    }
}
