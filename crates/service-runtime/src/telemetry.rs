//! Logs, to standard error, as text for people or JSON for machines; and traces, to a collector if one is configured.
//!
//! Never log a driver token, a callback URL's query, a secret or a body. The types that hold them mask themselves.

mod lines;
mod traces;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::settings::{LOG_FORMAT, LOG_LEVEL, SettingError, Settings};
use lines::{JsonFields, JsonLines, TextFields};
use traces::TraceConfig;
pub use traces::Traces;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log, in which format, and where to send traces.
#[derive(Debug)]
pub struct LogConfig {
    format: LogFormat,
    filter: EnvFilter,
    traces: Option<TraceConfig>,
}

impl LogConfig {
    /// Reads `LOG_FORMAT`, `LOG_LEVEL`, `OTLP_ENDPOINT` and `OTLP_SAMPLE_RATIO`.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let format = settings.parse_with(&LOG_FORMAT, |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })?;
        let filter = settings.parse_with(&LOG_LEVEL, |text| {
            let known =
                text.split(',').all(|directive| directive.contains(['=', '[']) || is_level(directive));
            known.then(|| EnvFilter::builder().parse(quietened(text)).ok()).flatten()
        })?;
        Ok(Self { format, filter, traces: TraceConfig::from_settings(settings)? })
    }

    /// Installs the process's logging to standard error, and its traces, as those of `service`, to the collector. Only the
    /// spans of the `traced` crates are sent. Only a `main` may call it, once.
    pub fn install(self, service: &'static str, traced: &'static [&'static str]) -> Traces {
        let traces = self.traces.map(|config| config.start(service, traced)).unwrap_or_default();
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match self.format {
            LogFormat::Text => lines
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .fmt_fields(TextFields)
                .with_filter(self.filter)
                .boxed(),
            LogFormat::Json => lines
                .with_ansi(false)
                .fmt_fields(JsonFields)
                .event_format(JsonLines)
                .with_filter(self.filter)
                .boxed(),
        };
        let layers: Vec<_> = std::iter::once(lines).chain(traces.layer()).collect();
        tracing_subscriber::registry().with(layers).init();
        traces
    }
}

/// Otherwise a single word would be taken as a target, and nothing would be logged at all.
fn is_level(word: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim().to_ascii_lowercase().as_str())
}

/// lapin logs an error if a queue does not exist yet; the supervisor reports the relevant cases. actix-web logs each of
/// its threads. opentelemetry-otlp quotes the collector's URL, which may contain a key. An operator who names these
/// targets in LOG_LEVEL sees their lines.
fn quietened(directives: &str) -> String {
    let quiet = [("lapin", "off"), ("actix_server", "warn"), ("opentelemetry-otlp", "info")];
    let unnamed = quiet.into_iter().filter(|(target, _)| !directives.contains(target));
    unnamed.fold(directives.to_owned(), |text, (target, level)| format!("{text},{target}={level}"))
}
