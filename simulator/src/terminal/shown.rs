//! Events as short lines.

use serde_json::Value;
use url::Url;

use crate::charger::Situation;
use crate::event::{Event, mask};
use crate::station::sessions::Reading;

/// The longest payload that is shown whole.
const LONGEST: usize = 160;

/// The line of an event; `None` if others say the same.
pub(super) fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connected => "connected".to_owned(),
        Event::NotConnected { why } => format!("not connected: {why}"),
        Event::Disconnected { why } => format!("disconnected: {why}"),
        Event::Sent { action, kind, payload } => frame("→", action, kind, payload),
        Event::Received { action, kind, payload, .. } => frame("←", action, kind, payload),
        Event::NoAnswer { action } => format!("  {action} was not answered in time"),
        Event::Violation { action, what } => format!("! the central system broke a rule: {action} {what}"),
        Event::Booted { registration } => match registration.as_str() {
            "Accepted" => "  the charger is accepted; next: plug".to_owned(),
            other => format!("  the charger is {other}; it asks again later"),
        },
        Event::Status { connector, status } => format!("  connector {connector} is {status}"),
        Event::Tapped { connector, status } => format!("  the card at connector {connector}: {status}"),
        Event::Started { connector, transaction_id } => {
            format!("  transaction {transaction_id} runs on connector {connector}; next: meter, unplug")
        }
        Event::Stopped { transaction_id, .. } => format!("  transaction {transaction_id} is stopped"),
        Event::GivenUp { action } => format!("! {action} was refused too often and is given up"),
    })
}

fn frame(arrow: &str, action: &str, kind: &str, payload: &Value) -> String {
    let mut payload = payload.clone();
    mask(&mut payload);
    let kind = if kind == "call" { String::new() } else { format!(" {kind}") };
    let text = payload.to_string();
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{arrow} {action}{kind} {shown}")
}

/// What the connector does, and what waits to be sent.
pub(super) fn status(reading: Reading, situation: Situation) -> String {
    let line = if situation.connected { "online" } else { "offline" };
    let plugged = if reading.plugged { "a car is plugged in" } else { "no car" };
    let transaction = match (reading.charging, reading.transaction_id) {
        (true, Some(id)) => format!(", transaction {id}"),
        (true, None) => ", a transaction without an id yet".to_owned(),
        (false, _) => String::new(),
    };
    let waiting = match situation.unanswered {
        0 => String::new(),
        count => format!("; {count} transaction messages wait for an answer"),
    };
    format!("{line}, {}, {plugged}{transaction}{waiting}", reading.status)
}

/// A URL without the password that it may contain.
pub(super) fn url(url: &Url) -> String {
    let mut url = url.clone();
    // A ws:// URL can be without both.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_frame_is_short_and_names_no_tag() {
        let payload = json!({"idTag": "SECRET", "data": "x".repeat(1000)});
        let event = Event::Sent { action: "Authorize".to_owned(), kind: "call".to_owned(), payload };
        let line = line(&event).unwrap();
        assert!(line.starts_with("→ Authorize {") && line.chars().count() < 200, "{line}");
        assert!(!line.contains("SECRET"));
    }
}
