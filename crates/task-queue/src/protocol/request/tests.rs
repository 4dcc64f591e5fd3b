//! What is read from a message, and what is refused.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::message::Properties;

fn message(headers: Value, body: &str) -> Message {
    let Value::Object(headers) = headers else { panic!("headers are an object") };
    let properties =
        Properties { content_type: Some("application/json".to_owned()), ..Properties::default() };
    Message { properties, headers, body: Bytes::from(body.to_owned()) }
}

fn task() -> Value {
    json!({"task": "t.add", "id": "1", "retries": 2})
}

fn with(headers: &Value) -> Result<TaskRequest, NotATask> {
    let mut all = task();
    all.as_object_mut().unwrap().extend(headers.as_object().unwrap().clone());
    TaskRequest::decode(&message(all, "[[], {}, {}]"))
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
fn all_that_a_worker_must_know_is_read() {
    let request = with(&json!({
        "shadow": "shown", "eta": "2026-11-21T07:32:15+00:00", "expires": "2026-11-21T08:32:15Z",
        "group": "g", "timelimit": [30, 2.5], "root_id": "r", "parent_id": "p", "argsrepr": "()",
        "origin": "gen1@host", "ignore_result": true, "stamped_headers": ["tenant"], "stamps": {"tenant": ["a"]},
    }));
    let request = request.unwrap();
    assert_eq!(request.shadow.as_deref(), Some("shown"));
    assert_eq!(request.expires.unwrap().since(request.eta.unwrap()), Duration::from_secs(3600));
    let limit = TimeLimit { soft: Some(Duration::from_millis(2500)), hard: Some(Duration::from_secs(30)) };
    assert_eq!((request.time_limit, request.ignore_result), (limit, Some(true)));
    assert_eq!(request.stamps["tenant"], json!(["a"]));
    let body = r#"[[], {}, {"callbacks": [{"task": "t.a"}], "errbacks": {"task": "t.b"}, "chain": [{"task": "t.c"}]}]"#;
    let request = TaskRequest::decode(&message(task(), body)).unwrap();
    assert_eq!(
        [&request.callbacks[0].task, &request.errbacks[0].task, &request.chain[0].task],
        ["t.a", "t.b", "t.c"]
    );
}

#[test]
fn headers_may_be_missing_or_odd() {
    let bare = TaskRequest::decode(&message(json!({"task": "t", "id": "1"}), "[[], {}]")).unwrap();
    assert_eq!((bare.retries, bare.eta, bare.ignore_result), (0, None, None));
    let odd = with(&json!({
        "retries": -1, "shadow": 5, "timelimit": "soon", "stamps": [1], "group": {}, "ignore_result": "no",
        "eta": "", "expires": null, "root_id": 1.5, "surprise": {"a": [null, true]},
    }));
    assert_eq!(odd.unwrap(), TaskRequest { retries: 0, ..with(&json!({})).unwrap() });
    assert_eq!(with(&json!({"timelimit": [-1, f64::MAX]})).unwrap().time_limit, TimeLimit::default());
    assert_eq!(with(&json!({"timelimit": [0, 0.0]})).unwrap().time_limit, TimeLimit::default());
    assert_eq!(with(&json!({"retries": u64::MAX})).unwrap().retries, u32::MAX);
}

#[test]
fn a_moment_that_cannot_be_read_is_no_task() {
    for (header, value) in [("eta", json!("soon")), ("eta", json!(5)), ("expires", json!("2026-99-01"))] {
        let error = with(&json!({ header: value })).unwrap_err();
        assert!(matches!(error, NotATask::BadMoment { header: named, .. } if named == header), "{error}");
    }
}

#[test]
fn callbacks_are_read_and_a_malformed_one_is_refused() {
    let decode = |embed: Value| TaskRequest::decode(&message(task(), &json!([[], {}, embed]).to_string()));
    assert_eq!(decode(json!({"chord": {"task": "t.sum"}})).unwrap().chord.unwrap().task, "t.sum");
    assert!(matches!(decode(json!({"callbacks": [5]})), Err(NotATask::Undecodable(_))));
    assert!(matches!(decode(json!([])), Err(NotATask::Undecodable(_))));
}

#[test]
fn a_task_is_due_early_or_expired() {
    let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
    let timing =
        |eta: Value, expires: Value| with(&json!({"eta": eta, "expires": expires})).unwrap().timing(now);
    let (before, after, later) = (
        json!("2026-11-21T11:59:59.999999"),
        json!("2026-11-21T12:00:00.5"),
        json!("2026-11-21T14:00:00+01:00"),
    );
    assert_eq!(timing(json!(null), json!(null)), Timing::Due);
    assert_eq!(timing(before.clone(), later.clone()), Timing::Due);
    assert_eq!(timing(after.clone(), json!(null)), Timing::Early(Duration::from_millis(500)));
    assert_eq!(timing(after.clone(), later.clone()), Timing::Early(Duration::from_millis(500)));
    assert_eq!(timing(after.clone(), before.clone()), Timing::Expired);
    assert_eq!(timing(later, after), Timing::Expired, "it will have expired at its eta");
    assert_eq!(timing(json!(null), before), Timing::Expired);
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
    assert!(bind(json!([1]), json!({"a": 2})).unwrap_err().contains("more than one value for argument `a`"));
    assert!(bind(json!([1, 2]), json!({"c": 2})).unwrap_err().contains("unexpected argument `c`"));
    assert!(bind(json!([1]), json!({})).unwrap_err().contains("misses the argument `b`"));
}

#[test]
fn a_message_without_name_or_id_is_foreign() {
    for (headers, body) in
        [(json!({"task": "t.add"}), "[]"), (json!({}), "hello"), (json!({}), "{}"), (json!({}), "")]
    {
        assert_eq!(TaskRequest::decode(&message(headers, body)), Err(NotATask::Foreign));
    }
}

#[test]
fn a_body_that_cannot_be_read_says_why() {
    for body in ["", "hello", "{}", "[]", "[1,2,3]", "[[NaN],{},{}]", "[{},[]]", "[[],{},5]", "\u{0}"] {
        let error = TaskRequest::decode(&message(task(), body)).unwrap_err();
        assert!(matches!(error, NotATask::Undecodable(_)), "{body}: {error}");
    }
    let deep = format!("[{}{}, {{}}, {{}}]", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(TaskRequest::decode(&message(task(), &deep)), Err(NotATask::Undecodable(_))));
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!([[1], {"a": null}])),
        Just(json!({"task": 1})),
    ]
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in "[\\[\\]{}\",:0-9eE.a-zN_-]{0,60}", headed in any::<bool>()) {
        let headers = if headed { task() } else { json!({}) };
        let _ = TaskRequest::decode(&message(headers, &body));
    }

    #[test]
    fn no_header_makes_it_panic(
        headers in prop::collection::btree_map(
            "task|id|eta|expires|retries|shadow|timelimit|stamps|group|compression|ignore_result|root_id", odd(), 0..12,
        ),
        fields in prop::collection::btree_map("task|id|eta|args|kwargs|taskset|chord|utc|callbacks", odd(), 0..9),
    ) {
        let headers = Value::Object(headers.into_iter().collect());
        let _ = TaskRequest::decode(&message(headers.clone(), "[[1], {}, {}]"));
        let _ = TaskRequest::decode(&message(headers, &json!(fields).to_string()));
    }
}
