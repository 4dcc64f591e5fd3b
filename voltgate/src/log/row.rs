//! One request as a line: a row of a table that fits the terminal, or JSON.

use common::ids::PresentedToken;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::terminal;

/// Prints requests line by line.
pub(super) struct Rows {
    as_json: bool,
    show_tokens: bool,
    columns: &'static [Column],
    /// The columns of the terminal that are left for the last attempt.
    room: usize,
    count: usize,
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Without the year and the fraction.
    ShortTime,
    Time,
    Decision,
    Delivery,
    Request,
    Station,
    Driver,
    LastAttempt,
}

/// From the widest to the narrowest. What a narrow terminal does not show, `--json` does.
const LAYOUTS: [&[Column]; 4] = {
    use Column::*;
    [
        &[Time, Decision, Delivery, Request, Station, Driver, LastAttempt],
        &[ShortTime, Decision, Delivery, Request, Station],
        &[ShortTime, Decision, Delivery, Request, Driver],
        &[ShortTime, Decision, Delivery, Request],
    ]
};

impl Column {
    const fn width(self) -> usize {
        match self {
            Self::ShortTime => 14,
            Self::Time => 24,
            Self::Decision => 11,
            Self::Delivery => 13,
            Self::Request | Self::Station => 36,
            Self::Driver => 12,
            Self::LastAttempt => 20,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::ShortTime | Self::Time => "called (UTC)",
            Self::Decision => "decision",
            Self::Delivery => "delivery",
            Self::Request => "request",
            Self::Station => "station",
            Self::Driver => "driver",
            Self::LastAttempt => "last attempt",
        }
    }
}

/// How many columns of a terminal a layout takes.
fn needed(layout: &[Column]) -> usize {
    layout.iter().map(|column| column.width() + 1).sum::<usize>() - 1
}

/// The widest layout that fits.
fn layout(width: Option<usize>) -> &'static [Column] {
    let fits = |layout: &&&[Column]| width.is_none_or(|width| needed(layout) <= width);
    LAYOUTS.iter().find(fits).unwrap_or(&LAYOUTS[LAYOUTS.len() - 1])
}

impl Rows {
    pub(super) fn new(as_json: bool, show_tokens: bool) -> Self {
        let width = terminal::width();
        let fitting = layout(width);
        // Tokens that were asked for are shown, even if their lines are then too long.
        let columns = if show_tokens && !fitting.contains(&Column::Driver) { LAYOUTS[2] } else { fitting };
        let room = width
            .map_or(usize::MAX, |width| width.saturating_sub(needed(columns) - Column::LastAttempt.width()));
        Self { as_json, show_tokens, columns, room, count: 0 }
    }

    /// Returns `false` if the output is closed.
    pub(super) fn print(&mut self, request: &Value) -> bool {
        self.count += 1;
        if self.as_json {
            return terminal::line(&request.to_string());
        }
        if self.count == 1 {
            let bold = terminal::bold();
            let titles = self.columns.iter().map(|column| (*column, column.title().to_owned()));
            if !terminal::line(&format!("{bold}{}{bold:#}", joined(titles))) {
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
        let (decision, delivery) = (text(request, "status"), text(request, "delivery"));
        let style = match (decision.as_str(), delivery.as_str()) {
            (_, "undeliverable") => terminal::bad(),
            ("allowed", _) => terminal::good(),
            _ => terminal::faint(),
        };
        joined(self.columns.iter().map(|column| {
            let cell = self.cell(*column, request);
            let padded = format!("{cell:<width$}", width = column.width());
            let coloured = matches!(column, Column::Decision | Column::Delivery);
            (*column, if coloured { format!("{style}{padded}{style:#}") } else { padded })
        }))
    }

    fn cell(&self, column: Column, request: &Value) -> String {
        match column {
            Column::ShortTime => {
                called(request, format_description!("[month]-[day] [hour]:[minute]:[second]"))
            }
            Column::Time => called(
                request,
                format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"),
            ),
            Column::Decision => text(request, "status"),
            Column::Delivery => text(request, "delivery"),
            Column::Request => text(request, "request_id"),
            Column::Station => text(request, "station_id"),
            Column::Driver => {
                let driver = PresentedToken::new(text(request, "driver_token"));
                let shown = driver.expose().escape_debug().to_string();
                if self.show_tokens { shown } else { format!("{driver:?}") }
            }
            Column::LastAttempt => {
                let attempts = request["attempts"].as_array().map_or(0, Vec::len);
                let ending = if attempts == 1 { "" } else { "s" };
                let last = format!("{}, {attempts} attempt{ending}", text(request, "callback_status"));
                terminal::cut(&last, self.room)
            }
        }
    }
}

fn joined(cells: impl Iterator<Item = (Column, String)>) -> String {
    let padded = cells.map(|(column, cell)| format!("{cell:<width$}", width = column.width()));
    padded.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

fn text(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap_or("-").to_owned()
}

fn called(request: &Value, format: &[BorrowedFormatItem<'_>]) -> String {
    let nanos = i128::from(request["start_time_ns"].as_u64().unwrap_or(0));
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_80_columns_shows_the_request_and_one_of_120_the_station() {
        let titles = |width| layout(width).iter().map(|column| column.title()).collect::<Vec<_>>();
        assert_eq!(titles(Some(80)), ["called (UTC)", "decision", "delivery", "request"]);
        assert_eq!(titles(Some(100)), ["called (UTC)", "decision", "delivery", "request", "driver"]);
        assert_eq!(titles(Some(120)), ["called (UTC)", "decision", "delivery", "request", "station"]);
        assert_eq!(titles(None).len(), 7);
        assert_eq!(titles(Some(20)).len(), 4);
    }
}
