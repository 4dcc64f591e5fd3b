//! Frames (OCPP-J 1.6, section 4.2): `[2,id,action,payload]`, `[3,id,payload]`, `[4,id,code,description,details]`.

use serde_json::{Map, Value, json};

use crate::call::{MessageId, Refusal};
use crate::error_code::ErrorCode;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 32;

/// What a charger sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A request.
    Call {
        /// Its id.
        id: MessageId,
        /// What is requested.
        action: String,
        /// The request.
        payload: Map<String, Value>,
    },
    /// A request that cannot be understood, and can be answered.
    Malformed {
        /// Its id.
        id: MessageId,
        /// The answer.
        refusal: Refusal,
    },
    /// The answer to a request of ours.
    Result {
        /// The id of the request.
        id: MessageId,
        /// The answer.
        payload: Value,
    },
    /// A request of ours was not carried out.
    Error {
        /// The id of the request.
        id: MessageId,
        /// Why.
        code: ErrorCode,
        /// What the charger says about it.
        description: String,
    },
}

/// A frame that is dropped, as there is no id to answer to. The words are those of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Dropped {
    /// It is not JSON.
    #[error("not_json")]
    NotJson,
    /// It is nested too deeply.
    #[error("too_deep")]
    TooDeep,
    /// It is not an array.
    #[error("not_an_array")]
    NotAnArray,
    /// The message type is none of 2, 3 and 4.
    #[error("unknown_type")]
    UnknownType,
    /// The id is missing, empty, too long or not a text.
    #[error("no_id")]
    NoId,
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// Returns an error if it cannot be answered.
    pub fn parse(text: &str) -> Result<Self, Dropped> {
        if depth(text) > MAX_DEPTH {
            return Err(Dropped::TooDeep);
        }
        let frame: Value =
            serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| Dropped::NotJson)?;
        let Value::Array(elements) = frame else { return Err(Dropped::NotAnArray) };
        let mut elements = elements.into_iter();
        let kind = elements.next().as_ref().and_then(Value::as_u64).ok_or(Dropped::UnknownType)?;
        let id = match elements.next() {
            Some(Value::String(text)) => MessageId::new(&text).ok_or(Dropped::NoId)?,
            _ => return Err(Dropped::NoId),
        };
        match kind {
            2 => Ok(Self::call(id, elements.collect())),
            3 => Ok(Self::Result { id, payload: elements.next().unwrap_or_default() }),
            4 => {
                let mut text = || elements.next().and_then(|value| value.as_str().map(ToOwned::to_owned));
                let code = text().map_or(ErrorCode::GenericError, |code| ErrorCode::received(&code));
                Ok(Self::Error { id, code, description: text().unwrap_or_default() })
            }
            _ => Err(Dropped::UnknownType),
        }
    }

    fn call(id: MessageId, elements: Vec<Value>) -> Self {
        let refused = |code, description: &str| Refusal::new(code, description);
        let refusal = match <[Value; 2]>::try_from(elements) {
            Ok([Value::String(action), Value::Object(payload)]) => return Self::Call { id, action, payload },
            Ok([Value::String(_), _]) => {
                refused(ErrorCode::TypeConstraintViolation, "the payload is not an object")
            }
            Ok(_) => refused(ErrorCode::TypeConstraintViolation, "the action is not a text"),
            Err(_) => refused(ErrorCode::FormationViolation, "expected [2, id, action, payload]"),
        };
        Self::Malformed { id, refusal }
    }
}

/// The text of a CALL of ours. Members of the payload stand in the order in which they are serialized.
pub fn call(id: &MessageId, action: &str, payload: &impl serde::Serialize) -> String {
    serde_json::to_string(&(2, id, action, payload)).unwrap_or_default()
}

/// The text of a CALLRESULT.
pub fn result(id: &MessageId, payload: &impl serde::Serialize) -> String {
    serde_json::to_string(&(3, id, payload)).unwrap_or_default()
}

/// The text of a CALLERROR. `request_id` lets people find it in our log; the details never repeat the message.
pub fn error(id: &MessageId, refusal: &Refusal, request_id: Option<&str>) -> String {
    let details = match request_id {
        Some(request_id) => json!({"requestId": request_id}),
        None => json!({}),
    };
    serde_json::to_string(&(4, id, refusal.code.as_str(), &refusal.description, details)).unwrap_or_default()
}

/// How deeply brackets are nested, before anything is built of them.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::new(text).unwrap()
    }

    #[test]
    fn a_call_an_answer_and_an_error_are_read() {
        let call = Frame::parse(r#"[2,"19223201","Heartbeat",{}]"#);
        let (action, payload) = ("Heartbeat".to_owned(), Map::new());
        assert_eq!(call, Ok(Frame::Call { id: id("19223201"), action, payload }));
        let result = Frame::parse(r#"[3, "a", {"status": "Accepted"}]"#);
        assert_eq!(result, Ok(Frame::Result { id: id("a"), payload: json!({"status": "Accepted"}) }));
        let error = Frame::parse(r#"[4,"a","OccurrenceConstraintViolation","no tag",{}]"#);
        let (code, description) = (ErrorCode::OccurenceConstraintViolation, "no tag".to_owned());
        assert_eq!(error, Ok(Frame::Error { id: id("a"), code, description }));
        let short = Frame::Error { id: id("a"), code: ErrorCode::GenericError, description: String::new() };
        assert_eq!(Frame::parse(r#"[4,"a"]"#), Ok(short));
    }

    #[test]
    fn a_call_that_is_malformed_is_answered_where_it_has_an_id() {
        for (text, code) in [
            (r#"[2,"a"]"#, ErrorCode::FormationViolation),
            (r#"[2,"a","Heartbeat"]"#, ErrorCode::FormationViolation),
            (r#"[2,"a","Heartbeat",{},{}]"#, ErrorCode::FormationViolation),
            (r#"[2,"a","Heartbeat",[]]"#, ErrorCode::TypeConstraintViolation),
            (r#"[2,"a","Heartbeat",null]"#, ErrorCode::TypeConstraintViolation),
            (r#"[2,"a",7,{}]"#, ErrorCode::TypeConstraintViolation),
        ] {
            let Ok(Frame::Malformed { refusal, .. }) = Frame::parse(text) else { panic!("{text}") };
            assert_eq!(refusal.code, code, "{text}");
        }
    }

    #[test]
    fn a_frame_without_an_id_is_dropped() {
        let deep = format!(r#"[2,"a","X",{}{}]"#, "[".repeat(40), "]".repeat(40));
        let long = format!(r#"[2,"{}","Heartbeat",{{}}]"#, "x".repeat(256));
        for (text, reason) in [
            ("", Dropped::NotJson),
            ("hello", Dropped::NotJson),
            ("{}", Dropped::NotAnArray),
            ("[]", Dropped::UnknownType),
            (r#"["2","a","Heartbeat",{}]"#, Dropped::UnknownType),
            (r#"[5,"a",{}]"#, Dropped::UnknownType),
            ("[2]", Dropped::NoId),
            (r#"[2,7,"Heartbeat",{}]"#, Dropped::NoId),
            (r#"[2,"","Heartbeat",{}]"#, Dropped::NoId),
            (&long, Dropped::NoId),
            (&deep, Dropped::TooDeep),
        ] {
            assert_eq!(Frame::parse(text), Err(reason), "{text}");
        }
        assert!(Frame::parse(r#"[2,"a","X",{"text":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""}]"#).is_ok());
    }

    #[test]
    fn what_is_sent_is_compact_and_its_id_is_repeated_to_the_letter() {
        let odd = id("ä\" 1");
        assert_eq!(result(&odd, &json!({})), r#"[3,"ä\" 1",{}]"#);
        assert_eq!(call(&id("a"), "ClearCache", &json!({})), r#"[2,"a","ClearCache",{}]"#);
        let refusal = Refusal::new(ErrorCode::FormationViolation, "x".repeat(300));
        assert_eq!(refusal.description.len(), 255);
        let refusal = Refusal::new(ErrorCode::NotImplemented, "no such action");
        let text = r#"[4,"a","NotImplemented","no such action",{"requestId":"r"}]"#;
        assert_eq!(error(&id("a"), &refusal, Some("r")), text);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", close in "[\\[\\]{}:,\"a2-4]{0,40}") {
            let _ = (Frame::parse(&text), Frame::parse(&close));
        }

        #[test]
        fn what_is_sent_is_read_again(text in "\\PC{1,255}", action in "[A-Za-z]{1,30}") {
            let id = MessageId::new(&text).unwrap();
            let sent = call(&id, &action, &json!({"a": [1, {"b": "c"}]}));
            let payload = json!({"a": [1, {"b": "c"}]}).as_object().unwrap().clone();
            prop_assert_eq!(Frame::parse(&sent), Ok(Frame::Call { id, action, payload }));
        }
    }
}
