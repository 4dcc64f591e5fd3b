//! When a location is open, as OCPI's `Hours`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::error::{Refused, within};
use crate::db::At;

const MAX_PERIODS: usize = 100;
const A_DAY: u16 = 24 * 60;

/// When a location is open, in its own time zone; OCPI's `Hours`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpeningTimes {
    /// Open at all times, apart from the exceptional closings
    pub twentyfourseven: bool,
    /// The periods of each week; only if it is not open at all times
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub regular_hours: Option<Vec<RegularHours>>,
    /// Periods in which it is open although the week says otherwise
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub exceptional_openings: Option<Vec<ExceptionalPeriod>>,
    /// Periods in which it is closed although the week says otherwise
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub exceptional_closings: Option<Vec<ExceptionalPeriod>>,
}

/// One period of each week
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegularHours {
    /// 1 for Monday to 7 for Sunday
    #[schema(minimum = 1, maximum = 7)]
    pub weekday: i64,
    /// The local time at which it opens
    #[schema(value_type = String, pattern = "^([0-1][0-9]|2[0-3]):[0-5][0-9]$", example = "08:00")]
    pub period_begin: TimeOfDay,
    /// The local time at which it closes, later than it opens; `24:00`, or `00:00`, is the end of the day
    #[schema(value_type = String, pattern = "^(([0-1][0-9]|2[0-3]):[0-5][0-9]|24:00)$", example = "20:00")]
    pub period_end: TimeOfDay,
}

/// A period, half-open
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExceptionalPeriod {
    /// When it begins
    pub period_begin: At,
    /// When it ends
    pub period_end: At,
}

/// Minutes since midnight, written `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl OpeningTimes {
    /// Checks what the types do not: bounds, order and overlaps.
    pub(super) fn check(&self, field: &str) -> Result<(), Refused> {
        let hours = self.regular_hours.as_deref().unwrap_or_default();
        if self.twentyfourseven && !hours.is_empty() {
            let detail = "a location that is open at all times has no regular hours";
            return Err(Refused::new(format!("{field}.regular_hours"), detail));
        }
        let openings = self.exceptional_openings.as_deref().unwrap_or_default();
        if !self.twentyfourseven && hours.is_empty() && openings.is_empty() {
            let detail = "a location that is not open at all times has regular hours or exceptional openings";
            return Err(Refused::new(format!("{field}.regular_hours"), detail));
        }
        few(&format!("{field}.regular_hours"), hours.len())?;
        for (index, period) in hours.iter().enumerate() {
            let place = format!("{field}.regular_hours.{index}");
            within(format!("{place}.weekday"), period.weekday, 1..=7)?;
            if period.period_begin.0 == A_DAY {
                return Err(Refused::new(format!("{place}.period_begin"), "expected a time before 24:00"));
            }
            if period.ends() <= period.period_begin.0 {
                let detail = "expected a time after period_begin; a night is two periods, the second on the next weekday";
                return Err(Refused::new(format!("{place}.period_end"), detail));
            }
            if let Some(other) = hours[..index].iter().position(|other| other.overlaps(period)) {
                return Err(Refused::new(place, format!("it overlaps with period {other}")));
            }
        }
        exceptional(&format!("{field}.exceptional_openings"), self.exceptional_openings.as_deref())?;
        exceptional(&format!("{field}.exceptional_closings"), self.exceptional_closings.as_deref())
    }
}

fn exceptional(field: &str, periods: Option<&[ExceptionalPeriod]>) -> Result<(), Refused> {
    let periods = periods.unwrap_or_default();
    few(field, periods.len())?;
    for (index, period) in periods.iter().enumerate() {
        if period.period_end <= period.period_begin {
            let place = format!("{field}.{index}.period_end");
            return Err(Refused::new(place, "expected a moment after period_begin"));
        }
        let overlaps = |other: &ExceptionalPeriod| {
            other.period_begin < period.period_end && period.period_begin < other.period_end
        };
        if let Some(other) = periods[..index].iter().position(overlaps) {
            return Err(Refused::new(format!("{field}.{index}"), format!("it overlaps with period {other}")));
        }
    }
    Ok(())
}

fn few(field: &str, periods: usize) -> Result<(), Refused> {
    if periods <= MAX_PERIODS {
        return Ok(());
    }
    Err(Refused::new(field.to_owned(), format!("expected {MAX_PERIODS} periods at most")))
}

impl RegularHours {
    /// In minutes since midnight. Many systems write the end of the day as 00:00.
    fn ends(&self) -> u16 {
        if self.period_end.0 == 0 { A_DAY } else { self.period_end.0 }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.weekday == other.weekday
            && self.period_begin.0 < other.ends()
            && other.period_begin.0 < self.ends()
    }
}

impl FromStr for TimeOfDay {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let parse = || {
            let (hours, minutes) = text.split_once(':')?;
            let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !two(hours) || !two(minutes) {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            let all = hours * 60 + minutes;
            (minutes < 60 && all <= A_DAY).then_some(all)
        };
        parse().map(Self).ok_or("expected a time of day such as 08:30")
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(times: serde_json::Value) -> String {
        let times: OpeningTimes = serde_json::from_value(times).unwrap();
        times.check("opening_times").unwrap_err().to_string()
    }

    #[test]
    fn hours_that_touch_are_good_and_those_that_overlap_are_named() {
        let hours = |begin: &str, end: &str| json!({"weekday": 1, "period_begin": begin, "period_end": end});
        let good = json!({"twentyfourseven": false, "regular_hours": [hours("08:00", "12:00"), hours("12:00", "00:00")]});
        let good: OpeningTimes = serde_json::from_value(good).unwrap();
        assert_eq!(good.check("opening_times"), Ok(()));
        let bad =
            |hours: serde_json::Value| refused(json!({"twentyfourseven": false, "regular_hours": hours}));
        assert_eq!(
            bad(json!([hours("08:00", "12:00"), hours("11:59", "13:00")])),
            "opening_times.regular_hours.1: it overlaps with period 0"
        );
        assert!(
            bad(json!([hours("22:00", "06:00")])).starts_with("opening_times.regular_hours.0.period_end: ")
        );
        assert!(
            bad(json!([hours("24:00", "24:00")])).starts_with("opening_times.regular_hours.0.period_begin: ")
        );
        let eighth = json!({"weekday": 8, "period_begin": "08:00", "period_end": "09:00"});
        assert_eq!(bad(json!([eighth])), "opening_times.regular_hours.0.weekday: expected 1 to 7");
        assert!(refused(json!({"twentyfourseven": false})).starts_with("opening_times.regular_hours: "));
        let always = json!({"twentyfourseven": true, "regular_hours": [hours("08:00", "12:00")]});
        assert!(refused(always).starts_with("opening_times.regular_hours: "));
    }

    #[test]
    fn exceptional_periods_have_a_length_and_do_not_overlap() {
        let period = |from: &str, to: &str| json!({"period_begin": format!("2027-01-{from}T00:00:00Z"), "period_end": format!("2027-01-{to}T00:00:00Z")});
        let closings = |periods: serde_json::Value| {
            refused(json!({"twentyfourseven": true, "exceptional_closings": periods}))
        };
        assert!(
            closings(json!([period("02", "02")]))
                .starts_with("opening_times.exceptional_closings.0.period_end: ")
        );
        let both = closings(json!([period("01", "03"), period("02", "04")]));
        assert_eq!(both, "opening_times.exceptional_closings.1: it overlaps with period 0");
    }

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        for bad in ["8:00", "08:60", "24:01", "", "08", "0800", "-1:00", "+8:00"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
        assert_eq!("24:00".parse::<TimeOfDay>().unwrap().to_string(), "24:00");
    }
}
