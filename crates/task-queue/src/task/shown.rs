//! A task's arguments as shown in events and in answers to remote control.

use serde_json::{Map, Value};

use super::TaskDeclaration;
use crate::protocol::TaskRequest;
use crate::python::{short_repr, shortened, tuple_repr};

const MASK: &str = "****";

/// The arguments, with masked values replaced.
#[derive(Debug)]
pub(crate) struct ShownArguments {
    pub(crate) args: Vec<Value>,
    pub(crate) kwargs: Map<String, Value>,
    /// As the client wrote them, unless a parameter is masked: the client's text may contain its value.
    pub(crate) argsrepr: String,
    pub(crate) kwargsrepr: String,
}

impl ShownArguments {
    pub(crate) fn of(request: &TaskRequest, declared: &TaskDeclaration) -> Self {
        let masked = |name: &str| declared.masked.contains(&name);
        let (mut args, mut kwargs) = (request.args.clone(), request.kwargs.clone());
        for (index, value) in args.iter_mut().enumerate() {
            // There are more arguments than parameters, so any of these may be a masked one.
            let unknown = !declared.masked.is_empty();
            if declared.parameters.get(index).map_or(unknown, |name| masked(name)) {
                *value = MASK.into();
            }
        }
        for (_, value) in kwargs.iter_mut().filter(|(name, _)| masked(name)) {
            *value = MASK.into();
        }
        let written =
            |text: &Option<String>| text.clone().filter(|_| declared.masked.is_empty()).map(shortened);
        let argsrepr = written(&request.argsrepr).unwrap_or_else(|| tuple_repr(&args));
        let kwargsrepr =
            written(&request.kwargsrepr).unwrap_or_else(|| short_repr(&Value::Object(kwargs.clone())));
        Self { args, kwargs, argsrepr, kwargsrepr }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::{Headers, Message};

    fn request(args: &Value, kwargs: &Value) -> TaskRequest {
        let headers =
            json!({"task": "t", "id": "1", "argsrepr": "('secret',)", "kwargsrepr": "{'token': 'secret'}"});
        let headers: Headers = serde_json::from_value(headers).unwrap();
        let body = json!([args, kwargs, {}]).to_string();
        TaskRequest::decode(&Message { headers, body: body.into(), ..Message::default() }).unwrap()
    }

    #[test]
    fn a_masked_argument_is_hidden_by_place_by_name_and_in_argsrepr() {
        let declared =
            TaskDeclaration { parameters: &["id", "token"], masked: &["token"], ..TaskDeclaration::UNKNOWN };
        for (args, kwargs, argsrepr) in [
            (json!([7, "secret"]), json!({}), "(7, '****')"),
            (json!([7]), json!({"token": "secret"}), "(7,)"),
            (json!([7, "secret", "secret"]), json!({}), "(7, '****', '****')"),
        ] {
            let shown = ShownArguments::of(&request(&args, &kwargs), &declared);
            assert_eq!(shown.argsrepr, argsrepr);
            assert!(!format!("{shown:?}").contains("secret"), "{shown:?}");
        }
    }

    #[test]
    fn other_arguments_are_seen_as_the_client_wrote_them() {
        let shown = ShownArguments::of(&request(&json!([1]), &json!({})), &TaskDeclaration::UNKNOWN);
        assert_eq!((shown.argsrepr.as_str(), shown.args), ("('secret',)", vec![json!(1)]));
    }
}
