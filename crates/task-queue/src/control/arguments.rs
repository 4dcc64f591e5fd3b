//! What a command is given, and what Python would raise where it cannot be used.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::execution::as_list;
use crate::python::quoted;

/// An exception, as Python shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raised(pub(super) String);

impl Raised {
    pub(super) fn value_error(told: &str) -> Self {
        Self(format!("ValueError({})", quoted(told)))
    }

    pub(super) fn import_error(told: &str) -> Self {
        Self(format!("ImportError({})", quoted(told)))
    }

    pub(super) fn key_error(key: &str) -> Self {
        Self(format!("KeyError({})", quoted(key)))
    }

    pub(super) fn type_error(told: &str) -> Self {
        Self(format!("TypeError({})", quoted(told)))
    }
}

/// The named arguments of a command.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    pub(super) method: &'a str,
    pub(super) given: &'a Map<String, Value>,
}

impl Arguments<'_> {
    /// An argument; nothing where it is missing or `None`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// An argument that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&Value, Raised> {
        let missing = || format!("{:.64}() missing 1 required positional argument: '{name}'", self.method);
        self.given.get(name).ok_or_else(|| Raised::type_error(&missing()))
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Raised> {
        self.required(name)?.as_str().ok_or_else(|| self.expected("a text", name))
    }

    /// A text, where it is given.
    pub(super) fn optional_text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// One text or several; what is no text is passed over.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Raised> {
        Ok(as_list(self.required(name)?).iter().filter_map(Value::as_str).collect())
    }

    /// The ids of tasks, one or several; none where `None` is given. What is no id is refused, and not passed over.
    pub(super) fn ids(&self, name: &str) -> Result<BTreeSet<&str>, Raised> {
        match self.required(name)? {
            Value::Null => Ok(BTreeSet::new()),
            ids => {
                as_list(ids).iter().map(|id| id.as_str().ok_or_else(|| self.expected("ids", name))).collect()
            }
        }
    }

    /// Whether it is what Python takes for true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// A whole number, also as text.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Raised> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        number.map(Some).ok_or_else(|| self.expected("a whole number", name))
    }

    /// A span in seconds, also as text.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, Raised> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        span.map(Some).ok_or_else(|| self.expected("seconds", name))
    }

    fn expected(&self, what: &str, name: &str) -> Raised {
        Raised::type_error(&format!("{:.64}() expected {what} for '{name}'", self.method))
    }
}

/// What Python takes for true.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
