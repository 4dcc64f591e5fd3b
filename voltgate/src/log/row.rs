//! One request as a line: a row of a table, or JSON.

use common::ids::PresentedToken;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::terminal;

/// Prints requests line by line.
pub(super) struct Rows {
    as_json: bool,
    show_tokens: bool,
    count: usize,
}

impl Rows {
    pub(super) fn new(as_json: bool, show_tokens: bool) -> Self {
        Self { as_json, show_tokens, count: 0 }
    }

    /// Returns `false` if the output is closed.
    pub(super) fn print(&mut self, request: &Value) -> bool {
        self.count += 1;
        if self.as_json {
            return terminal::line(&request.to_string());
        }
        if self.count == 1 {
            let bold = terminal::bold();
            let head = format!(
                "{bold}{:<24} {:<11} {:<13} {:<36}  {:<36}  {:<12} callback{bold:#}",
                "called", "decision", "state", "request", "station", "driver"
            );
            if !terminal::line(&head) {
                return false;
            }
        }
        terminal::line(&self.row(request))
    }

    /// Prints a message if there were no requests.
    pub(super) fn finish(&self) {
        if self.count == 0 && !self.as_json {
            terminal::line("no such requests");
        }
    }

    fn row(&self, request: &Value) -> String {
        let text = |name: &str| request[name].as_str().unwrap_or("-").to_owned();
        let (status, state) = (text("status"), text("state"));
        let style = match (status.as_str(), state.as_str()) {
            (_, "undeliverable") => terminal::bad(),
            ("allowed", _) => terminal::good(),
            _ => terminal::faint(),
        };
        let driver = PresentedToken::new(text("driver_token"));
        let driver =
            if self.show_tokens { driver.expose().escape_debug().to_string() } else { format!("{driver:?}") };
        let attempts = request["attempts"].as_array().map_or(0, Vec::len);
        format!(
            "{:<24} {style}{status:<11} {state:<13}{style:#} {:<36}  {:<36}  {driver:<12} {}, {attempts} attempt{}",
            called(request["start_time_ns"].as_u64().unwrap_or(0)),
            text("request_id"),
            text("station_id"),
            text("callback_status"),
            if attempts == 1 { "" } else { "s" },
        )
    }
}

fn called(nanos: u64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).ok();
    moment.and_then(|moment| moment.format(&format).ok()).unwrap_or_default()
}
