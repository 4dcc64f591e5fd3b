//! Wall clock times as Celery writes them. Only this module reads the clock that a task's `eta` and `expires` are
//! compared with.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime};

use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The current time.
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// Reads ISO 8601 as Python writes it and Celery reads it: with an offset, with `Z`, or with neither, which is UTC;
    /// with or without a fraction of a second. A date alone is its midnight.
    pub fn parse(text: &str) -> Option<Self> {
        let with_t = text.replacen(' ', "T", 1);
        let aware = OffsetDateTime::parse(&with_t, &Iso8601::DEFAULT).ok();
        let moment = aware.or_else(|| naive(&with_t).map(PrimitiveDateTime::assume_utc))?;
        moment.checked_to_offset(UtcOffset::UTC).map(Self)
    }

    /// The time this many seconds after 1970 began; `None` if its year does not have four digits.
    pub(crate) fn from_unix(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }
}

/// Whether the text is a time without a time zone.
pub(crate) fn is_naive(text: &str) -> bool {
    naive(&text.replacen(' ', "T", 1)).is_some()
}

/// The parser also accepts a text with an offset and ignores the offset, so such texts are excluded here.
fn naive(text: &str) -> Option<PrimitiveDateTime> {
    let Some((_, time)) = text.split_once('T') else {
        return Date::parse(text, &Iso8601::DEFAULT).ok().map(Date::midnight);
    };
    let offset = time.contains(['+', '-', 'Z', '\u{2212}']);
    PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).ok().filter(|_| !offset)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time.into())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Limited to the latest time that can be represented.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(time::Duration::try_from(span).unwrap_or(time::Duration::MAX)))
    }
}

/// The format of Python's `isoformat`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        let (hour, minute, second) = time.as_hms();
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        match time.microsecond() {
            0 => f.write_str("+00:00"),
            micros => write!(f, ".{micros:06}+00:00"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_a_client_writes_is_the_same_moment() {
        let expected = Timestamp::parse("2026-11-21T07:32:15+00:00").unwrap();
        for text in [
            "2026-11-21T07:32:15Z",
            "2026-11-21T07:32:15",
            "2026-11-21 07:32:15",
            "2026-11-21T07:32:15.000000",
            "2026-11-21T09:32:15+02:00",
            "2026-11-21T02:02:15-05:30",
        ] {
            assert_eq!(Timestamp::parse(text), Some(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "2026-11-21T07:32:15+00:00");
        let date = Timestamp::parse("2026-11-21").unwrap();
        assert_eq!(expected.since(date), Duration::from_secs(7 * 3600 + 32 * 60 + 15));
        assert_eq!(date.since(expected), Duration::ZERO);
    }

    #[test]
    fn only_a_time_without_a_time_zone_is_naive() {
        assert!(is_naive("2026-11-21T07:32:15.5") && is_naive("2026-11-21"));
        assert!(
            !is_naive("2026-11-21T07:32:15+02:00") && !is_naive("2026-11-21T07:32:15Z") && !is_naive("soon")
        );
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "soon",
            "5",
            "2026-13-01T00:00:00",
            "2026-11-21T25:00:00Z",
            "2026-11-21T07:32:15+99:00",
            "2026-11-21T07:32:15+05:53:28",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert!(Timestamp::parse("9999-12-31T23:59:59-12:00").is_none(), "there is no such year in UTC");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in 0u64..250_000_000_000_000_000) {
            let moment = Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_micros(micros);
            prop_assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", digits in "[0-9TZ:+.W -]{0,40}") {
            let _ = (Timestamp::parse(&text), Timestamp::parse(&digits), is_naive(&digits));
        }
    }
}
