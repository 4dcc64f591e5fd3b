//! JSON values as Python shows them: for arguments and exceptions in events and results, for people to read.

use serde_json::{Map, Value};

/// Python's `repr` of the value.
pub fn repr(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(repr).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => format!("[{}]", all(values)),
        Value::Object(object) => {
            let members: Vec<String> =
                object.iter().map(|(name, value)| format!("{}: {}", quoted(name), repr(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// The length to which Celery cuts arguments.
const MAX_SHOWN: usize = 1024;

/// Positional arguments, as Python shows a tuple.
pub(super) fn arguments(args: &[Value]) -> String {
    let shown: Vec<String> = args.iter().map(repr).collect();
    match &shown[..] {
        [one] => short(&format!("({one},)")),
        several => short(&format!("({})", several.join(", "))),
    }
}

/// Named arguments, as Python shows a dictionary.
pub(super) fn names(kwargs: &Map<String, Value>) -> String {
    short(&repr(&Value::Object(kwargs.clone())))
}

fn short(shown: &str) -> String {
    match shown.get(..shown.floor_char_boundary(MAX_SHOWN)) {
        Some(start) if start.len() < shown.len() => format!("{start}..."),
        _ => shown.to_owned(),
    }
}

/// With double quotes only if that avoids an escape, as in Python.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            control if control.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(control))),
            same if same == quote => shown.extend(['\\', same]),
            other => shown.push(other),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_shown_as_python_shows_it() {
        for (value, shown) in [
            (json!([1, -2.5, null, true]), "[1, -2.5, None, True]"),
            (json!({"a": [], "b": {}}), "{'a': [], 'b': {}}"),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\"\n\\"), "'it\\'s \"so\"\\n\\\\'"),
            (json!("hé\u{1}"), "'hé\\x01'"),
        ] {
            assert_eq!(repr(&value), shown);
        }
    }
}
