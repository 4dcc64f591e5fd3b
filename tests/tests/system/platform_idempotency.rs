//! A POST with an `Idempotency-Key` may be repeated.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::platform::{Answer, KEY, Platform, location};

use super::keys::created;

async fn post(platform: &Platform, path: &str, key: &str, body: &Value) -> Answer {
    let request = platform.request(Method::POST, path).header("idempotency-key", key);
    Answer::to(request.json(body)).await
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_byte_for_byte() {
    let platform = Platform::start().await;
    for (path, body) in
        [("/api/v1/locations", location("Harbour")), ("/api/v1/stations", json!({"charger": "HAM-1"}))]
    {
        let first = post(&platform, path, "one", &body).await;
        assert_eq!(first.status, 201, "{}", first.text);
        let changed = platform.patch(first.place(), first.etag(), &json!({"name": "Other"})).await;
        assert_eq!(changed.status, 200);
        let again = post(&platform, path, "one", &body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        for name in ["location", "etag", "content-type", "content-length", "cache-control"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        let mut other = body.clone();
        other["name"] = json!("Another");
        assert_eq!(post(&platform, path, "one", &other).await.refusal(), (422, "idempotency-key"));
        assert_eq!(platform.pages(path, 500).await, [first.id()]);
    }
}

#[tokio::test]
async fn a_repeat_after_a_crash_gets_the_first_answer() {
    let platform = Platform::start().await;
    let first = post(&platform, "/api/v1/locations", "one", &location("Harbour")).await;
    let platform = platform.crash().await;
    let again = post(&platform, "/api/v1/locations", "one", &location("Harbour")).await;
    assert_eq!((again.status, again.text), (201, first.text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_create_one() {
    let platform = Platform::start().await;
    let body = json!({"charger": "HAM-1"});
    let answers = join_all((0..20).map(|_| post(&platform, "/api/v1/stations", "one", &body))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(platform.pages("/api/v1/stations", 500).await, [answers[0].id()]);
}

#[tokio::test]
async fn keys_are_apart_by_caller_and_by_route() {
    let platform = Platform::start().await;
    let operator = created(&platform.deployment, "platform:operate", &[]).await.0;
    let mut ids = Vec::new();
    for key in [KEY, &operator] {
        let request = platform.stranger(Method::POST, "/api/v1/locations").bearer_auth(key);
        let request = request.header("idempotency-key", "one").json(&location("Harbour"));
        ids.push(Answer::to(request).await.id());
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(post(&platform, "/api/v1/stations", "one", &json!({"charger": "HAM-1"})).await.status, 201);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let platform = Platform::start().await;
    let path = "/api/v1/stations";
    let taken = platform.station("HAM-1").await;
    let body = json!({"charger": "HAM-1"});
    assert_eq!(post(&platform, path, "one", &body).await.refusal(), (409, "charger"));
    assert_eq!(post(&platform, path, "one", &json!({"charger": 1})).await.refusal(), (400, "charger"));
    assert_eq!(platform.delete(taken.place(), taken.etag()).await.status, 204);
    assert_eq!(post(&platform, path, "one", &body).await.status, 201);
    for bad in ["", "ä", &"x".repeat(256)] {
        assert_eq!(post(&platform, path, bad, &body).await.refusal(), (400, "idempotency-key"), "{bad}");
    }
    assert_eq!(post(&platform, path, &"x".repeat(255), &json!({"charger": "HAM-2"})).await.status, 201);
}
