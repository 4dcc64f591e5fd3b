//! The table of all metrics, and their exposition for Prometheus.
//!
//! Metrics use the facade `metrics`, as log lines use `tracing`: a program installs the one recorder in its `main` if
//! it has a port to scrape it at. Without a recorder a metric costs next to nothing. Labels have few values. Never put
//! a driver token, a host or a URL in a label.

mod prefix;
mod rows;

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use metrics_process::Collector;
use prefix::Prefixed;
pub use rows::*;

/// The content type of Prometheus' text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often [`Exposition::tidy`] has to be called: between calls every measurement is stored individually.
pub const TIDY_EVERY: Duration = Duration::from_secs(5);
/// Bucket bounds in seconds: from one Redis read to the longest sensible deadline.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// One row of the table.
#[derive(Debug)]
pub struct Metric {
    /// The name, with its unit at the end, as Prometheus recommends.
    pub name: &'static str,
    /// The kind of the metric.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The values of its one label that exist from the start, so that an alert sees the first increment.
    pub known: &'static [&'static str],
    /// The help text.
    pub help: &'static str,
}

/// Constants for the metrics of one crate, and the list `ALL` of them.
#[macro_export]
macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], [$($known:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: &str = $name;
        )*
        /// Every metric of this crate.
        pub const ALL: &[$crate::metrics::Metric] = &[$($crate::metrics::Metric {
            name: $name,
            kind: $crate::metrics::Kind::$kind,
            labels: &[$($label),*],
            known: &[$($known),*],
            help: $help,
        }),*];
    };
}

/// Why metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The exporter refuses the buckets.
    #[error(transparent)]
    Exporter(#[from] BuildError),
    /// This process has a recorder.
    #[error("this process has a recorder already")]
    Installed,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only increases.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts durations by bucket.
    Histogram,
}

/// The recorded metrics, to be scraped.
#[derive(Clone)]
pub struct Exposition {
    handle: PrometheusHandle,
    /// Reads this process' own numbers, at each scrape.
    process: Collector,
}

/// Installs the recorder and sets the build metric to this commit. Only a `main` may call it, once.
///
/// # Errors
/// Returns an error if a recorder is installed already.
pub fn install(commit: &'static str, rows: &[&[Metric]]) -> Result<Exposition, InstallError> {
    let recorder = PrometheusBuilder::new().set_buckets(BUCKETS)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(Prefixed(recorder)).map_err(|_| InstallError::Installed)?;
    for metric in rows.iter().copied().flatten() {
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
                // Registered without a value.
                Kind::Histogram => drop(histogram!(metric.name, label => *value)),
            }
        }
        if metric.labels.is_empty() && metric.kind == Kind::Counter {
            counter!(metric.name).absolute(0);
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "commit" => commit).set(1.0);
    let process = Collector::default();
    process.describe();
    Ok(Exposition { handle, process })
}

/// The table for docs/metrics.md.
pub fn markdown_table(rows: &[&[Metric]]) -> String {
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.help)
    };
    let head = "| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n";
    rows.iter().copied().flatten().map(row).fold(head.to_owned(), |table, row| table + &row)
}

impl Exposition {
    /// The metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Moves the measurements into their buckets. The server of the text must call it every [`TIDY_EVERY`]; otherwise
    /// unscraped measurements would accumulate for ever.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exposition")
    }
}
