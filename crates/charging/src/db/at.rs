//! A moment, the same in both databases.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

const MICROS_A_MILLI: i64 = 1000;
/// The last millisecond of the year 9999.
const LAST_MILLI: i64 = 253_402_300_799_999;

/// A moment to the millisecond, UTC. It is a `timestamptz` in PostgreSQL and microseconds since 1970 in SQLite, where a
/// text of varying length would sort wrongly. It is cut to milliseconds here, because PostgreSQL rounds texts where it
/// truncates bound values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(i64);

/// No id made at this moment or later is smaller: a UUID of version 7 begins with the milliseconds since 1970.
pub(crate) fn first_id_at(at: At) -> Uuid {
    let millis = u128::try_from(at.millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// The text is not a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a moment such as 2027-03-28T01:00:00Z, between the years 1970 and 9999")]
pub struct NotMoment;

impl At {
    /// The current moment, by this machine's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn from_micros(micros: i64) -> Self {
        Self(micros - micros.rem_euclid(MICROS_A_MILLI))
    }

    /// The moment this many milliseconds after 1970. One before 1970, or too far off to be stored, is the nearest that can be.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LAST_MILLI) * MICROS_A_MILLI)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0 / MICROS_A_MILLI
    }

    /// This moment and a span.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This moment less a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// As a date and a time of day, UTC.
    pub(crate) fn time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn of_time(time: OffsetDateTime) -> Self {
        Self::from_micros(i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or_default())
    }
}

impl std::str::FromStr for At {
    type Err = NotMoment;

    fn from_str(text: &str) -> Result<Self, NotMoment> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotMoment)?;
        Some(Self::of_time(time)).filter(|at| at.0 >= 0).ok_or(NotMoment)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time();
        let (date, clock) = (time.date(), time.time());
        write!(f, "{date}T{:02}:{:02}:{:02}", clock.hour(), clock.minute(), clock.second())?;
        match clock.millisecond() {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for At {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let moment = ObjectBuilder::new().schema_type(Type::String);
        moment.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build().into()
    }
}

impl utoipa::ToSchema for At {}

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <OffsetDateTime as Encode<'_, Postgres>>::encode_by_ref(&self.time(), buffer)
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <OffsetDateTime as Decode<'_, Postgres>>::decode(value).map(Self::of_time)
    }
}

impl Type<Sqlite> for At {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(other: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(other)
    }
}

impl Encode<'_, Sqlite> for At {
    fn encode_by_ref(&self, arguments: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Sqlite>>::encode_by_ref(&self.0, arguments)
    }
}

impl Decode<'_, Sqlite> for At {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'_, Sqlite>>::decode(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_with_milliseconds_only_if_it_has_some() {
        for (given, shown) in [
            ("2027-03-28T03:00:00+02:00", "2027-03-28T01:00:00Z"),
            ("2027-03-28T01:00:00.5Z", "2027-03-28T01:00:00.500Z"),
            ("2027-03-28T01:00:00.1239Z", "2027-03-28T01:00:00.123Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(given.parse::<At>().unwrap().to_string(), shown);
        }
        for bad in
            ["", "now", "2027-03-28", "2027-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "2027-03-28T01:00:00"]
        {
            assert_eq!(bad.parse::<At>(), Err(NotMoment), "{bad}");
        }
    }

    #[test]
    fn ids_are_compared_by_the_moment_at_which_they_were_made() {
        let before = At::now();
        let id = Uuid::now_v7();
        let after = At::now().plus(Duration::from_millis(1));
        assert!(first_id_at(before) < id && id < first_id_at(after));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(micros in 0_i64..253_402_300_799_999_999) {
            let at = At::from_micros(micros);
            prop_assert_eq!(at.to_string().parse::<At>(), Ok(at));
            prop_assert_eq!(At::of_time(at.time()), at);
        }
    }
}
