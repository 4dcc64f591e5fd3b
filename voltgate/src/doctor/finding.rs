//! One check: its subject, its result, and the remedy.

use serde_json::{Value, json};

use crate::terminal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Ok,
    Warning,
    Failure,
}

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The subject, such as `broker queue celery`.
    pub(super) check: String,
    detail: String,
    /// What to do; empty if nothing has to be done.
    remedy: String,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, check: check.into(), detail: detail.into(), remedy: String::new() }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, remedy: remedy.into(), ..Self::ok(check, detail) }
    }

    pub(super) fn failure(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Failure, remedy: remedy.into(), ..Self::ok(check, detail) }
    }

    fn word(&self) -> &'static str {
        match self.severity {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Failure => "failure",
        }
    }

    pub(super) fn as_json(&self) -> Value {
        json!({ "check": self.check, "result": self.word(), "detail": self.detail, "remedy": self.remedy })
    }

    pub(super) fn as_line(&self) -> String {
        let style = match self.severity {
            Severity::Ok => terminal::good(),
            Severity::Warning => terminal::caution(),
            Severity::Failure => terminal::bad(),
        };
        let remedy = if self.remedy.is_empty() { String::new() } else { format!(" → {}", self.remedy) };
        format!("{style}{:<8}{style:#} {:<34} {}{remedy}", self.word(), self.check, self.detail)
    }
}
