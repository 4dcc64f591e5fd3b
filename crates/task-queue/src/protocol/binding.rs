//! Binds arguments to parameters as Python does: by position, by name, with defaults, and with the rest collected.
//!
//! Parameters are written as in Python. `"x"` is required. `"z="` is optional; its default is up to the type that is
//! deserialized, with `#[serde(default)]`. `"*args"` collects the remaining positional arguments, and the parameters
//! after it are bound by name only. `"**kwargs"` collects the remaining named arguments.

use serde_json::{Map, Value};

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter<'a> {
    Required(&'a str),
    Optional(&'a str),
    Places(&'a str),
    Names(&'a str),
}

impl<'a> Parameter<'a> {
    fn read(written: &'a str) -> Self {
        match (written.strip_prefix("**"), written.strip_prefix('*'), written.strip_suffix('=')) {
            (Some(name), _, _) => Self::Names(name),
            (_, Some(name), _) => Self::Places(name),
            (_, _, Some(name)) => Self::Optional(name),
            _ => Self::Required(written),
        }
    }
}

/// The parameters that can be bound by position, in order.
pub(crate) fn by_place<'a>(parameters: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let named = parameters.iter().map(|written| Parameter::read(written)).map(|parameter| match parameter {
        Parameter::Required(name) | Parameter::Optional(name) => Some(name),
        Parameter::Places(_) | Parameter::Names(_) => None,
    });
    named.map_while(|name| name)
}

/// Returns the arguments by parameter name.
///
/// # Errors
/// Returns an error that says so if arguments are too many, too few, passed twice or unknown.
pub(crate) fn bind(
    parameters: &[&str],
    args: &[Value],
    kwargs: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let read: Vec<Parameter<'_>> = parameters.iter().map(|written| Parameter::read(written)).collect();
    let mut bound: Map<String, Value> =
        by_place(parameters).map(str::to_owned).zip(args.iter().cloned()).collect();
    let left = args.get(bound.len()..).unwrap_or_default();
    match read
        .iter()
        .find_map(|parameter| if let Parameter::Places(name) = parameter { Some(*name) } else { None })
    {
        Some(name) => drop(bound.insert(name.to_owned(), Value::from(left))),
        None if left.is_empty() => {}
        None => return Err(format!("takes {} arguments but {} were given", bound.len(), args.len())),
    }
    let mut others = Map::new();
    for (name, value) in kwargs {
        let known = read.contains(&Parameter::Required(name)) || read.contains(&Parameter::Optional(name));
        match bound.get(name) {
            _ if !known => drop(others.insert(name.clone(), value.clone())),
            Some(_) => return Err(format!("got more than one value for argument `{name}`")),
            None => drop(bound.insert(name.clone(), value.clone())),
        }
    }
    match (read.last(), others.keys().next()) {
        (Some(Parameter::Names(name)), _) => drop(bound.insert((*name).to_owned(), Value::Object(others))),
        (_, Some(unknown)) => return Err(format!("got an unexpected argument `{unknown:.64}`")),
        (_, None) => {}
    }
    let missing = |parameter: &&Parameter<'_>| matches!(parameter, Parameter::Required(name) if !bound.contains_key(*name));
    match read.iter().find(missing) {
        Some(Parameter::Required(name)) => Err(format!("misses the argument `{name}`")),
        _ => Ok(bound),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bound(parameters: &[&str], args: Value, kwargs: Value) -> Result<Value, String> {
        let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else { panic!("no arguments") };
        bind(parameters, &args, &kwargs).map(Value::Object)
    }

    #[test]
    fn what_may_be_missing_may_be_missing() {
        let add = ["x", "y", "z="];
        assert_eq!(bound(&add, json!([1, 2]), json!({})), Ok(json!({"x": 1, "y": 2})));
        assert_eq!(bound(&add, json!([1, 2, 3]), json!({})), Ok(json!({"x": 1, "y": 2, "z": 3})));
        assert_eq!(bound(&add, json!([1]), json!({"z": 3, "y": 2})), Ok(json!({"x": 1, "y": 2, "z": 3})));
        assert!(bound(&add, json!([1]), json!({"z": 3})).unwrap_err().contains("misses the argument `y`"));
        assert!(bound(&add, json!([1, 2, 3, 4]), json!({})).unwrap_err().contains("takes 3 arguments but 4"));
    }

    #[test]
    fn what_is_left_is_collected() {
        let all = ["first", "*args", "limit=", "**options"];
        let expected = json!({"first": 1, "args": [2, 3], "limit": 4, "options": {"other": 5}});
        assert_eq!(bound(&all, json!([1, 2, 3]), json!({"limit": 4, "other": 5})), Ok(expected));
        assert_eq!(bound(&["*args"], json!([]), json!({})), Ok(json!({"args": []})));
        assert!(bound(&["*args"], json!([]), json!({"args": 1})).is_err());
    }
}
