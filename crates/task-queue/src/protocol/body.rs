//! Parses a body as JSON, or returns the reason why it is not JSON.

use serde_json::Value;

use super::compression;
use crate::message::Message;

/// Some programs put this before a UTF-8 text. It is not part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The body as JSON, with typed markers unresolved.
///
/// # Errors
/// Returns the reason if it cannot be read, without quoting the body.
pub(super) fn read(message: &Message) -> Result<Value, String> {
    if let Some(other) = message.properties.content_type.as_deref().filter(|kind| !is_json(kind)) {
        return Err(format!("content type {other:.64} is not application/json"));
    }
    let text = compression::plain(message)?;
    let encoding = message.properties.content_encoding.as_deref();
    // Celery's workers refuse the mark, but it does not change the meaning.
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let value = serde_json::from_slice(text).map_err(|error| explain(text, &error, encoding))?;
    match too_large_integer(text) {
        None => Ok(value),
        Some(digits) => Err(format!("an integer of {digits} digits does not fit into 64 bits")),
    }
}

/// Whether it is JSON and may be an object, without reading it all. A byte order mark may precede it.
pub(super) fn may_be_object(message: &Message) -> bool {
    message.properties.content_type.as_deref().is_none_or(is_json)
        && compression::first_byte(message) == Some(b'{')
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// JSON is read as UTF-8 whatever the content encoding says, as by kombu: celery-ts labels plain zlib as `base64`. The
/// encoding is only mentioned if the body is not JSON.
fn is_utf8(encoding: &str) -> bool {
    ["", "utf-8", "utf8", "us-ascii", "ascii", "binary"]
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name))
}

fn explain(text: &[u8], error: &serde_json::Error, encoding: Option<&str>) -> String {
    let why = explain_json(text, error);
    match encoding.filter(|name| !is_utf8(name)) {
        Some(other) => format!("{why} (read as UTF-8; its content encoding is {other:.64})"),
        None => why,
    }
}

/// Python writes numbers that JSON does not have, unpaired surrogates, and lists of any depth. serde's messages do not
/// name these causes.
fn explain_json(text: &[u8], error: &serde_json::Error) -> String {
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let name = ["NaN", "Infinity"].into_iter().find(|name| at.starts_with(name.as_bytes()));
    let (said, column) = (error.to_string(), error.column());
    match name {
        Some(name) => format!("{name} is not a JSON number, at column {column}"),
        None if said.contains("surrogate") || said.contains("end of hex escape") => {
            format!("half of a surrogate pair is not a character, at column {column}")
        }
        None if said.contains("recursion limit") => {
            format!("lists and objects are nested deeper than 127 levels, at column {column}")
        }
        None => said,
    }
}

/// The number of digits of the first integer that does not fit into 64 bits: serde_json would turn it into a float,
/// which is a different number. The text is valid JSON.
fn too_large_integer(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            b'-' | b'0'..=b'9' => {
                let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = rest.iter().take_while(|byte| part(byte)).count();
                let (number, after) = rest.split_at(length);
                if is_too_large(number) {
                    return Some(number.iter().filter(|byte| byte.is_ascii_digit()).count());
                }
                after
            }
            _ => after,
        };
    }
    None
}

fn is_too_large(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    !text.contains(['.', 'e', 'E']) && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn body(text: &str) -> Message {
        Message { body: Bytes::from(text.to_owned()), ..Message::default() }
    }

    #[test]
    fn a_number_that_cannot_be_kept_is_refused_by_name() {
        for (text, reason) in [
            ("[[1, NaN], {}, {}]", "NaN is not a JSON number, at column 6"),
            ("[[\n Infinity], {}, {}]", "Infinity is not a JSON number, at column 2"),
            ("[[-Infinity], {}, {}]", "Infinity is not a JSON number"),
            ("[[1e400], {}, {}]", "number out of range"),
            ("[[18446744073709551616], {}]", "an integer of 20 digits does not fit into 64 bits"),
            ("[[-9223372036854775809], {}]", "an integer of 19 digits does not fit into 64 bits"),
        ] {
            let why = read(&body(text)).unwrap_err();
            assert!(why.contains(reason), "{text}: {why}");
        }
        let huge = format!("[{}]", "9".repeat(5000));
        assert!(read(&body(&huge)).is_err());
    }

    #[test]
    fn a_number_that_can_be_kept_is() {
        let text =
            r#"["\"99999999999999999999", 18446744073709551615, -9223372036854775808, 1e300, 0.1, -0]"#;
        let value = read(&body(text)).unwrap();
        assert_eq!((&value[1], &value[2]), (&json!(u64::MAX), &json!(i64::MIN)));
        assert_eq!((&value[3], &value[4]), (&json!(1e300), &json!(0.1)));
    }

    #[test]
    fn json_is_read_whatever_its_content_encoding_says() {
        for encoding in ["base64", "utf-16", "gzip", "application/x-gzip", "latin-1", "", "UTF-8", "Binary"] {
            let mut message = body(r#"["é"]"#);
            message.properties.content_encoding = Some(encoding.to_owned());
            assert_eq!(read(&message), Ok(json!(["é"])), "{encoding}");
        }
    }

    #[test]
    fn errors_name_another_content_type_or_encoding() {
        let mut message = body("[\0]\0");
        message.properties.content_encoding = Some("utf-16".to_owned());
        assert!(read(&message).unwrap_err().contains("utf-16"));
        message = body("[]");
        message.properties.content_type = Some("application/x-yaml".to_owned());
        assert!(read(&message).unwrap_err().contains("application/x-yaml"));
        message.properties.content_type = Some("Application/JSON; charset=utf-8".to_owned());
        message.properties.content_encoding = Some("UTF-8".to_owned());
        assert_eq!(read(&message), Ok(json!([])));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_body() {
        assert_eq!(read(&body("\u{feff}[[1], {}, {}]")), Ok(json!([[1], {}, {}])));
        assert!(may_be_object(&body("\u{feff} {}")) && !may_be_object(&body("\u{feff}[]")));
        assert!(read(&body("\u{feff}\u{feff}[]")).is_err());
    }

    #[test]
    fn unpaired_surrogates_and_more_than_127_levels_are_refused() {
        let nested = |levels: usize| body(&("[".repeat(levels) + &"]".repeat(levels)));
        assert!(read(&nested(127)).is_ok());
        assert!(read(&nested(128)).unwrap_err().contains("deeper than 127 levels"));
        for half in ["\\ud83d", "\\udd0c", "\\ud83d\\ud83d"] {
            let why = read(&body(&format!("[\"{half}\"]"))).unwrap_err();
            assert!(why.contains("half of a surrogate pair"), "{half}: {why}");
        }
        assert_eq!(read(&body("[\"\\ud83d\\udd0c\"]")), Ok(json!(["🔌"])));
    }

    proptest! {
        #[test]
        fn every_number_that_is_read_is_the_one_that_was_written(
            numbers in prop::collection::vec(any::<i128>(), 0..5),
            floats in prop::collection::vec(-1e300..1e300f64, 0..5),
        ) {
            let text = format!("[{numbers:?}, {}]", json!(floats));
            let fits = |number: &i128| i64::try_from(*number).is_ok() || u64::try_from(*number).is_ok();
            match read(&body(&text)) {
                Ok(value) => {
                    prop_assert!(numbers.iter().all(fits));
                    prop_assert_eq!(serde_json::from_value::<Vec<f64>>(value[1].clone()).unwrap(), floats);
                }
                Err(_) => prop_assert!(!numbers.iter().all(fits)),
            }
        }
    }
}
