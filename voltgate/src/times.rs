//! Times on the command line: lengths of time such as `90d`, `12h`, `30m`, `45s` or a number of seconds, and how a moment
//! is shown.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A length of time, more than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

#[derive(Debug, thiserror::Error)]
#[error("expected a length of time such as 90d, 12h, 30m or 45s")]
pub(crate) struct BadSpan;

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let (count, unit) = match text.find(|character: char| !character.is_ascii_digit()) {
            Some(end) => text.split_at(end),
            None => (text, "s"),
        };
        let unit: u64 = match unit {
            "d" => 24 * 3600,
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return Err(BadSpan),
        };
        let count: u32 = count.parse().map_err(|_| BadSpan)?;
        if count == 0 { Err(BadSpan) } else { Ok(Self(Duration::from_secs(u64::from(count) * unit))) }
    }
}

/// A timestamp in RFC 3339, to the second.
pub(crate) fn moment(ms: Option<u64>) -> Option<String> {
    let seconds = i64::try_from(ms? / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit_or_is_in_seconds() {
        for (text, seconds) in [("90d", 7_776_000), ("12h", 43_200), ("30m", 1800), ("45s", 45), ("60", 60)] {
            assert_eq!(text.parse::<Span>().unwrap(), Span(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "0", "0h", "-1", "1.5h", "2w", "2 d", "99999999999d", "1dd"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
