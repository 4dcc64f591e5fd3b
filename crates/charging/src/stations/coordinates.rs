//! A place on the earth, and the distance between two.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

const MICRO: i64 = 1_000_000;
const DIGITS: usize = 6;
/// The mean radius of the earth (IUGG).
const EARTH_M: f64 = 6_371_008.8;
const METRES_A_DEGREE: f64 = 111_194.9;

/// A place: WGS 84, in degrees as texts, as OCPI has them. Six decimals are kept, a seventh is cut off
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// -90 to 90
    #[schema(value_type = String, pattern = r"^-?[0-9]{1,2}(\.[0-9]{1,7})?$", example = "52.520008")]
    pub latitude: Degrees<90>,
    /// -180 to 180
    #[schema(value_type = String, pattern = r"^-?[0-9]{1,3}(\.[0-9]{1,7})?$", example = "13.404954")]
    pub longitude: Degrees<180>,
}

/// Degrees from `-MAX` to `MAX`, in millionths. Further decimals are cut off: the sixth is 11 cm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Degrees<const MAX: i64>(i64);

/// The text is not such degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected degrees from -{0} to {0}, as a text with up to seven decimals such as \"13.404954\"")]
pub struct NotDegrees(i64);

/// A box that contains every place within a distance: one range of latitudes, and one or two of longitudes, because a range
/// that crosses the date line is two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// The latitudes, in millionths of a degree.
    pub latitudes: (i64, i64),
    /// The longitudes. Both are the same if the box does not cross the date line.
    pub longitudes: [(i64, i64); 2],
}

impl Coordinates {
    /// From millionths of a degree, as the database has them.
    pub fn from_micros(latitude: i64, longitude: i64) -> Self {
        Self { latitude: Degrees(latitude), longitude: Degrees(longitude) }
    }

    /// The distance in metres, on a sphere: wrong by half a per cent at most.
    #[expect(clippy::cast_possible_truncation, reason = "half the earth's girth is 20,015,087 m")]
    pub fn metres_to(self, other: Self) -> i64 {
        let (from, to) = (self.latitude.radians(), other.latitude.radians());
        let across = other.longitude.radians() - self.longitude.radians();
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let chord = half(to - from) + from.cos() * to.cos() * half(across);
        (2.0 * EARTH_M * chord.clamp(0.0, 1.0).sqrt().asin()).round() as i64
    }

    /// The box around this place that contains every place within `metres`.
    #[expect(clippy::cast_possible_truncation, reason = "a margin of at most 360 degrees in millionths")]
    #[expect(clippy::cast_precision_loss, reason = "a radius is far below 2^52 metres")]
    pub fn surroundings(self, metres: i64) -> Surroundings {
        // A little more than the distance: the last decimals of degrees are cut off.
        let margin = ((metres as f64 / METRES_A_DEGREE) * 1.001 * MICRO as f64).ceil() as i64 + 2;
        let (pole, around) = (90 * MICRO, 180 * MICRO);
        let latitudes = ((self.latitude.0 - margin).max(-pole), (self.latitude.0 + margin).min(pole));
        let farthest = latitudes.0.abs().max(latitudes.1.abs());
        let whole = Surroundings { latitudes, longitudes: [(-around, around); 2] };
        // At a pole all longitudes meet.
        if farthest >= pole {
            return whole;
        }
        let shrinks = Degrees::<90>(farthest).radians().cos();
        let across = (margin as f64 / shrinks).ceil() as i64 + 2;
        if across >= around {
            return whole;
        }
        let (west, east) = (self.longitude.0 - across, self.longitude.0 + across);
        let longitudes = if west < -around {
            [(-around, east), (west + 2 * around, around)]
        } else if east > around {
            [(west, around), (-around, east - 2 * around)]
        } else {
            [(west, east); 2]
        };
        Surroundings { latitudes, longitudes }
    }
}

impl Surroundings {
    /// Whether the box contains the place.
    pub fn contain(&self, place: Coordinates) -> bool {
        let within = |(from, to): (i64, i64), degrees: i64| (from..=to).contains(&degrees);
        within(self.latitudes, place.latitude.0)
            && self.longitudes.iter().any(|range| within(*range, place.longitude.0))
    }
}

impl<const MAX: i64> Degrees<MAX> {
    /// In millionths.
    pub fn micros(self) -> i64 {
        self.0
    }

    #[expect(clippy::cast_precision_loss, reason = "180 million is far below 2^52")]
    fn radians(self) -> f64 {
        (self.0 as f64 / MICRO as f64).to_radians()
    }
}

impl<const MAX: i64> FromStr for Degrees<MAX> {
    type Err = NotDegrees;

    fn from_str(text: &str) -> Result<Self, NotDegrees> {
        let parse = || {
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text),
            };
            let (whole, decimals) = match digits.split_once('.') {
                Some((whole, decimals)) if (1..=7).contains(&decimals.len()) => (whole, decimals),
                Some(_) => return None,
                None => (digits, ""),
            };
            let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
            if !(1..=3).contains(&whole.len()) || !plain(whole) || !plain(decimals) {
                return None;
            }
            let kept = &decimals[..decimals.len().min(DIGITS)];
            let micros: i64 = format!("{kept:0<DIGITS$}").parse().ok()?;
            let micros = whole.parse::<i64>().ok()? * MICRO + micros;
            (micros <= MAX * MICRO).then_some(if negative { -micros } else { micros })
        };
        parse().map(Self).ok_or(NotDegrees(MAX))
    }
}

impl<const MAX: i64> fmt::Display for Degrees<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, micros) = (if self.0 < 0 { "-" } else { "" }, self.0.abs());
        write!(f, "{sign}{}.{:0DIGITS$}", micros / MICRO, micros % MICRO)
    }
}

impl<const MAX: i64> Serialize for Degrees<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MAX: i64> Deserialize<'de> for Degrees<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(latitude: &str, longitude: &str) -> Coordinates {
        Coordinates { latitude: latitude.parse().unwrap(), longitude: longitude.parse().unwrap() }
    }

    #[test]
    fn degrees_keep_six_decimals_and_have_bounds() {
        for (given, shown) in [
            ("13.404954", "13.404954"),
            ("-0.5", "-0.500000"),
            ("52.1234567", "52.123456"),
            ("90", "90.000000"),
            ("-90.000000", "-90.000000"),
        ] {
            assert_eq!(given.parse::<Degrees<90>>().unwrap().to_string(), shown);
        }
        for bad in
            ["90.000001", "200", "", "-", ".5", "1.", "1e1", "+1", " 1", "1.12345678", "0x1", "nan", "1,5"]
        {
            assert!(bad.parse::<Degrees<90>>().is_err(), "{bad}");
        }
    }

    #[test]
    fn distances_agree_with_known_ones() {
        let (berlin, hamburg) = (place("52.520008", "13.404954"), place("53.551086", "9.993682"));
        assert_eq!((berlin.metres_to(hamburg) + 500) / 1000, 255);
        // Fiji: the islands lie on both sides of the date line.
        assert!(place("-16.8", "179.99").metres_to(place("-16.8", "-179.99")) < 2200);
        assert_eq!(place("90", "0").metres_to(place("90", "135")), 0);
        assert_eq!(place("0", "0").metres_to(place("0", "180")), 20_015_114);
    }

    #[test]
    fn a_box_over_the_date_line_is_two_and_one_at_a_pole_goes_around() {
        let fiji = place("-16.8", "179.99").surroundings(5_000);
        assert!(fiji.contain(place("-16.8", "-179.99")) && !fiji.contain(place("-16.8", "0")));
        assert!(place("89.99", "10").surroundings(5_000).contain(place("89.99", "-170")));
        assert!(!place("52.5", "13.4").surroundings(5_000).contain(place("52.5", "13.5")));
    }

    fn anywhere() -> impl Strategy<Value = Coordinates> {
        (-90 * MICRO..=90 * MICRO, -180 * MICRO..=180 * MICRO)
            .prop_map(|(latitude, longitude)| Coordinates::from_micros(latitude, longitude))
    }

    proptest! {
        #[test]
        fn no_place_within_the_distance_is_outside_the_box(
            here in anywhere(), north in -1_000_000i64..1_000_000, east in -3_000_000i64..3_000_000, metres in 1i64..100_000,
        ) {
            let latitude = (here.latitude.0 + north).clamp(-90 * MICRO, 90 * MICRO);
            let longitude = (here.longitude.0 + east + 540 * MICRO).rem_euclid(360 * MICRO) - 180 * MICRO;
            let there = Coordinates::from_micros(latitude, longitude);
            if here.metres_to(there) <= metres {
                prop_assert!(here.surroundings(metres).contain(there));
            }
        }

        #[test]
        fn the_distance_is_the_same_both_ways(one in anywhere(), other in anywhere()) {
            prop_assert_eq!(one.metres_to(other), other.metres_to(one));
            prop_assert_eq!(one.metres_to(one), 0);
        }

        #[test]
        fn degrees_are_read_back(micros in -180 * MICRO..=180 * MICRO) {
            let degrees = Degrees::<180>(micros);
            prop_assert_eq!(degrees.to_string().parse(), Ok(degrees));
        }
    }
}
