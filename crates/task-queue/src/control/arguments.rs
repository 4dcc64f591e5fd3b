//! The arguments of a command, and the exceptions that Python raises for invalid ones.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::execution::as_list;
use crate::python::quoted;

/// An exception, in Python's `repr`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PythonException(pub(super) String);

impl PythonException {
    pub(super) fn value_error(text: &str) -> Self {
        Self(format!("ValueError({})", quoted(text)))
    }

    pub(super) fn import_error(text: &str) -> Self {
        Self(format!("ImportError({})", quoted(text)))
    }

    pub(super) fn key_error(key: &str) -> Self {
        Self(format!("KeyError({})", quoted(key)))
    }

    pub(super) fn type_error(text: &str) -> Self {
        Self(format!("TypeError({})", quoted(text)))
    }
}

/// The named arguments of a command.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    pub(super) method: &'a str,
    pub(super) given: &'a Map<String, Value>,
}

impl Arguments<'_> {
    /// An argument; `None` if it is missing or Python's `None`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// A required argument.
    pub(super) fn required(&self, name: &str) -> Result<&Value, PythonException> {
        let missing = || format!("{:.64}() missing 1 required positional argument: '{name}'", self.method);
        self.given.get(name).ok_or_else(|| PythonException::type_error(&missing()))
    }

    /// A required text.
    pub(super) fn text(&self, name: &str) -> Result<&str, PythonException> {
        self.required(name)?.as_str().ok_or_else(|| self.expected("a text", name))
    }

    /// An optional text.
    pub(super) fn optional_text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// One text or a list of them; other values are ignored.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, PythonException> {
        Ok(as_list(self.required(name)?).iter().filter_map(Value::as_str).collect())
    }

    /// One task id or a list of them; empty if Python's `None` is passed. Other values are refused, not ignored.
    pub(super) fn ids(&self, name: &str) -> Result<BTreeSet<&str>, PythonException> {
        match self.required(name)? {
            Value::Null => Ok(BTreeSet::new()),
            ids => {
                as_list(ids).iter().map(|id| id.as_str().ok_or_else(|| self.expected("ids", name))).collect()
            }
        }
    }

    /// Whether the argument is true in Python.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// An integer, also as text.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, PythonException> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        number.map(Some).ok_or_else(|| self.expected("a whole number", name))
    }

    /// A duration in seconds, also as text.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, PythonException> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        span.map(Some).ok_or_else(|| self.expected("seconds", name))
    }

    fn expected(&self, what: &str, name: &str) -> PythonException {
        PythonException::type_error(&format!("{:.64}() expected {what} for '{name}'", self.method))
    }
}

/// Whether the value is true in Python.
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

/// A list, or an object whose names are the ids, which Celery before 5.7 sends.
pub(super) fn ids(revoked: &Value) -> Vec<&str> {
    match revoked {
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
        Value::Object(ids) => ids.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}
