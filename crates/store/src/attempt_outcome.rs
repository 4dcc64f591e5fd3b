//! What an attempt to call back came to: a type here, one text in Redis, in SQLite and in answers.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an attempt came to. As text it is the status, or `class: detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum AttemptOutcome {
    /// The host answered with this status.
    Status(u16),
    /// There was no answer, or no attempt.
    Failed {
        /// What failed, such as `timeout`.
        class: String,
        /// More about it, or nothing.
        detail: String,
    },
}

impl AttemptOutcome {
    /// An error whose text is `class: detail`.
    pub fn failed(error: &impl fmt::Display) -> Self {
        let text = error.to_string();
        let (class, detail) = text.split_once(": ").unwrap_or((&text, ""));
        Self::Failed { class: class.to_owned(), detail: detail.to_owned() }
    }

    /// Whether the callback was delivered: any 2xx.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Failed { class, detail } if detail.is_empty() => f.write_str(class),
            Self::Failed { class, detail } => write!(f, "{class}: {detail}"),
        }
    }
}

impl FromStr for AttemptOutcome {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(status @ 100..=999) => Self::Status(status),
            _ => Self::failed(&text),
        })
    }
}

impl From<String> for AttemptOutcome {
    fn from(text: String) -> Self {
        let Ok(outcome) = text.parse();
        outcome
    }
}

impl From<AttemptOutcome> for String {
    fn from(outcome: AttemptOutcome) -> Self {
        outcome.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_2xx_is_a_success() {
        for (text, success) in
            [("200", true), ("299", true), ("204", true), ("410", false), ("503", false), ("timeout", false)]
        {
            assert_eq!(AttemptOutcome::from(text.to_owned()).is_success(), success, "{text}");
        }
        assert!(!AttemptOutcome::from("2 hosts".to_owned()).is_success());
        assert!(!AttemptOutcome::from("20000".to_owned()).is_success());
    }

    proptest! {
        #[test]
        fn an_outcome_is_written_as_it_was_read(text in "([1-9][0-9]{2}|[a-z_]{1,20}(: [^\\x00]{0,60})?)") {
            prop_assume!(!text.ends_with(": "));
            prop_assert_eq!(AttemptOutcome::from(text.clone()).to_string(), text);
        }
    }
}
