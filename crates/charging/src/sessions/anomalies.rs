//! What is doubtful about a session. It is kept as it was sent, and is not billed before a person has looked at it.

use crate::db::words;

words! {
    /// What is doubtful about a session
    #[derive(PartialOrd, Ord)]
    pub enum Anomaly {
        /// Only its stop was sent.
        NoStart = "no_start",
        /// Another start came on the same connector, and no stop.
        NoStop = "no_stop",
        /// The stop did not name the session, which was found otherwise.
        StopWithoutNumber = "stop_without_number",
        /// Another stop was sent, with other facts.
        OtherStop = "other_stop",
        /// The register ran backwards.
        MeterBackwards = "meter_backwards",
        /// There is more energy than any vehicle takes.
        MeterTooLarge = "meter_too_large",
        /// The register is missing at the start or at the end.
        NoMeter = "no_meter",
        /// It ended before it began.
        StopBeforeStart = "stop_before_start",
        /// A moment lies in the future.
        FutureTime = "future_time",
        /// A moment is missing, or from before 2020: the charger's clock is not set.
        ClockNotSet = "clock_not_set",
        /// The message was malformed.
        Malformed = "malformed",
    }
}
