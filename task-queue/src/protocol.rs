//! Celery's message protocol, version 2, as Celery 5.3 to 5.7 send and read it: what a task looks like on the wire.

mod typed_json;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::message::{Headers, Message, Properties};

/// A task to be published.
#[derive(Debug, Clone)]
pub struct TaskMessage {
    /// The name that workers know it by.
    pub name: &'static str,
    /// A UUID; a retry and a replay keep it.
    pub id: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The arguments as people may see them, in Flower for instance: no personal data, no secrets.
    pub argsrepr: String,
    /// Further headers, such as `traceparent`.
    pub headers: Headers,
}

/// A task that was taken from a queue.
#[derive(Debug, Clone)]
pub struct TaskRequest {
    /// The task's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Positional arguments, typed JSON resolved.
    pub args: Vec<Value>,
    /// Named arguments, typed JSON resolved.
    pub kwargs: Map<String, Value>,
    /// How often it was published again already.
    pub retries: u32,
}

/// Why a message is not a task that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATask {
    /// It carries no task name and id: somebody else's message.
    #[error("it has no `task` and `id` headers, so it is not a Celery task of protocol 2")]
    Foreign,
    /// Its body cannot be read.
    #[error("its body cannot be decoded: {0}")]
    Undecodable(String),
}

/// Who publishes: Celery's `origin` and `reply_to`.
#[derive(Debug, Clone)]
pub struct Origin {
    name: String,
    reply_to: String,
}

impl Origin {
    /// This process on this host.
    pub fn new() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
        Self { name: format!("gen{}@{host}", std::process::id()), reply_to: uuid::Uuid::new_v4().to_string() }
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskMessage {
    /// The message on the wire, with the nineteen headers that a Celery client sends.
    pub fn encode(&self, origin: &Origin) -> Message {
        let mut headers = self.headers.clone();
        let celery = json!({
            "lang": "py", "task": self.name, "id": self.id, "shadow": null, "eta": null, "expires": null,
            "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": self.id,
            "parent_id": null, "argsrepr": self.argsrepr, "kwargsrepr": "{}", "origin": origin.name,
            "ignore_result": true, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
        });
        if let Value::Object(celery) = celery {
            headers.extend(celery);
        }
        let embed = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
        let properties = Properties {
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            correlation_id: Some(self.id.clone()),
            reply_to: Some(origin.reply_to.clone()),
            priority: Some(0),
            ..Properties::default()
        };
        let body = Bytes::from(json!([self.args, {}, embed]).to_string());
        Message { properties, headers, body }
    }
}

impl TaskRequest {
    /// Reads a message as a task.
    ///
    /// # Errors
    /// [`NotATask`]: the message belongs among the dead letters.
    pub fn decode(message: &Message) -> Result<Self, NotATask> {
        let (Some(name), Some(id)) = (message.text_header("task"), message.text_header("id")) else {
            return Err(NotATask::Foreign);
        };
        let retries = message.number_header("retries").and_then(|number| u32::try_from(number).ok());
        let (args, kwargs) = decode_body(message)?;
        Ok(Self { id: id.to_owned(), name: name.to_owned(), args, kwargs, retries: retries.unwrap_or(0) })
    }

    /// The arguments by name, as Python would bind them to a function with these parameters.
    ///
    /// # Errors
    /// Too many, too few, given twice, or unknown: the text says which.
    pub fn bind(self, parameters: &[&str]) -> Result<Value, String> {
        if self.args.len() > parameters.len() {
            return Err(format!("takes {} arguments but {} were given", parameters.len(), self.args.len()));
        }
        let mut bound: Map<String, Value> =
            parameters.iter().map(|name| (*name).to_owned()).zip(self.args).collect();
        for (name, value) in self.kwargs {
            if !parameters.contains(&name.as_str()) {
                return Err(format!("got an unexpected argument `{name}`"));
            }
            if bound.insert(name.clone(), value).is_some() {
                return Err(format!("got more than one value for argument `{name}`"));
            }
        }
        match parameters.iter().find(|name| !bound.contains_key(**name)) {
            Some(missing) => Err(format!("misses the argument `{missing}`")),
            None => Ok(Value::Object(bound)),
        }
    }
}

fn decode_body(message: &Message) -> Result<(Vec<Value>, Map<String, Value>), NotATask> {
    let undecodable = |why: String| NotATask::Undecodable(why);
    if let Some(other) = message.properties.content_type.as_deref().filter(|kind| !is_json(kind)) {
        return Err(undecodable(format!("content type {other} is not application/json")));
    }
    if let Some(compression) = message.text_header("compression") {
        return Err(undecodable(format!("compression {compression} is not supported")));
    }
    let body: Value =
        serde_json::from_slice(&message.body).map_err(|error| undecodable(error.to_string()))?;
    let Value::Array(parts) = body else {
        return Err(undecodable("it is not a list of arguments, named arguments and options".to_owned()));
    };
    let mut parts = parts.into_iter();
    let (Some(Value::Array(args)), Some(Value::Object(kwargs))) = (parts.next(), parts.next()) else {
        return Err(undecodable("it does not begin with a list and an object of arguments".to_owned()));
    };
    let args: Result<Vec<Value>, String> = args.into_iter().map(typed_json::resolve).collect();
    let kwargs: Result<Map<String, Value>, String> =
        kwargs.into_iter().map(|(name, value)| Ok((name, typed_json::resolve(value)?))).collect();
    Ok((args.map_err(undecodable)?, kwargs.map_err(undecodable)?))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(headers: Value, body: &str) -> Message {
        let Value::Object(headers) = headers else { panic!("headers are an object") };
        let properties =
            Properties { content_type: Some("application/json".to_owned()), ..Properties::default() };
        Message { properties, headers, body: Bytes::from(body.to_owned()) }
    }

    fn task() -> Value {
        json!({"task": "t.add", "id": "1", "retries": 2})
    }

    #[test]
    fn what_a_python_client_publishes_is_read() {
        let body = r#"[[{"__type__":"uuid","__value__":{"hex":"12345678123456781234567812345678"}},"token","http://x/cb",1795246192094754391],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#;
        let request = TaskRequest::decode(&message(task(), body)).unwrap();
        assert_eq!((request.name.as_str(), request.id.as_str(), request.retries), ("t.add", "1", 2));
        let bound = request.bind(&["station_id", "driver_token", "callback_url", "expiry_time_ns"]).unwrap();
        assert_eq!(
            bound,
            json!({"station_id": "12345678-1234-5678-1234-567812345678", "driver_token": "token",
                   "callback_url": "http://x/cb", "expiry_time_ns": 1_795_246_192_094_754_391_u64})
        );
    }

    #[test]
    fn what_is_published_is_read_back() {
        let task = TaskMessage {
            name: "t.add",
            id: "0190-1".to_owned(),
            args: vec![json!(1), json!("two")],
            argsrepr: "(1, '****')".to_owned(),
            headers: Headers::from_iter([("traceparent".to_owned(), json!("00-1-2-01"))]),
        };
        let message = task.encode(&Origin::new());
        assert_eq!(message.headers.len(), 20, "Celery's nineteen and one of ours");
        assert_eq!(message.properties.correlation_id.as_deref(), Some("0190-1"));
        let request = TaskRequest::decode(&message).unwrap();
        assert_eq!((request.args, request.retries), (vec![json!(1), json!("two")], 0));
    }

    #[test]
    fn named_arguments_are_bound_as_python_does() {
        let bind = |args: Value, kwargs: Value| {
            TaskRequest::decode(&message(task(), &json!([args, kwargs, {}]).to_string()))
                .unwrap()
                .bind(&["a", "b"])
        };
        assert_eq!(bind(json!([1]), json!({"b": 2})), Ok(json!({"a": 1, "b": 2})));
        assert!(bind(json!([1, 2, 3]), json!({})).unwrap_err().contains("takes 2 arguments but 3"));
        assert!(
            bind(json!([1]), json!({"a": 2})).unwrap_err().contains("more than one value for argument `a`")
        );
        assert!(bind(json!([1, 2]), json!({"c": 2})).unwrap_err().contains("unexpected argument `c`"));
        assert!(bind(json!([1]), json!({})).unwrap_err().contains("misses the argument `b`"));
    }

    #[test]
    fn a_message_without_name_or_id_is_somebody_elses() {
        assert_eq!(
            TaskRequest::decode(&message(json!({"task": "t.add"}), "[]")).unwrap_err(),
            NotATask::Foreign
        );
        assert_eq!(TaskRequest::decode(&message(json!({}), "hello")).unwrap_err(), NotATask::Foreign);
    }

    #[test]
    fn a_body_that_cannot_be_read_says_why() {
        for body in
            ["", "hello", "{}", "[]", "[1,2,3]", "[[NaN],{},{}]", "[[Infinity],{},{}]", "[{},[]]", "\u{0}"]
        {
            let error = TaskRequest::decode(&message(task(), body)).unwrap_err();
            assert!(matches!(error, NotATask::Undecodable(_)), "{body}: {error}");
        }
        let mut pickled = message(task(), "x");
        pickled.properties.content_type = Some("application/x-python-serialize".to_owned());
        assert!(TaskRequest::decode(&pickled).unwrap_err().to_string().contains("x-python-serialize"));
        let mut compressed = message(task(), "[[],{},{}]");
        compressed.headers.insert("compression".to_owned(), json!("application/x-gzip"));
        assert!(TaskRequest::decode(&compressed).unwrap_err().to_string().contains("compression"));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[\\[\\]{}\",:0-9eE.a-zN_-]{0,60}") {
            let _ = TaskRequest::decode(&message(task(), &body));
        }
    }
}
