//! The clock of a charger, and the meter of a connector.

use time::OffsetDateTime;
use time::macros::{datetime, format_description};
use tokio::time::Instant;

/// A real-time clock, which may be wrong.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    at: Instant,
    shown: OffsetDateTime,
}

impl Clock {
    /// A clock that is right.
    #[must_use]
    pub fn right(at: Instant) -> Self {
        Self { at, shown: OffsetDateTime::now_utc() }
    }

    /// A clock that began again when its battery was empty.
    #[must_use]
    pub fn wrong(at: Instant) -> Self {
        Self { at, shown: datetime!(2000-01-01 00:00 UTC) }
    }

    /// Sets it, unless it is less than a second off: time must not run back for the sake of milliseconds.
    pub fn set(&mut self, now: Instant, shown: OffsetDateTime) {
        if (shown - self.time(now)).abs() >= time::Duration::SECOND {
            *self = Self { at: now, shown };
        }
    }

    /// Sets it by this much forward, or back, as a charger does whose clock was set wrong.
    pub fn jump(&mut self, now: Instant, by: time::Duration) {
        *self = Self { at: now, shown: self.time(now).saturating_add(by) };
    }

    /// What it shows.
    #[must_use]
    pub fn time(&self, now: Instant) -> OffsetDateTime {
        self.shown + now.duration_since(self.at)
    }

    /// What it shows, as OCPP writes it: UTC with milliseconds.
    #[must_use]
    pub fn text(&self, now: Instant) -> String {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        self.time(now).to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
    }
}

/// Millijoules in a watt hour.
const MJ_PER_WH: u64 = 3_600_000;

/// A register of imported energy, which grows with the power over time.
#[derive(Debug, Clone)]
pub struct Meter {
    millijoules: u64,
    power_w: u32,
    since: Instant,
    /// How many times faster than real time energy is counted.
    speed: u32,
}

impl Meter {
    /// A meter that stands at this many Wh, without power.
    #[must_use]
    pub fn at(now: Instant, wh: u32, speed: u32) -> Self {
        Self { millijoules: u64::from(wh) * MJ_PER_WH, power_w: 0, since: now, speed }
    }

    /// The power from here on, in W.
    pub fn draw(&mut self, now: Instant, power_w: u32) {
        self.millijoules = self.counted(now);
        (self.since, self.power_w) = (now, power_w);
    }

    /// The register in whole Wh.
    #[must_use]
    pub fn wh(&self, now: Instant) -> i64 {
        i64::try_from(self.counted(now) / MJ_PER_WH).unwrap_or(i64::MAX)
    }

    /// The power in W.
    #[must_use]
    pub fn power_w(&self) -> u32 {
        self.power_w
    }

    fn counted(&self, now: Instant) -> u64 {
        let ms = u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        let grown = ms.saturating_mul(u64::from(self.power_w)).saturating_mul(u64::from(self.speed));
        self.millijoules.saturating_add(grown)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_hour_at_eleven_kilowatts_is_eleven_kilowatt_hours() {
        let began = Instant::now();
        let mut meter = Meter::at(began, 500, 1);
        meter.draw(began, 11_000);
        let end = began + Duration::from_secs(3600);
        meter.draw(end, 0);
        assert_eq!(meter.wh(end + Duration::from_secs(60)), 11_500);
    }

    #[test]
    fn a_clock_is_set_only_when_it_is_off() {
        let began = Instant::now();
        let mut clock = Clock::wrong(began);
        assert_eq!(clock.text(began + Duration::from_millis(1250)), "2000-01-01T00:00:01.250Z");
        clock.set(began, datetime!(2000-01-01 00:00:00.4 UTC));
        assert_eq!(clock.text(began), "2000-01-01T00:00:00.000Z");
        clock.set(began, datetime!(2026-11-29 05:00 +2));
        assert_eq!(clock.text(began), "2026-11-29T03:00:00.000Z");
        clock.jump(began, time::Duration::hours(-2));
        assert_eq!(clock.text(began), "2026-11-29T01:00:00.000Z");
    }

    proptest! {
        #[test]
        fn a_meter_never_runs_back(steps in prop::collection::vec((0_u64..5000, 0_u32..350_000), 1..50), speed in 1_u32..600) {
            let mut now = Instant::now();
            let mut meter = Meter::at(now, 7, speed);
            for (ms, power) in steps {
                let before = meter.wh(now);
                now += Duration::from_millis(ms);
                prop_assert!(meter.wh(now) >= before);
                meter.draw(now, power);
            }
        }
    }
}
