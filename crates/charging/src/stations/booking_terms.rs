//! The terms under which the EVSEs of a location can be booked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Refused, within};

macro_rules! terms {
    ($($(#[$about:meta])* $name:ident: $default:tt, $least:tt to $most:tt;)*) => {
        /// The terms of bookings at a location. What is not given has its default
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(from = "Given")]
        #[schema(as = BookingTerms)]
        pub struct BookingTerms {
            $($(#[$about])* #[schema(required = false, default = $default, minimum = $least, maximum = $most)] pub $name: i64,)*
            /// Whether a driver may have two bookings at the same time
            #[schema(required = false, default = false)]
            pub overlap_allowed: bool,
            /// Whether a booking has to be paid for before it is confirmed
            #[schema(required = false, default = false)]
            pub payment_required: bool,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            $($name: Option<i64>,)*
            overlap_allowed: Option<bool>,
            payment_required: Option<bool>,
        }

        impl From<Given> for BookingTerms {
            fn from(given: Given) -> Self {
                Self {
                    $($name: given.$name.unwrap_or($default),)*
                    overlap_allowed: given.overlap_allowed.unwrap_or_default(),
                    payment_required: given.payment_required.unwrap_or_default(),
                }
            }
        }

        impl BookingTerms {
            fn bounds(&self, field: &str) -> Result<(), Refused> {
                $(within(format!("{field}.{}", stringify!($name)), self.$name, $least..=$most)?;)*
                Ok(())
            }
        }
    };
}

terms! {
    /// The length of a slot in minutes
    slot_minutes: 30, 5 to 1_440;
    /// Minutes that are kept free before and after a booking
    buffer_minutes: 0, 0 to 240;
    /// The shortest booking in minutes
    min_minutes: 30, 5 to 10_080;
    /// The longest booking in minutes
    max_minutes: 240, 5 to 10_080;
    /// How many days ahead can be booked
    horizon_days: 14, 1 to 366;
    /// Until how many minutes before its begin a booking can be changed
    change_until_minutes: 60, 0 to 43_200;
    /// Until how many minutes before its begin a booking can be cancelled
    cancel_until_minutes: 60, 0 to 43_200;
    /// How many minutes before its begin charging may start
    early_start_minutes: 10, 0 to 1_440;
    /// After how many minutes without a start a booking is a no-show
    noshow_minutes: 15, 1 to 1_440;
    /// The fee for a no-show, in minor units of the tariff's currency
    noshow_fee: 0, 0 to 1_000_000_000;
    /// How many minutes after its end charging may go on
    late_stop_minutes: 15, 0 to 1_440;
}

impl BookingTerms {
    /// Checks the bounds.
    pub(super) fn check(&self, field: &str) -> Result<(), Refused> {
        self.bounds(field)?;
        if self.max_minutes < self.min_minutes {
            return Err(Refused::new(format!("{field}.max_minutes"), "expected at least min_minutes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_given_has_its_default_and_bounds_are_kept() {
        let terms = |given| serde_json::from_value::<BookingTerms>(given);
        let some = terms(json!({"slot_minutes": 15})).unwrap();
        assert_eq!((some.slot_minutes, some.max_minutes, some.overlap_allowed), (15, 240, false));
        assert_eq!(some.check("booking_terms"), Ok(()));
        let why = |given| terms(given).unwrap().check("booking_terms").unwrap_err().to_string();
        assert_eq!(why(json!({"slot_minutes": 0})), "booking_terms.slot_minutes: expected 5 to 1440");
        assert_eq!(
            why(json!({"max_minutes": 20})),
            "booking_terms.max_minutes: expected at least min_minutes"
        );
        assert!(terms(json!({"slot": 15})).is_err());
    }
}
