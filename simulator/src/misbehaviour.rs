//! What a charger does wrong on demand. Each kind was seen on real chargers, or on real networks.

use std::str::FromStr;

use serde_json::Value;

/// One kind of misbehaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Answers no ping.
    NoPong,
    /// Answers each CALL of the central system late.
    LateAnswer,
    /// Sends each StartTransaction again after its answer, under another message id.
    DuplicateStart,
    /// Has a clock that stands in the year 2000, and takes no time from the central system.
    WrongClock,
    /// Cuts the connection, without closing it, after one in four of its transaction messages.
    Cut,
    /// Stops each transaction as -1.
    MinusOneStop,
    /// Sends 64 CALLs at once after each boot and at each start.
    Flood,
    /// Writes its timestamps without an offset.
    NoOffset,
    /// Writes numbers as texts.
    NumbersAsText,
    /// Writes `meterValue` as an object.
    MeterValueObject,
    /// Reads nothing any more once it has booted.
    HalfOpen,
}

/// A word that names no misbehaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no misbehaviour; there are {list}", list = words().join(", "))]
pub struct UnknownMisbehaviour(String);

const WORDS: &[(&str, Misbehaviour)] = &[
    ("no-pong", Misbehaviour::NoPong),
    ("late-answer", Misbehaviour::LateAnswer),
    ("duplicate-start", Misbehaviour::DuplicateStart),
    ("wrong-clock", Misbehaviour::WrongClock),
    ("cut", Misbehaviour::Cut),
    ("minus-one-stop", Misbehaviour::MinusOneStop),
    ("flood", Misbehaviour::Flood),
    ("no-offset", Misbehaviour::NoOffset),
    ("numbers-as-text", Misbehaviour::NumbersAsText),
    ("meter-value-object", Misbehaviour::MeterValueObject),
    ("half-open", Misbehaviour::HalfOpen),
];

fn words() -> Vec<&'static str> {
    WORDS.iter().map(|(word, _)| *word).collect()
}

impl FromStr for Misbehaviour {
    type Err = UnknownMisbehaviour;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, misbehaviour)| *misbehaviour).ok_or_else(|| UnknownMisbehaviour(word.to_owned()))
    }
}

/// Rewrites a payload as chargers with these misbehaviours write it.
#[must_use]
pub(crate) fn distorted(payload: String, misbehaviours: &[Misbehaviour]) -> String {
    let rewrites = misbehaviours.iter().filter(|each| {
        matches!(each, Misbehaviour::NoOffset | Misbehaviour::NumbersAsText | Misbehaviour::MeterValueObject)
    });
    let rewrites: Vec<_> = rewrites.collect();
    if rewrites.is_empty() {
        return payload;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(&payload) else { return payload };
    for misbehaviour in rewrites {
        rewrite(&mut value, *misbehaviour);
    }
    value.to_string()
}

fn rewrite(value: &mut Value, misbehaviour: Misbehaviour) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (misbehaviour, &*member) {
                    (Misbehaviour::NoOffset, Value::String(text)) if name == "timestamp" => {
                        *member = text.trim_end_matches('Z').into();
                    }
                    (Misbehaviour::MeterValueObject, Value::Array(list)) if name == "meterValue" => {
                        *member = list.first().cloned().unwrap_or_default();
                    }
                    _ => rewrite(member, misbehaviour),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| rewrite(element, misbehaviour)),
        Value::Number(number) if misbehaviour == Misbehaviour::NumbersAsText => {
            *value = number.to_string().into();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_a_misbehaviour_and_other_words_are_explained() {
        for word in words() {
            assert!(word.parse::<Misbehaviour>().is_ok(), "{word}");
        }
        assert!("rude".parse::<Misbehaviour>().unwrap_err().to_string().contains("half-open"));
    }

    #[test]
    fn a_payload_is_distorted_only_as_asked_for() {
        let payload = r#"{"connectorId":1,"meterValue":[{"timestamp":"2026-11-29T03:00:00.000Z"}]}"#;
        let distorted = |kinds: &[Misbehaviour]| distorted(payload.to_owned(), kinds);
        assert_eq!(distorted(&[Misbehaviour::Cut]), payload);
        assert!(distorted(&[Misbehaviour::NoOffset]).contains(r#""2026-11-29T03:00:00.000""#));
        assert!(distorted(&[Misbehaviour::NumbersAsText]).contains(r#""connectorId":"1""#));
        assert!(distorted(&[Misbehaviour::MeterValueObject]).contains(r#""meterValue":{"timestamp""#));
    }
}
