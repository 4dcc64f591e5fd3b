//! Timestamps, as chargers write them: RFC 3339, and what is close to it.

use std::fmt;

use serde::{Serialize, Serializer};
use time::{Date, Month, OffsetDateTime, Time};

use crate::{Leniencies, Leniency};

/// A moment to the millisecond, in milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text has no date, or is no moment at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a moment such as 2027-03-28T01:00:00Z")]
pub struct NotTimestamp;

impl Timestamp {
    /// The moment this many milliseconds after 1970.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Reads a moment. Without an offset it is UTC, or `offset_minutes` before it, for a charger that is known to send its
    /// local time.
    ///
    /// # Errors
    /// Returns an error if there is no date, or no such moment.
    pub fn parse(text: &str, offset_minutes: i64, leniencies: &mut Leniencies) -> Result<Self, NotTimestamp> {
        let text = text.trim();
        let date = text.get(..10).and_then(date).ok_or(NotTimestamp)?;
        let rest = text.get(10..).ok_or(NotTimestamp)?;
        let strict = rest.starts_with(['T', 't']);
        let rest = rest.strip_prefix(['T', 't', ' ', '_']).ok_or(NotTimestamp)?;
        let end = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at(end);
        let (millis, whole) = clock_millis(clock).ok_or(NotTimestamp)?;
        let zone = zone.trim();
        let (minutes, plain) = match zone {
            "" => {
                leniencies.add(Leniency::TimestampWithoutOffset);
                (offset_minutes, true)
            }
            "Z" | "z" => (0, true),
            zone => offset(zone).ok_or(NotTimestamp)?,
        };
        if !(strict && whole && plain) {
            leniencies.add(Leniency::TimestampForm);
        }
        let midnight = i64::from(date.to_julian_day() - UNIX_EPOCH_JULIAN_DAY) * DAY_MILLIS;
        Ok(Self(midnight + millis - minutes * MINUTE_MILLIS))
    }
}

const UNIX_EPOCH_JULIAN_DAY: i32 = OffsetDateTime::UNIX_EPOCH.to_julian_day();
const DAY_MILLIS: i64 = 86_400_000;
const MINUTE_MILLIS: i64 = 60_000;

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}

/// The milliseconds since midnight, rounded, and whether the form is that of RFC 3339.
fn clock_millis(text: &str) -> Option<(i64, bool)> {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map(|second| number(second, 2)).unwrap_or(Some(0))?;
    let whole = clock.len() == 8;
    if parts.next().is_some() {
        return None;
    }
    // A leap second is the next one.
    let (second, leap) = if second == 60 { (59, 1000) } else { (second, 0) };
    let byte = |part: i64| u8::try_from(part).ok();
    Time::from_hms(byte(hour)?, byte(minute)?, byte(second)?).ok()?;
    let millis = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let digits: String = digits.chars().chain("0000".chars()).take(4).collect();
            (digits.parse::<i64>().ok()? + 5) / 10
        }
        Some(_) => return None,
    };
    Some(((hour * 3600 + minute * 60 + second) * 1000 + leap + millis, whole))
}

/// The offset in minutes, and whether the form is that of RFC 3339.
fn offset(text: &str) -> Option<(i64, bool)> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes, plain) = match digits.len() {
        5 if digits.as_bytes()[2] == b':' => {
            (number(digits.get(..2)?, 2)?, number(digits.get(3..)?, 2)?, true)
        }
        4 => (number(digits.get(..2)?, 2)?, number(digits.get(2..)?, 2)?, false),
        2 => (number(digits, 2)?, 0, false),
        1 => (number(digits, 1)?, 0, false),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some((sign * (hours * 60 + minutes), plain))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, clock) = (time.date(), time.time());
        let (hour, minute, second) = clock.as_hms();
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", clock.millisecond())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, offset: i64) -> Result<(String, Vec<Leniency>), NotTimestamp> {
        let mut leniencies = Leniencies::default();
        let read = Timestamp::parse(text, offset, &mut leniencies)?;
        Ok((read.to_string(), leniencies.iter().collect()))
    }

    #[test]
    fn moments_are_read_as_chargers_write_them() {
        use Leniency::{TimestampForm, TimestampWithoutOffset};
        let expected = "2027-03-28T01:00:00.000Z";
        for (text, leniencies) in [
            ("2027-03-28T01:00:00Z", &[][..]),
            ("2027-03-28T01:00:00.000Z", &[]),
            ("2027-03-28T03:00:00+02:00", &[]),
            ("2027-03-27T20:30:00.0004-04:30", &[]),
            ("2027-03-28T01:00:00.0001234567Z", &[]),
            ("2027-03-28T04:00:00+03", &[TimestampForm]),
            ("2027-03-28T03:00:00+0200", &[TimestampForm]),
            ("2027-03-28 01:00:00Z", &[TimestampForm]),
            ("2027-03-28 01:00:00", &[TimestampWithoutOffset, TimestampForm]),
            ("2027-03-28T01:00:00", &[TimestampWithoutOffset]),
            ("2027-03-28T01:00Z", &[TimestampForm]),
        ] {
            assert_eq!(read(text, 0), Ok((expected.to_owned(), leniencies.to_vec())), "{text}");
        }
        assert_eq!(read("2027-03-28T03:00:00", 120).unwrap().0, expected);
        assert_eq!(read("2027-03-28T00:59:59.9996Z", 0).unwrap().0, expected, "rounded");
        assert_eq!(read("2027-03-28T00:59:60Z", 0).unwrap().0, expected, "a leap second");
    }

    #[test]
    fn what_has_no_date_is_no_moment() {
        for text in [
            "",
            "01:00:00Z",
            "2027-03-28",
            "2027-02-30T01:00:00Z",
            "2027-03-28T25:00:00Z",
            "yesterday",
            "2027-03-28T01:00:00+99:00",
            "2027-03-28T01:00:00.Z",
            "２027-03-28T01:00:00Z",
        ] {
            assert_eq!(read(text, 0), Err(NotTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in -62_135_596_800_000_i64..253_402_300_799_999) {
            let written = Timestamp::from_millis(millis).to_string();
            if written.len() == 24 {
                let mut leniencies = Leniencies::default();
                prop_assert_eq!(Timestamp::parse(&written, 77, &mut leniencies), Ok(Timestamp(millis)));
                prop_assert!(leniencies.is_empty());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}", close in "[0-9TZ:. +-]{0,30}") {
            let mut leniencies = Leniencies::default();
            let _ = Timestamp::parse(&text, 0, &mut leniencies);
            let _ = Timestamp::parse(&format!("2027-03-28{close}"), 0, &mut leniencies);
        }
    }
}
