//! Converts protocol 1 (everything in one JSON object, no headers) and the hybrid (headers next to such an object) to
//! protocol 2 on receipt. All later steps, such as publishing the message again, only deal with protocol 2.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{NotATask, body};
use crate::message::{Headers, MAX_HEADERS, Message, headers_size};
use crate::timestamp;

/// The fields of the object that become headers in protocol 2.
const HEADERS: [&str; 17] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "meth",
];

/// The same task as a message of protocol 2; `None` if it is one already, or is not a task.
///
/// # Errors
/// Returns an error if it cannot be read, or has a time in a time zone that it does not name.
pub fn upgrade(message: &Message) -> Result<Option<Message>, NotATask> {
    if !body::may_be_object(message) {
        return Ok(None);
    }
    let Value::Object(mut fields) = body::read(message).map_err(NotATask::Undecodable)? else {
        return Ok(None);
    };
    let hybrid = message.headers.contains_key("task");
    let is_task =
        if hybrid { fields.contains_key("args") } else { fields.get("task").is_some_and(Value::is_string) };
    if !is_task {
        return Ok(None);
    }
    refuse_local_time(&fields)?;
    let mut part = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let (args, kwargs) = (part("args").unwrap_or(json!([])), part("kwargs").unwrap_or(json!({})));
    let embed = json!({
        "callbacks": part("callbacks"), "errbacks": part("errbacks"), "chain": null, "chord": part("chord"),
    });
    if let Some(taskset) = part("taskset") {
        fields.insert("group".to_owned(), taskset);
    }
    let mut upgraded = Message { headers: headers(fields), ..message.clone() };
    upgraded.headers.extend(message.headers.clone());
    upgraded.headers.remove("compression");
    if headers_size(&upgraded.headers) > MAX_HEADERS {
        // The size of headers is limited, that of a body is not: the message could never be published again.
        return Err(NotATask::Undecodable("its fields are too large to become headers".to_owned()));
    }
    upgraded.properties.content_type = Some("application/json".to_owned());
    upgraded.properties.content_encoding = Some("utf-8".to_owned());
    upgraded.body = Bytes::from(json!([args, kwargs, embed]).to_string());
    Ok(Some(upgraded))
}

fn headers(fields: Map<String, Value>) -> Headers {
    fields.into_iter().filter(|(name, _)| HEADERS.contains(&name.as_str())).collect()
}

/// With `utc: false` and no offset, a time is local to a machine that is not known here.
fn refuse_local_time(fields: &Map<String, Value>) -> Result<(), NotATask> {
    let problem = "is in a time zone that it does not name (`utc` is false)";
    let local = |header: &str| fields.get(header).and_then(Value::as_str).is_some_and(timestamp::is_naive);
    match ["eta", "expires"].into_iter().find(|header| local(header)) {
        Some(header) if fields.get("utc") == Some(&json!(false)) => {
            Err(NotATask::BadMoment { header, problem })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TaskRequest;
    use super::*;

    fn message(headers: &Value, body: &Value) -> Message {
        let headers = headers.as_object().unwrap().clone();
        Message { headers, body: Bytes::from(body.to_string()), ..Message::default() }
    }

    /// As written by Celery 5.7 with `task_protocol = 1`.
    fn old() -> Value {
        json!({
            "task": "t.add", "id": "1", "args": [{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}],
            "kwargs": {"b": 2}, "group": null, "group_index": null, "retries": 3, "eta": "2026-11-21T07:32:15",
            "expires": null, "utc": true, "callbacks": null, "errbacks": [{"task": "t.err"}],
            "timelimit": [30, null], "taskset": "g", "chord": null,
        })
    }

    #[test]
    fn protocol_1_is_read_and_becomes_protocol_2_once() {
        let old = message(&json!({"traceparent": "00-1"}), &old());
        let new = upgrade(&old).unwrap().unwrap();
        assert_eq!(upgrade(&new), Ok(None));
        let request = TaskRequest::decode(&old).unwrap();
        assert_eq!(TaskRequest::decode(&new).as_ref(), Ok(&request));
        assert_eq!((request.id.as_str(), request.retries, request.group.as_deref()), ("1", 3, Some("g")));
        assert_eq!(request.args, [json!("12345678-1234-5678-1234-567812345678")]);
        assert!(request.eta.is_some() && request.errbacks[0].task == "t.err");
        assert_eq!(new.headers["traceparent"], "00-1");
    }

    #[test]
    fn headers_of_the_hybrid_win_over_its_body() {
        let hybrid = message(&json!({"task": "t.new", "id": "2", "retries": 1}), &old());
        let request = TaskRequest::decode(&hybrid).unwrap();
        assert_eq!((request.name.as_str(), request.id.as_str(), request.retries), ("t.new", "2", 1));
        assert_eq!(request.kwargs["b"], 2);
        let no_args = message(&json!({"task": "t.new", "id": "2"}), &json!({"kwargs": {}}));
        assert!(matches!(TaskRequest::decode(&no_args), Err(NotATask::Undecodable(_))));
    }

    #[test]
    fn a_compressed_one_is_read_too() {
        let mut compressed = message(&json!({"compression": "zstd"}), &old());
        compressed.body = Bytes::from(zstd::encode_all(&compressed.body[..], 3).unwrap());
        let new = upgrade(&compressed).unwrap().unwrap();
        assert!(!new.headers.contains_key("compression"));
        assert_eq!(TaskRequest::decode(&new).unwrap().retries, 3);
    }

    #[test]
    fn local_time_of_a_strange_machine_is_refused() {
        let with = |name: &str, value: Value| {
            let mut body = old();
            body["utc"] = json!(false);
            body[name] = value;
            TaskRequest::decode(&message(&json!({}), &body))
        };
        assert!(matches!(with("retries", json!(0)), Err(NotATask::BadMoment { header: "eta", .. })));
        assert!(with("eta", json!("2026-11-21T07:32:15+02:00")).is_ok());
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let nan =
            Message { body: Bytes::from(r#"{"task": "t", "id": "1", "args": [NaN]}"#), ..Message::default() };
        assert!(TaskRequest::decode(&nan).unwrap_err().to_string().contains("NaN"));
        let chord = message(&json!({}), &json!({"task": "t", "id": "1", "chord": {"task": "t.sum"}}));
        assert_eq!(TaskRequest::decode(&chord).unwrap().chord.unwrap().task, "t.sum");
        assert_eq!(TaskRequest::decode(&message(&json!({}), &json!({"task": "t"}))), Err(NotATask::Foreign));
        let odd = message(&json!({}), &json!({"task": "t", "id": "1", "args": {}}));
        assert!(matches!(TaskRequest::decode(&odd), Err(NotATask::Undecodable(_))));
    }
}
