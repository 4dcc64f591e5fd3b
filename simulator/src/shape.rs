//! Whether a payload conforms to its schema to the letter, and the error code with which a charger answers if not.

mod answers;
mod calls;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Member {
    name: &'static str,
    kind: Kind,
    required: bool,
}

/// What a value has to be.
#[derive(Debug)]
enum Kind {
    /// A text of at most this many characters.
    Text(usize),
    Date,
    /// An integer of 32 bits.
    Integer,
    Number,
    OneOf(&'static [&'static str]),
    Object(&'static [Member]),
    List(&'static Kind),
}

const fn required(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, required: true }
}

const fn optional(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, required: false }
}

/// Where a payload departs from its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// OCPP 1.6 and the security paper have no such action.
    #[error("there is no action {0}")]
    UnknownAction(String),
    /// The payload is no object.
    #[error("the payload is no object")]
    NoObject,
    /// A required member is absent.
    #[error("{0} is missing")]
    Missing(String),
    /// The schema has no such member.
    #[error("{0} is no member")]
    Unknown(String),
    /// The JSON type is wrong.
    #[error("{0} has the wrong type")]
    Type(String),
    /// A text is too long, no word of the list, or no date; a number is too large.
    #[error("{0} has a value that is not allowed")]
    Value(String),
}

impl Violation {
    /// The error code of OCPP 1.6, in its own spelling.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownAction(_) => "NotImplemented",
            Self::Missing(_) => "OccurenceConstraintViolation",
            Self::NoObject | Self::Type(_) => "TypeConstraintViolation",
            Self::Unknown(_) => "FormationViolation",
            Self::Value(_) => "PropertyConstraintViolation",
        }
    }
}

/// Checks a CALL of the central system.
///
/// # Errors
/// Returns the first departure from the schema.
pub fn check_call(action: &str, payload: &Value) -> Result<(), Violation> {
    check(calls::CALLS, action, payload)
}

/// Checks the answer of the central system to a CALL of the charger.
///
/// # Errors
/// Returns the first departure from the schema.
pub fn check_answer(action: &str, payload: &Value) -> Result<(), Violation> {
    check(answers::ANSWERS, action, payload)
}

fn check(payloads: &'static [(&str, &[Member])], action: &str, payload: &Value) -> Result<(), Violation> {
    let known = payloads.iter().find(|(known, _)| *known == action);
    let (_, members) = known.ok_or_else(|| Violation::UnknownAction(action.to_owned()))?;
    check_object(members, payload.as_object().ok_or(Violation::NoObject)?, "")
}

fn check_object(members: &'static [Member], object: &Map<String, Value>, at: &str) -> Result<(), Violation> {
    for member in members {
        match object.get(member.name) {
            Some(value) => check_value(&member.kind, value, &format!("{at}{}", member.name))?,
            None if member.required => return Err(Violation::Missing(format!("{at}{}", member.name))),
            None => {}
        }
    }
    let unknown = object.keys().find(|name| members.iter().all(|member| member.name != name.as_str()));
    unknown.map_or(Ok(()), |name| Err(Violation::Unknown(format!("{at}{name}"))))
}

fn check_value(kind: &'static Kind, value: &Value, at: &str) -> Result<(), Violation> {
    let wrong_type = || Violation::Type(at.to_owned());
    let text = || value.as_str().ok_or_else(wrong_type);
    let allowed = match kind {
        Kind::Text(limit) => text()?.chars().count() <= *limit,
        Kind::Date => OffsetDateTime::parse(text()?, &Rfc3339).is_ok(),
        Kind::OneOf(words) => words.contains(&text()?),
        Kind::Number => value.is_number().then_some(true).ok_or_else(wrong_type)?,
        Kind::Integer if value.is_u64() => value.as_u64().is_some_and(|number| i32::try_from(number).is_ok()),
        Kind::Integer => i32::try_from(value.as_i64().ok_or_else(wrong_type)?).is_ok(),
        Kind::Object(members) => {
            check_object(members, value.as_object().ok_or_else(wrong_type)?, &format!("{at}."))?;
            true
        }
        Kind::List(kind) => {
            for (index, value) in value.as_array().ok_or_else(wrong_type)?.iter().enumerate() {
                check_value(kind, value, &format!("{at}[{index}]"))?;
            }
            true
        }
    };
    if allowed { Ok(()) } else { Err(Violation::Value(at.to_owned())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_departure_has_its_error_code() {
        for (action, payload, code) in [
            ("Reboot", json!({}), "NotImplemented"),
            ("Reset", json!([]), "TypeConstraintViolation"),
            ("Reset", json!({}), "OccurenceConstraintViolation"),
            ("Reset", json!({"type": "Hard", "why": "x"}), "FormationViolation"),
            ("Reset", json!({"type": 1}), "TypeConstraintViolation"),
            ("Reset", json!({"type": "hard"}), "PropertyConstraintViolation"),
            (
                "RemoteStartTransaction",
                json!({"idTag": "123456789012345678901"}),
                "PropertyConstraintViolation",
            ),
            ("UnlockConnector", json!({"connectorId": 3_000_000_000_u32}), "PropertyConstraintViolation"),
            ("UnlockConnector", json!({"connectorId": 1.5}), "TypeConstraintViolation"),
            ("RemoteStartTransaction", json!({"idTag": "A", "connectorId": null}), "TypeConstraintViolation"),
        ] {
            assert_eq!(check_call(action, &payload).unwrap_err().code(), code, "{action} {payload}");
        }
    }

    #[test]
    fn the_place_of_a_departure_is_named() {
        let entry = json!({"idTag": "A", "idTagInfo": {"status": "Accepted", "expiryDate": "tomorrow"}});
        let list = json!({"listVersion": 1, "localAuthorizationList": [entry], "updateType": "Full"});
        let at = "localAuthorizationList[0].idTagInfo.expiryDate".to_owned();
        assert_eq!(check_call("SendLocalList", &list), Err(Violation::Value(at)));
    }

    #[test]
    fn the_answers_of_a_conforming_central_system_pass() {
        let boot = json!({"currentTime": "2026-11-29T03:00:00.000Z", "interval": 300, "status": "Accepted"});
        assert_eq!(check_answer("BootNotification", &boot), Ok(()));
        let start = json!({"idTagInfo": {"status": "Accepted"}, "transactionId": 7});
        assert_eq!(check_answer("StartTransaction", &start), Ok(()));
        assert!(check_answer("StartTransaction", &json!({"idTagInfo": {"status": "Accepted"}})).is_err());
    }
}
