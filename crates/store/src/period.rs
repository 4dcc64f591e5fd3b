//! The validity period of an access list's entry, and moments as text.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z: a score of a Redis sorted set holds them exactly.
pub type Millis = u64;

/// The validity period of an entry: from its start, if any, until its end, if any. The end is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Period {
    from: Option<Millis>,
    until: Option<Millis>,
}

/// The period contains no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it ends before it begins")]
pub struct EmptyPeriod;

impl Period {
    /// The period of an entry without limits.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// A period that contains at least one moment.
    ///
    /// # Errors
    /// Returns an error if the period ends before it begins.
    pub fn new(from: Option<Millis>, until: Option<Millis>) -> Result<Self, EmptyPeriod> {
        match (from, until) {
            (Some(from), Some(until)) if until <= from => Err(EmptyPeriod),
            _ => Ok(Self { from, until }),
        }
    }

    /// When it begins.
    pub fn from(self) -> Option<Millis> {
        self.from
    }

    /// When it ends. The period no longer holds at that moment.
    pub fn until(self) -> Option<Millis> {
        self.until
    }

    /// Whether it has ended.
    pub fn is_over(self, now: Millis) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it has yet to begin.
    pub fn is_to_come(self, now: Millis) -> bool {
        self.from.is_some_and(|from| from > now)
    }

    /// The moments after `now` at which the set has to be updated.
    pub(crate) fn moments_after(self, now: Millis) -> impl Iterator<Item = Millis> {
        [self.from, self.until].into_iter().flatten().filter(move |moment| *moment > now)
    }

    /// `FROM:UNTIL`, 0 for none, as stored.
    pub(crate) fn to_text(self) -> String {
        format!("{}:{}", self.from.unwrap_or(0), self.until.unwrap_or(0))
    }

    /// The reverse; returns `None` for any other text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (from, until) = text.split_once(':')?;
        let moment = |text: &str| text.parse().ok().map(|moment: Millis| (moment > 0).then_some(moment));
        Self::new(moment(from)?, moment(until)?).ok()
    }
}

/// Parses an RFC 3339 timestamp after 1970, to the millisecond.
pub fn parse_moment(text: &str) -> Option<Millis> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Millis::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().filter(|moment| *moment > 0)
}

/// The moment as an RFC 3339 timestamp.
pub fn show_moment(moment: Millis) -> String {
    let shown = OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment) * 1_000_000);
    shown.ok().and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_and_shown() {
        assert_eq!(parse_moment("1970-01-01T01:00:01.5+01:00"), Some(1500));
        assert_eq!(show_moment(1500), "1970-01-01T00:00:01.5Z");
        for text in ["", "1969-12-31T23:59:59Z", "2026-12-31", "2026-12-31T18:00:00", "tomorrow"] {
            assert_eq!(parse_moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_holds_from_its_beginning_until_before_its_end() {
        let span = Period::new(Some(10), Some(20)).unwrap();
        let at = |now| (span.is_to_come(now), span.is_over(now));
        assert_eq!([9, 10, 19, 20].map(at), [(true, false), (false, false), (false, false), (false, true)]);
        assert_eq!(Period::new(Some(10), Some(10)), Err(EmptyPeriod));
        assert_eq!(span.moments_after(10).collect::<Vec<_>>(), [20]);
    }

    #[test]
    fn a_span_is_kept_and_read_again() {
        for span in [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))] {
            let span = Period::new(span.0, span.1).unwrap();
            assert_eq!(Period::from_text(&span.to_text()), Some(span));
        }
        assert_eq!(Period::from_text("5:4"), None);
        assert_eq!(Period::from_text("x"), None);
    }
}
