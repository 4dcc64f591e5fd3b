//! What a charger did and saw, as values and as JSON lines with masked tags.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The WebSocket is open.
    Connected,
    /// The WebSocket could not be opened.
    NotConnected {
        /// The cause.
        why: String,
    },
    /// The WebSocket ended.
    Disconnected {
        /// The cause.
        why: String,
    },
    /// A CALL or an answer was written.
    Sent {
        /// The action; of an answer, the action that it answers.
        action: String,
        /// What was written: `call`, `result`, or an error code.
        kind: String,
        /// The payload.
        payload: Value,
    },
    /// A CALL or an answer came.
    Received {
        /// The action; of an answer, the action that it answers.
        action: String,
        /// What came: `call`, `result`, or an error code.
        kind: String,
        /// The payload.
        payload: Value,
        /// From the CALL to its answer, in microseconds; of an answer only.
        #[serde(skip_serializing_if = "Option::is_none")]
        took_us: Option<u64>,
    },
    /// No answer within the time limit.
    NoAnswer {
        /// The action.
        action: String,
    },
    /// The central system broke a rule.
    Violation {
        /// The action, or nothing where the frame has none.
        action: String,
        /// The rule.
        what: String,
    },
    /// The answer to a boot.
    Booted {
        /// `Accepted`, `Pending` or `Rejected`.
        registration: String,
    },
    /// The status of a connector.
    Status {
        /// The connector.
        connector: u32,
        /// The status.
        status: &'static str,
    },
    /// The answer to a card at the reader.
    Tapped {
        /// The connector.
        connector: u32,
        /// The status of the tag, or `Offline`, or the error code.
        status: String,
    },
    /// A StartTransaction was answered.
    Started {
        /// The connector.
        connector: u32,
        /// The answered id.
        transaction_id: i64,
    },
    /// A StopTransaction was answered.
    Stopped {
        /// The id that it carried.
        transaction_id: i64,
        /// The register at the stop, in Wh.
        meter_stop: i64,
    },
    /// A message was given up after its attempts.
    GivenUp {
        /// The action.
        action: String,
    },
}

/// A line of the journal.
#[derive(Debug, Serialize)]
struct Line<'a> {
    at: &'a str,
    charger: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// Where the events of many chargers are written, one JSON object a line.
#[derive(Clone)]
pub struct Journal(Option<Arc<Mutex<dyn Write + Send>>>);

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl Journal {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Writes into this writer.
    #[must_use]
    pub fn into(writer: impl Write + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(writer))))
    }

    /// Writes an event. A writer that fails, as a closed pipe does, loses the line.
    pub fn write(&self, at: &str, charger: &str, event: &Event) {
        let Some(writer) = &self.0 else { return };
        let Ok(mut line) = serde_json::to_value(Line { at, charger, event }) else { return };
        mask(&mut line);
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(writer, "{line}");
    }
}

/// Members whose text names a person or opens a door.
const MASKED: &[&str] =
    &["idTag", "parentIdTag", "location", "csr", "certificateChain", "certificate", "remoteLocation"];

/// Masks tags, keys and certificates in a payload.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let secret = members.get("key").and_then(Value::as_str) == Some("AuthorizationKey");
            for (name, member) in members {
                match member {
                    Value::String(text) if MASKED.contains(&name.as_str()) || (secret && name == "value") => {
                        *text = masked(text);
                    }
                    _ => mask(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(mask),
        _ => {}
    }
}

/// The first four characters, or nothing of a text that is shorter than twelve.
fn masked(text: &str) -> String {
    if text.chars().count() < 12 { "…".to_owned() } else { text.chars().take(4).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_tag_and_no_key_stands_in_a_line() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let journal = Journal(Some(written.clone()));
        let entry = json!({"idTag": "SECRETTAG", "idTagInfo": {"parentIdTag": "SECRET-PARENT-1"}});
        let key = json!({"key": "AuthorizationKey", "value": "SECRET0123456789"});
        for payload in [entry, key] {
            let event =
                Event::Received { action: "X".to_owned(), kind: "call".to_owned(), payload, took_us: None };
            journal.write("2026-11-29T03:00:00.000Z", "CP-1", &event);
        }
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains("SECRETTAG") && !text.contains("PARENT") && !text.contains("0123"), "{text}");
    }
}
