//! The causes behind an error, through the `io::Error`s that hide some: for a decision, and for one line of the log.

use std::error::Error;
use std::fmt;

/// The cause of an error, of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The error, what caused it, and so on.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| next_cause(*error))
}

/// The first error of this type in the chain.
pub fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error as one text: its own, then that of each cause that the text so far does not contain.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + use<'a> {
    let mut text = String::new();
    for cause in causes(error).map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The text of the last cause: one line of at most 200 characters, as it may quote what another host sent.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let root = causes(error).last().unwrap_or(error).to_string();
    root.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// An `io::Error` returns the source of what it wraps, not what it wraps.
fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_root_is_found_behind_an_io_error_and_holds_no_line_break() {
        let error = Outer(io::Error::other(Outer(io::Error::other("a\nb"))));
        assert_eq!(root_cause(&error), "ab");
        assert_eq!(chain(&error).to_string(), "outer: a\nb");
        assert_eq!(causes(&error).count(), 5);
        assert!(cause::<io::Error>(&error).is_some());
    }
}
