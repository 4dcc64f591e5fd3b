//! The energy of a session, and what is doubtful about it. A register that runs backwards, or further than any vehicle takes,
//! is never billed without a person.

use std::time::Duration;

use super::Anomaly;
use crate::db::At;

/// 2020. A clock before that is not set.
const TRUSTED_SINCE_MILLIS: i64 = 1_577_836_800_000;
/// A charger's clock may be a little ahead.
const AHEAD: Duration = Duration::from_secs(300);
/// More than any vehicle takes (10 MWh).
const MAX_WH: i64 = 10_000_000;

/// The energy between two readings; `None` with the reason if it is not known.
pub(super) fn between(start: Option<i64>, stop: Option<i64>) -> (Option<i64>, Option<Anomaly>) {
    let (Some(start), Some(stop)) = (start, stop) else { return (None, Some(Anomaly::NoMeter)) };
    match stop.checked_sub(start) {
        Some(energy) if energy < 0 => (None, Some(Anomaly::MeterBackwards)),
        Some(energy) if energy <= MAX_WH => (Some(energy), None),
        _ => (None, Some(Anomaly::MeterTooLarge)),
    }
}

/// The energy up to a reading of a session without a stop. A register below its value at the start counts from zero in each
/// session (lbbrhzn/ocpp, pull request 919).
pub(super) fn until(start: Option<i64>, last: Option<i64>) -> Option<i64> {
    match between(start, last) {
        (None, Some(Anomaly::MeterBackwards)) => between(Some(0), last).0,
        (energy, _) => energy,
    }
}

/// Whether a charger's clock was set.
pub(super) fn is_trusted(at: At) -> bool {
    at.millis() >= TRUSTED_SINCE_MILLIS
}

/// What is doubtful about a moment.
pub(super) fn doubts(at: Option<At>, received: At) -> Option<Anomaly> {
    match at {
        None => Some(Anomaly::ClockNotSet),
        Some(at) if !is_trusted(at) => Some(Anomaly::ClockNotSet),
        Some(at) if at > received.plus(AHEAD) => Some(Anomaly::FutureTime),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn energy_is_a_difference_that_a_vehicle_can_take() {
        assert_eq!(between(Some(100), Some(7_600)), (Some(7_500), None));
        assert_eq!(between(Some(100), Some(100)), (Some(0), None));
        assert_eq!(between(Some(100), Some(99)), (None, Some(Anomaly::MeterBackwards)));
        assert_eq!(between(Some(0), Some(10_000_001)), (None, Some(Anomaly::MeterTooLarge)));
        assert_eq!(between(None, Some(1)), (None, Some(Anomaly::NoMeter)));
    }

    proptest! {
        #[test]
        fn energy_is_never_negative_and_never_invented(start in any::<i64>(), stop in any::<i64>()) {
            match between(Some(start), Some(stop)) {
                (Some(energy), None) => prop_assert!(energy >= 0 && start + energy == stop),
                (None, Some(_)) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
