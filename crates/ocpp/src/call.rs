//! What CALLs have in common: the id that an answer repeats, and a refusal.

use std::fmt;

use serde::Serialize;

use crate::ErrorCode;

/// The longest id that is answered. OCPP-J allows 36 characters; some chargers send more.
const MAX_ID: usize = 255;
/// The longest description of a CALLERROR (OCPP-J 1.6, section 4.2.3).
const MAX_DESCRIPTION: usize = 255;

/// The id of a CALL, which its answer repeats to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MessageId(String);

/// Why a CALL is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// What is wrong. It names members and never repeats a value, which may be an id tag.
    pub description: String,
}

impl MessageId {
    /// The id with this text; `None` if it is empty or too long to be answered.
    pub fn new(text: &str) -> Option<Self> {
        let length = text.chars().count();
        (1..=MAX_ID).contains(&length).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Refusal {
    /// A refusal; the description is cut at the length that a frame may have.
    pub fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        let description: String = description.into();
        Self { code, description: description.chars().take(MAX_DESCRIPTION).collect() }
    }
}
