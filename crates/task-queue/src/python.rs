//! Values as Python prints them, for events and for answers to remote control. Each is cut to the length that an event
//! should carry.

use serde_json::Value;

use crate::protocol::repr;

const MAX_CHARS: usize = 1024;

/// Python's `repr` of a value.
pub(crate) fn short_repr(value: &Value) -> String {
    shortened(repr(value))
}

/// Arguments as Celery's `argsrepr` writes them: as a tuple.
pub(crate) fn tuple_repr(values: &[Value]) -> String {
    match values {
        [only] => shortened(format!("({},)", repr(only))),
        values => shortened(format!("({})", joined(values.iter().map(repr)))),
    }
}

/// Python's `repr` of a set of texts.
pub(crate) fn set_repr<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items = joined(items.map(quoted));
    if items.is_empty() { "set()".to_owned() } else { format!("{{{items}}}") }
}

/// Python's `repr` of a text.
pub(crate) fn quoted(text: &str) -> String {
    repr(&Value::from(text))
}

/// The text, cut if it is too long.
pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tuples_and_sets_look_as_in_python_and_nothing_is_endless() {
        assert_eq!((tuple_repr(&[]), tuple_repr(&[json!(1)])), ("()".to_owned(), "(1,)".to_owned()));
        assert_eq!(tuple_repr(&[json!("a"), json!(null)]), "('a', None)");
        assert_eq!((set_repr(["a"].into_iter()), set_repr([].into_iter())), ("{'a'}".into(), "set()".into()));
        assert_eq!(short_repr(&json!("é".repeat(2000))).chars().count(), MAX_CHARS + 3);
    }
}
