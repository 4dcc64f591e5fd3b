//! Finding a request, from its `202` on; and delivering its decision once more.

use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER, ask, record_once};
use tests::servers::reqwest_client;
use tests::{eventually, free_port};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::embedded::up;

async fn get(http: &reqwest::Client, url: &str) -> Value {
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.json().await.unwrap()
}

async fn redeliver(http: &reqwest::Client, api_url: &str, request: &str) -> (u16, Value) {
    let response = http.post(format!("{api_url}/requests/{request}/redeliver")).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn outcomes(shown: &Value) -> Vec<&str> {
    shown["attempts"].as_array().unwrap().iter().map(|made| made["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_202_is_found_by_every_process_before_a_worker_takes_it() {
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 60);
    let (_acl, _) = deployment.start_acl().await;
    let (api, api_url) = deployment.start_api().await;
    let (_second_api, second_url) = deployment.start_api().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let mut last = String::new();
    for _ in 0..20 {
        last = ask(http, &api_url, DRIVER, &host.url("/ok/waits")).await.unwrap();
        for url in [&second_url, &api_url] {
            let shown = get(http, &format!("{url}/requests/{last}")).await;
            assert_eq!(
                json!([shown["state"], shown["status"], shown["station_id"], shown["driver_token"]]),
                json!(["accepted", null, STATION, DRIVER])
            );
            assert_eq!(shown["callback_url"], host.url("/ok/waits"));
            assert!(shown["deadline_ns"].as_u64() > shown["start_time_ns"].as_u64(), "{shown}");
            // JavaScript cannot hold the nanoseconds.
            let moment = OffsetDateTime::parse(shown["start_time"].as_str().unwrap(), &Rfc3339).unwrap();
            let nanos = u64::try_from(moment.unix_timestamp_nanos()).ok();
            assert_eq!(nanos, shown["start_time_ns"].as_u64());
        }
    }
    let (status, body) = redeliver(http, &second_url, &last).await;
    assert_eq!((status, &body["field"]), (409, &json!("request_id")), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("not decided yet"), "{body}");
    assert_eq!(api.stop().await, Some(0));
    let _worker = deployment.start_worker();
    let shown = record_once(http, &second_url, &last, "delivered").await;
    assert_eq!(json!([shown["state"], shown["status"]]), json!(["delivered", "not_allowed"]));
    let mut redis = deployment.servers.redis().await;
    for name in deployment.keys().await.iter().filter(|name| name.starts_with("voltgate:accepted:")) {
        let key = format!("{}{name}", deployment.prefix);
        let left: i64 = redis::cmd("TTL").arg(&key).query_async(&mut redis).await.unwrap();
        // Either the key of a whole second, or the note for an older public-api.
        let within = if name.contains('-') { 3_200..=3_600 } else { 86_000..=86_400 };
        assert!(within.contains(&left), "{name} expires in {left} s");
    }
}

/// The format that a public-api before 45dec5b (2026-11-27) writes and reads.
#[tokio::test]
async fn a_waiting_request_is_shared_with_an_older_public_api() {
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 60);
    let (_acl, _) = deployment.start_acl().await;
    let (_api, api_url) = deployment.start_api().await;
    let (http, mut redis) = (&deployment.http, deployment.servers.redis().await);
    let noted = |id: &str, start_ns: u64| {
        json!({"request_id": id, "station_id": STATION, "driver_token": DRIVER,
               "callback_url": "http://127.0.0.1:9/cb", "start_ns": start_ns, "deadline_ns": start_ns + 60_000_000_000})
    };
    let key = |id: &str| format!("{}voltgate:accepted:{id}", deployment.prefix);
    let old = uuid::Uuid::now_v7().to_string();
    let note = noted(&old, 1_795_246_192_094_754_391).to_string();
    redis::cmd("SET").arg(key(&old)).arg(note).query_async::<()>(&mut redis).await.unwrap();
    let shown = get(http, &format!("{api_url}/requests/{old}")).await;
    assert_eq!(json!([shown["state"], shown["driver_token"]]), json!(["accepted", DRIVER]));

    let new = ask(http, &api_url, DRIVER, "http://127.0.0.1:9/cb").await.unwrap();
    let written = eventually("the note for older versions", async || {
        redis::cmd("GET").arg(key(&new)).query_async::<Option<String>>(&mut redis.clone()).await.unwrap()
    })
    .await;
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, noted(&new, written["start_ns"].as_u64().unwrap()));
}

#[tokio::test]
async fn requests_are_listed_as_they_are_shown_alone() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.admit(http, DRIVER).await;
    let mut shown = Vec::new();
    for (driver, path) in [(DRIVER, "/ok/listed"), ("short", "/status/404"), (STRANGER, "/ok/listed")] {
        let request = services.ask(http, driver, &host.url(path)).await;
        let delivery = if path.starts_with("/ok") { "delivered" } else { "undeliverable" };
        shown.insert(0, services.record_once(http, &request, delivery).await);
    }
    let list = async |query: &str| get(http, &format!("{}/requests{query}", services.api_url)).await;
    assert_eq!(list("").await, json!({ "requests": shown, "cursor": null }));
    for (query, wanted) in [
        (format!("?driver_token={DRIVER}"), json!([shown[2]])),
        (format!("?station_id={STATION}&status=invalid"), json!([shown[1]])),
        ("?delivery=undeliverable".to_owned(), json!([shown[1]])),
        (format!("?from={}", shown[0]["start_time_ns"]), json!([shown[0]])),
        ("?to=2001-01-01T00:00:00+02:00".to_owned(), json!([])),
        ("?driver_token=".to_owned(), json!([])),
    ] {
        assert_eq!(list(&query).await["requests"], wanted, "{query}");
    }
    let first = list("?limit=2").await;
    let second = list(&format!("?limit=2&cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!(json!([first["requests"], second["requests"]]), json!([shown[..2], shown[2..]]));
    insta::assert_json_snapshot!("a_page_of_requests", scrubbed(&list("").await));
}

/// Replaces what differs from run to run.
fn scrubbed(page: &Value) -> Value {
    let mut page = page.clone();
    for request in page["requests"].as_array_mut().unwrap() {
        for name in
            ["request_id", "start_time_ns", "start_time", "deadline_ns", "deadline", "decided_ns", "decided"]
        {
            request[name] = json!(format!("[{name}]"));
        }
        let path = request["callback_url"].as_str().unwrap().splitn(4, '/').last().unwrap().to_owned();
        request["callback_url"] = json!(format!("http://[host]/{path}"));
        for attempt in request["attempts"].as_array_mut().unwrap() {
            attempt["at_ns"] = json!("[at_ns]");
            attempt["at"] = json!("[at]");
            attempt["took_ms"] = json!("[took_ms]");
        }
    }
    page
}

#[tokio::test]
async fn a_bad_filter_or_cursor_is_refused_by_its_name() {
    let deployment = Deployment::new().await;
    let (_api, api_url) = deployment.start_api().await;
    let mut answers = Vec::new();
    for path in [
        "/requests?station_id=7",
        "/requests?status=maybe",
        "/requests?delivery=lost",
        "/requests?from=yesterday",
        "/requests?to=-1",
        "/requests?limit=0",
        "/requests?limit=501",
        "/requests?cursor=nonsense",
        "/requests?stationid=7",
        "/requests?status=allowed&status=invalid",
        "/requests/stream?delivery=pending",
        "/requests/stream?status=maybe",
        "/requests/7/redeliver",
        "/requests/01a1fdc4-3193-72e3-bff0-3fbc4117778f/redeliver",
    ] {
        let url = format!("{api_url}{path}");
        let posts = path.ends_with("/redeliver");
        let request = if posts { deployment.http.post(url) } else { deployment.http.get(url) };
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let body: Value = response.json().await.unwrap();
        answers.push(json!([path, body["status"], body["field"], body["detail"]]));
    }
    insta::assert_json_snapshot!("bad_filters", answers);
}

#[tokio::test]
async fn a_redelivery_sends_the_same_decision_and_id_and_is_recorded() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/ok/again")).await;
    services.record_once(http, &request, "delivered").await;
    services.admit(http, DRIVER).await;
    let (status, body) = redeliver(http, &services.api_url, &request).await;
    assert_eq!((status, &body["request_id"]), (202, &json!(request)));
    let received =
        eventually("the second callback", async || Some(host.received()).filter(|all| all.len() == 2)).await;
    assert!(received.iter().all(|callback| callback.id() == request && callback.status() == "not_allowed"));
    let shown = eventually("the second attempt on record", async || {
        let shown = get(http, &format!("{}/requests/{request}", services.api_url)).await;
        (outcomes(&shown).len() == 2).then_some(shown)
    })
    .await;
    assert_eq!(outcomes(&shown), ["200", "200"]);
    assert_eq!(shown["delivery"], "delivered");
}

#[tokio::test]
async fn a_failed_redelivery_is_dead_lettered_and_stays_delivered() {
    let mut deployment = Deployment::new().await.with("CALLBACK_MAX_ATTEMPTS", 2);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/first/200/503")).await;
    services.record_once(http, &request, "delivered").await;
    redeliver(http, &services.api_url, &request).await;
    eventually("the dead letter", async || {
        (deployment.messages_in("celery.callbacks.dead").await? == 1).then_some(())
    })
    .await;
    let shown = services.record_once(http, &request, "delivered").await;
    assert_eq!(outcomes(&shown), ["200", "503", "503"]);
    assert_eq!(json!([shown["state"], shown["callback_status"]]), json!(["delivered", "200"]));
}

#[tokio::test]
async fn a_redelivery_delivers_what_was_undeliverable() {
    let mut deployment = Deployment::new().await.with("CALLBACK_MAX_ATTEMPTS", 1);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/first/503/200")).await;
    services.record_once(http, &request, "undeliverable").await;
    redeliver(http, &services.api_url, &request).await;
    let shown = services.record_once(http, &request, "delivered").await;
    assert_eq!(outcomes(&shown), ["503", "200"]);
}

#[tokio::test]
async fn embedded_requests_are_found_listed_and_redelivered_too() {
    let directory = tempfile::tempdir().unwrap();
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let process = up(directory.path(), port).await;
    let api_url = format!("http://127.0.0.1:{port}");
    let first = ask(&http, &api_url, DRIVER, &host.url("/ok/embedded")).await.unwrap();
    let state = get(&http, &format!("{api_url}/requests/{first}")).await["state"].clone();
    assert!(["accepted", "decided", "delivered"].contains(&state.as_str().unwrap()), "{state}");
    let first = record_once(&http, &api_url, &first, "delivered").await;
    let second = ask(&http, &api_url, STRANGER, &host.url("/ok/embedded")).await.unwrap();
    let second = record_once(&http, &api_url, &second, "delivered").await;
    let page = get(&http, &format!("{api_url}/requests?limit=1")).await;
    assert_eq!(page["requests"], json!([second]));
    let next = format!("{api_url}/requests?limit=5&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(get(&http, &next).await, json!({ "requests": [first], "cursor": null }));
    redeliver(&http, &api_url, first["request_id"].as_str().unwrap()).await;
    eventually("the third callback", async || (host.count() == 3).then_some(())).await;
    assert_eq!(process.stop().await, Some(0));
}
