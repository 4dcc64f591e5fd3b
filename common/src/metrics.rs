//! What is counted and measured: one table of all metrics, and the text that Prometheus scrapes.
//!
//! They go by the facade `metrics`, as log lines go by `tracing`: a program installs the one recorder in its `main`, where
//! there is a port to scrape it at, and everywhere else a metric costs next to nothing. Labels have few values. Never a
//! driver token, a host or a URL in one.

mod table;

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

pub use table::*;

/// Such as `text/plain; version=0.0.4`, as Prometheus' text format has it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often [`Exposition::tidy`] has to be called: until then every measurement is kept by itself.
pub const TIDY_EVERY: Duration = Duration::from_secs(5);
/// Bounds of the buckets, in seconds: from a look into Redis to the longest deadline that makes sense.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// One row of the table.
#[derive(Debug)]
pub struct Metric {
    /// With its unit at the end, as Prometheus has it.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The values of its one label that are there from the start, so that an alert sees the first of them happen.
    pub known: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many took how long.
    Histogram,
}

/// What was counted so far, to be scraped.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

/// Counts from here on, and says that this commit does. Only a `main` may call it, once.
///
/// # Errors
/// Somebody counts already.
pub fn install(commit: &'static str) -> Result<Exposition, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(BUCKETS)?.install_recorder()?;
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
        let label = metric.labels.first().copied().unwrap_or_default();
        for value in metric.known {
            match metric.kind {
                Kind::Counter => counter!(metric.name, label => *value).absolute(0),
                Kind::Gauge => gauge!(metric.name, label => *value).set(0.0),
                // Made, and nothing recorded.
                Kind::Histogram => drop(histogram!(metric.name, label => *value)),
            }
        }
        if metric.labels.is_empty() && metric.kind == Kind::Counter {
            counter!(metric.name).absolute(0);
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "commit" => commit).set(1.0);
    Ok(Exposition(handle))
}

/// The table as docs/metrics.md has it.
pub fn markdown_table() -> String {
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.help)
    };
    let head = "| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n";
    ALL.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
}

impl Exposition {
    /// In Prometheus' text format.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// Puts the measurements into their buckets. Whoever serves the text calls it every [`TIDY_EVERY`], or what nobody
    /// scrapes would grow for ever.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exposition")
    }
}
