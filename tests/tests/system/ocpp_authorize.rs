//! Authorize: the entry of the tag, the decision and its record, and the whitelist when there is no decision in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::eventually;
use tests::link::Link;

use super::ocpp::{DRIVER, Gateway, Socket, TAG, start};

/// How much longer than its limit an answer may take: the contract's 100 ms, and what a busy machine adds.
const SLACK: Duration = Duration::from_millis(600);
const LIMIT: Duration = Duration::from_millis(1_000);

async fn status(socket: &mut Socket, tag: &str) -> Value {
    socket.call("Authorize", json!({ "idTag": tag })).await["idTagInfo"]["status"].take()
}

#[tokio::test]
async fn the_entry_of_a_tag_decides_first_then_the_access_list() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.token(json!({"uid": "BLOCKED1", "status": "blocked", "whitelist": "always"})).await;
    gateway
        .token(json!({"uid": "EXPIRED1", "expires_at": "2020-01-01T00:00:00Z", "whitelist": "always"}))
        .await;
    gateway.token(json!({"uid": "ALWAYS1", "whitelist": "always"})).await;
    gateway.token(json!({"uid": "STRANGER", "driver_token": "stranger_token_0000001"})).await;
    gateway.admitted_tag(station).await;
    for (tag, expected) in [
        ("BLOCKED1", "Blocked"),
        ("blocked1", "Blocked"),
        ("EXPIRED1", "Expired"),
        ("ALWAYS1", "Accepted"),
        ("UNKNOWN1", "Invalid"),
        ("STRANGER", "Invalid"),
        (TAG, "Accepted"),
        (&TAG.to_lowercase(), "Accepted"),
    ] {
        assert_eq!(status(&mut socket, tag).await, expected, "{tag}");
    }
    // A charger does not keep the answer about a tag that is always asked for.
    let info = socket.call("Authorize", json!({"idTag": TAG})).await;
    assert!(info["idTagInfo"]["expiryDate"].is_string(), "{info}");
}

#[tokio::test]
async fn a_tag_that_is_a_well_formed_token_is_not_one() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let tag = "abcdefghij0123456789";
    gateway.admit(station, tag).await;
    assert_eq!(status(&mut socket, tag).await, "Invalid");
    let prefixed = Gateway::start(&[("OCPP_TOKEN_PREFIX", "prefix_of_16_cha")]).await;
    let (station, mut socket) = prefixed.booted("CP-1").await;
    prefixed.admit(station, "prefix_of_16_chaAB12").await;
    assert_eq!(status(&mut socket, "ab12").await, "Accepted");
    assert_eq!(status(&mut socket, "ab13").await, "Invalid");
}

#[tokio::test]
async fn a_decision_is_on_record_as_one_of_ocpp() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.admitted_tag(station).await;
    assert_eq!(status(&mut socket, TAG).await, "Accepted");
    let (_api, api_url) = gateway.deployment.start_api().await;
    let record = eventually("the record of the decision", async || {
        let url = format!("{api_url}/requests?station_id={station}");
        let shown: Value = gateway.deployment.http.get(url).send().await.ok()?.json().await.ok()?;
        shown["requests"].as_array()?.first().cloned()
    })
    .await;
    let text = record.to_string();
    assert!(text.contains("\"ocpp\"") && text.contains("allowed"), "{text}");
    assert!(!gateway.process.log().contains(DRIVER), "a driver token is in the log");
}

#[tokio::test]
async fn without_a_decision_the_whitelist_answers_in_time_and_no_one_else_waits() {
    let mut gateway = Gateway::start(&[]).await;
    let link = Link::to(&gateway.acl_url).await;
    let limit = LIMIT.as_secs_f64().to_string();
    let through = gateway.deployment.through("AUTHORIZATION_SERVICE_URL", &link);
    let (process, url) = through.with("OCPP_AUTHORIZE_TIMEOUT_SEC", limit).start_gateway().await;
    gateway.process = process;
    gateway.url = url;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let (_, mut other) = gateway.booted("CP-2").await;
    for (tag, whitelist) in
        [("ALWAYS1", "always"), ("ALLOWED1", "allowed"), ("OFFLINE1", "allowed_offline"), ("NEVER1", "never")]
    {
        gateway.token(json!({"uid": tag, "whitelist": whitelist})).await;
    }
    let refused = gateway.token(json!({"uid": "REFUSED1", "whitelist": "allowed_offline"})).await;
    assert_eq!(status(&mut socket, "REFUSED1").await, "Invalid");
    link.black_hole();
    for (tag, expected) in [
        ("ALWAYS1", "Accepted"),
        ("ALLOWED1", "Accepted"),
        ("OFFLINE1", "Accepted"),
        ("NEVER1", "Invalid"),
        // Never against the last known answer.
        ("REFUSED1", "Invalid"),
    ] {
        let began = Instant::now();
        let id = socket.ask("Authorize", &json!({ "idTag": tag })).await;
        other.is_alive().await;
        assert!(began.elapsed() < SLACK, "another charger has waited {:?}", began.elapsed());
        let answer = socket.frame().await;
        assert!(began.elapsed() < LIMIT + SLACK, "{tag}: {:?}", began.elapsed());
        assert_eq!((&answer[1], &answer[2]["idTagInfo"]["status"]), (&json!(id), &json!(expected)), "{tag}");
    }
    // The charger's own calls overtake a waiting decision.
    let began = Instant::now();
    let id = socket.ask("Authorize", &json!({"idTag": "NEVER1"})).await;
    let status = json!({"connectorId": 1, "errorCode": "NoError", "status": "Preparing"});
    let next = socket.ask("StatusNotification", &status).await;
    let (first, second) = (socket.frame().await, socket.frame().await);
    let order = [&first[1], &second[1]];
    assert!(order == [&json!(next), &json!(id)] || began.elapsed() < SLACK, "{order:?}");
    link.open();
    gateway.admit(station, &refused).await;
    eventually("the decision to be asked for again", async || {
        let answer = socket.call("Authorize", json!({"idTag": "REFUSED1"})).await;
        (answer["idTagInfo"]["status"] == "Accepted").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_start_of_the_same_plug_in_is_not_asked_again() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.admitted_tag(station).await;
    assert_eq!(status(&mut socket, TAG).await, "Accepted");
    let url = format!("{}/station/{station}/driver/{DRIVER}/acl", gateway.acl_url);
    assert!(gateway.deployment.http.delete(url).send().await.unwrap().status().is_success());
    let started = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
    assert_eq!(started["idTagInfo"]["status"], "Accepted");
    assert_eq!(status(&mut socket, TAG).await, "Invalid");
    // The repeat of an accepted start is accepted: another answer would stop the vehicle.
    let again = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
    assert_eq!(again["idTagInfo"]["status"], "Accepted");
    assert_eq!(again["transactionId"], started["transactionId"]);
}

#[tokio::test]
async fn the_repeat_of_an_accepted_start_has_the_same_answer_to_the_letter() {
    let gateway = Gateway::start(&[]).await;
    gateway
        .token(json!({"uid": "GROUPED1", "whitelist": "always", "expires_at": "2030-01-01T00:00:00Z"}))
        .await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.admitted_tag(station).await;
    // A machine that is busy may be too late with the first decision. The start takes the answer over.
    eventually("the tag to be accepted", async || {
        (status(&mut socket, TAG).await == "Accepted").then_some(())
    })
    .await;
    for (connector, tag, at) in [(1, TAG, "2026-11-01T10:00:00Z"), (2, "GROUPED1", "2026-11-01T10:00:00Z")] {
        let start = json!({"connectorId": connector, "idTag": tag, "meterStart": 0, "timestamp": at});
        let first = socket.call("StartTransaction", start.clone()).await;
        assert_eq!(first["idTagInfo"]["status"], "Accepted", "{tag}: {first}");
        assert!(first["idTagInfo"]["expiryDate"].is_string(), "{first}");
        assert_eq!(socket.call("StartTransaction", start.clone()).await, first);
        let mut other = gateway.connect("CP-1").await;
        assert_eq!(other.call("StartTransaction", start).await, first);
        socket = other;
    }
}

#[tokio::test]
async fn drivers_do_not_wait_for_a_decider_that_hangs() {
    let mut gateway = Gateway::start(&[]).await;
    let link = Link::to(&gateway.acl_url).await;
    let through = gateway.deployment.through("AUTHORIZATION_SERVICE_URL", &link);
    let (process, url) = through.with("OCPP_AUTHORIZE_TIMEOUT_SEC", "1").start_gateway().await;
    gateway.process = process;
    gateway.url = url;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.admitted_tag(station).await;
    assert_eq!(status(&mut socket, TAG).await, "Accepted");
    link.black_hole();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let began = Instant::now();
        assert_eq!(status(&mut socket, TAG).await, "Invalid");
        waits.push(began.elapsed());
    }
    let waited = waits.iter().filter(|wait| **wait >= LIMIT).count();
    assert!(waited <= 6 && waits[5..].iter().any(|wait| *wait < SLACK), "{waits:?}");
    link.open();
    eventually("the decider to be asked again", async || {
        (status(&mut socket, TAG).await == "Accepted").then_some(())
    })
    .await;
}
