//! The frames of OCPP-J: CALL, CALLRESULT, CALLERROR.

use serde_json::Value;

/// A frame as it came from the central system.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A request of the central system.
    Call {
        /// The id that its answer repeats.
        id: String,
        /// The name of the operation.
        action: String,
        /// The payload, not yet checked.
        payload: Value,
    },
    /// The answer to a CALL of the charger.
    Result {
        /// The id of that CALL.
        id: String,
        /// The payload, not yet checked.
        payload: Value,
    },
    /// The refusal of a CALL of the charger.
    Error {
        /// The id of that CALL.
        id: String,
        /// The error code, in whatever spelling.
        code: String,
        /// The description.
        text: String,
    },
}

/// Why a text is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is no JSON.
    #[error("a frame that is no JSON")]
    NoJson,
    /// It is JSON, and no frame of OCPP-J.
    #[error("a frame that is none of OCPP-J")]
    NoFrame,
}

impl Frame {
    /// Reads a text message.
    ///
    /// # Errors
    /// Returns an error for anything that is not exactly a frame of OCPP-J.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let value: Value = serde_json::from_str(text).map_err(|_| FrameError::NoJson)?;
        let Value::Array(elements) = value else { return Err(FrameError::NoFrame) };
        let mut elements = elements.into_iter();
        let mut next = || elements.next().ok_or(FrameError::NoFrame);
        let kind = next()?.as_u64();
        let id = word(next()?)?;
        let frame = match kind {
            Some(2) => Self::Call { id, action: word(next()?)?, payload: next()? },
            Some(3) => Self::Result { id, payload: next()? },
            Some(4) => {
                let (code, text) = (word(next()?)?, word(next()?)?);
                next()?.is_object().then_some(()).ok_or(FrameError::NoFrame)?;
                Self::Error { id, code, text }
            }
            _ => return Err(FrameError::NoFrame),
        };
        if elements.next().is_some() { Err(FrameError::NoFrame) } else { Ok(frame) }
    }
}

fn word(value: Value) -> Result<String, FrameError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(FrameError::NoFrame),
    }
}

/// Writes a CALL; the payload is JSON already.
#[must_use]
pub fn call(id: &str, action: &str, payload: &str) -> String {
    format!("[2,{},{},{payload}]", quoted(id), quoted(action))
}

/// Writes a CALLRESULT; the payload is JSON already.
#[must_use]
pub fn result(id: &str, payload: &str) -> String {
    format!("[3,{},{payload}]", quoted(id))
}

/// Writes a CALLERROR.
#[must_use]
pub fn error(id: &str, code: &str, text: &str) -> String {
    format!("[4,{},{},{},{{}}]", quoted(id), quoted(code), quoted(text))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn any_id_survives_writing_and_reading(id in ".{0,40}") {
            let read = Frame::parse(&call(&id, "Heartbeat", "{}")).unwrap();
            prop_assert_eq!(read, Frame::Call { id, action: "Heartbeat".to_owned(), payload: json!({}) });
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            let _ = Frame::parse(&text);
        }
    }

    #[test]
    fn frames_with_an_element_too_few_or_too_many_are_none() {
        for text in
            ["[]", "[2]", r#"[2,"1","Reset"]"#, r#"[3,"1",{},{}]"#, r#"[4,"1","GenericError",""]"#, "{}"]
        {
            assert_eq!(Frame::parse(text), Err(FrameError::NoFrame), "{text}");
        }
        assert_eq!(Frame::parse("["), Err(FrameError::NoJson));
    }
}
