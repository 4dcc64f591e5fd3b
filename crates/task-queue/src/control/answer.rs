//! What a command answers.

use serde_json::{Value, json};

use super::arguments::PythonException;

/// The answer to a command.
pub(super) type Answer = Result<Value, PythonException>;

pub(super) fn ok(text: impl Into<String>) -> Answer {
    Ok(json!({"ok": text.into()}))
}
