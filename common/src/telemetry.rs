//! Logs: text for people, JSON for machines, to standard error.
//!
//! Never log a driver token, a callback URL's query, a secret or a body; the types that hold them mask themselves.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LOG_FORMAT, LOG_LEVEL, SettingError, Settings};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log and how.
#[derive(Debug)]
pub struct LogConfig {
    format: LogFormat,
    filter: EnvFilter,
}

impl LogConfig {
    /// Reads `LOG_FORMAT` and `LOG_LEVEL`.
    ///
    /// # Errors
    /// One of them has a bad value.
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
        Ok(Self { format, filter })
    }

    /// Sends the process's log lines to standard error from here on. Only a `main` may call it, once.
    pub fn install(self) {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(self.filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.format {
            LogFormat::Text => builder.with_target(false).init(),
            LogFormat::Json => builder.json().init(),
        }
    }
}

/// A word alone would otherwise be taken as a part of the program, and nothing would be logged at all.
fn is_level(word: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim().to_ascii_lowercase().as_str())
}

/// lapin calls it an error that a queue does not exist yet; what matters of it, our supervisor reports. actix-web tells of
/// each of its threads. An operator who names them hears them.
fn quietened(directives: &str) -> String {
    let quiet = [("lapin", "off"), ("actix_server", "warn")];
    let unnamed = quiet.into_iter().filter(|(target, _)| !directives.contains(target));
    unnamed.fold(directives.to_owned(), |text, (target, level)| format!("{text},{target}={level}"))
}
