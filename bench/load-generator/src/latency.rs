//! How long things took, as histograms with three digits, and the percentiles that are shown of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One minute in microseconds; what took longer counts as that.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 3;

/// Durations, in microseconds.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// What is shown of a [`Latency`], in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// Nine in ten.
    pub p90_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// 999 of a thousand.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constants that the library admits.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self { histogram: histogram.unwrap_or_else(|_| unreachable!("the bounds are good")) }
    }

    /// One more.
    pub fn record(&mut self, took: Duration) {
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
    }

    /// How long this share of a hundred took at most, in milliseconds.
    #[must_use]
    pub fn at(&self, percentile: f64) -> f64 {
        self.histogram.value_at_percentile(percentile) as f64 / 1000.0
    }

    /// What is shown of it.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.histogram.len(),
            mean_ms: self.histogram.mean() / 1000.0,
            p50_ms: self.at(50.0),
            p90_ms: self.at(90.0),
            p99_ms: self.at(99.0),
            p999_ms: self.at(99.9),
            max_ms: self.histogram.max() as f64 / 1000.0,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}
