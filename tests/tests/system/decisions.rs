//! The path of a request, for each way in and each of the four decisions.

use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER, ask, record_once};
use tests::eventually;

#[tokio::test]
async fn each_way_of_asking_ends_in_a_callback_with_the_decision() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.admit(http, DRIVER).await;
    let url = format!("{}/station/{STATION}/driver/{DRIVER}/authorize", services.api_url);
    let callback_url = |path: &str| host.url(path);

    let get = http.get(format!("{url}?callback_url={}", callback_url("/ok/get")));
    let query = http.post(format!("{url}?callback_url={}", callback_url("/ok/query")));
    let json = http.post(&url).json(&json!({ "callback_url": callback_url("/ok/json") }));
    let form = http
        .post(&url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("callback_url={}", callback_url("/ok/form?a=1").replace('?', "%3F")));
    for (request, path) in
        [(get, "/ok/get"), (query, "/ok/query"), (json, "/ok/json"), (form, "/ok/form?a=1")]
    {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202, "{path}");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(location, format!("/requests/{}", body["request_id"].as_str().unwrap()));
        assert_eq!(body["status"], "accepted");
        let callback = host.callback(path).await;
        assert_eq!(callback.id(), body["request_id"].as_str().unwrap());
        let expected = json!({"station_id": STATION, "driver_token": DRIVER, "status": "allowed"});
        assert_eq!(callback.body, expected);
        assert_eq!(callback.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn all_four_decisions_are_recorded_under_the_keys_of_the_design() {
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", "1.5");
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.admit(http, DRIVER).await;
    let mut requests = Vec::new();
    for (driver, status) in [(DRIVER, "allowed"), (STRANGER, "not_allowed"), ("short", "invalid")] {
        requests.push((
            services.ask(http, driver, &host.url(&format!("/ok/{status}"))).await,
            driver,
            status,
        ));
        assert_eq!(host.callback(&format!("/ok/{status}")).await.status(), status);
    }
    services.acl.kill().await;
    let unanswered = services.api_url.clone();
    let request = tests::deployment::ask(http, &unanswered, DRIVER, &host.url("/ok/unknown")).await.unwrap();
    requests.push((request, DRIVER, "unknown"));
    assert_eq!(host.callback("/ok/unknown").await.status(), "unknown");

    for (request, driver, status) in &requests {
        let shown = record_once(http, &unanswered, request, "delivered").await;
        assert_eq!((&shown["status"], &shown["callback_status"]), (&json!(status), &json!("200")));
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
        let start = shown["start_time_ns"].as_u64().unwrap();
        let record = deployment.hash(&format!("log:authorize:{start}:{STATION}:{driver}")).await;
        assert_eq!(record["station_id"], STATION);
        assert_eq!(record["driver_token"], *driver);
        assert_eq!(record["status"], *status);
        assert_eq!(record["callback_url"], host.url(&format!("/ok/{status}")));
        assert_eq!(record["callback_status"], "200");
        assert_eq!(record["request_id"], *request);
    }
    let keys = deployment.keys().await;
    let of = |start: &str| keys.iter().filter(|key| key.starts_with(start)).count();
    assert_eq!((of("log:authorize:"), of("voltgate:request:"), of("station:")), (4, 4, 1), "{keys:?}");
    // The index and the feed of decisions, and the audit trail.
    assert_eq!((of("voltgate:by-"), of("voltgate:decisions"), of("voltgate:audit:")), (8, 1, 1), "{keys:?}");
    // The request that waited for its deadline has a note, and on a slow machine others may too.
    assert!(of("voltgate:accepted:") >= 1, "{keys:?}");
    assert_eq!(keys.len() - of("voltgate:accepted:"), 19, "{keys:?}");
    assert!(keys.contains(&format!("station:{STATION}:allowlist")));
}

#[tokio::test]
async fn two_workers_share_the_load() {
    let mut deployment =
        Deployment::new().await.with("LOG_LEVEL", "info,worker=debug").with("WORKER_CONCURRENCY", 4);
    let services = deployment.start().await;
    let second = deployment.start_worker();
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    eventually("both workers to consume", async || {
        let queue = deployment.servers.broker_get(&format!("queues/{}/celery", deployment.vhost)).await?;
        (queue["consumers"] == 2).then_some(())
    })
    .await;
    let mut requests = Vec::new();
    for _ in 0..200 {
        requests.push(services.ask(http, DRIVER, &host.url("/ok/shared")).await);
    }
    host.all_of(&requests).await;
    let decided = |log: String| log.matches("callback attempt").count();
    let shares = eventually("all attempts to be logged", async || {
        let shares = (decided(services.worker.log()), decided(second.log()));
        (shares.0 + shares.1 == 200).then_some(shares)
    })
    .await;
    assert!(shares.0 > 20 && shares.1 > 20, "{shares:?}");
}

#[tokio::test]
async fn a_post_repeated_with_its_idempotency_key_is_the_same_request() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let send = async |driver: &str, key: &str| {
        let url = format!("{}/station/{STATION}/driver/{driver}/authorize", services.api_url);
        let body = json!({ "callback_url": host.url("/ok/once") });
        let response = http.post(url).header("idempotency-key", key).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<serde_json::Value>().await.unwrap())
    };
    let (status, first) = send(DRIVER, "a").await;
    assert_eq!(status, 202);
    assert_eq!(send(DRIVER, "a").await, (202, first.clone()));
    let (status, problem) = send(STRANGER, "a").await;
    assert_eq!((status, &problem["field"]), (422, &json!("idempotency-key")));
    let (_, other) = send(DRIVER, "b").await;
    assert_ne!(other["request_id"], first["request_id"]);
    let requests = [first, other].map(|body| body["request_id"].as_str().unwrap().to_owned());
    assert_eq!(host.all_of(&requests).await.len(), 2);
}

#[tokio::test]
async fn a_callback_has_every_signature_and_public_keys_are_served() {
    let mut deployment = Deployment::new()
        .await
        .with(
            "WEBHOOK_SECRET",
            "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH,whsec_CAgICAgICAgICAgICAgICAgICAgICAgI",
        )
        .with("WEBHOOK_PRIVATE_KEY", "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/ok/signed")).await;
    let callback = host.callback("/ok/signed").await;
    let timestamp: u64 = callback.header("webhook-timestamp").unwrap().parse().unwrap();
    let signer = authorization::config::webhook_signer(&service_runtime::settings::Settings::of([
        (&authorization::settings::WEBHOOK_SECRET, deployment.environment["WEBHOOK_SECRET"].clone()),
        (
            &authorization::settings::WEBHOOK_PRIVATE_KEY,
            deployment.environment["WEBHOOK_PRIVATE_KEY"].clone(),
        ),
    ]))
    .unwrap();
    let body = format!(r#"{{"station_id":"{STATION}","driver_token":"{DRIVER}","status":"not_allowed"}}"#);
    let expected = signer.sign(&request, timestamp, body.as_bytes());
    assert_eq!(callback.header("webhook-signature"), expected.as_deref());
    assert_eq!(expected.unwrap().split(' ').count(), 3);
    let served =
        http.get(format!("{}/.well-known/webhook-public-keys", services.api_url)).send().await.unwrap();
    let served: serde_json::Value = served.json().await.unwrap();
    assert_eq!(served, json!({ "keys": signer.public_keys() }));
}

#[tokio::test]
async fn readyz_is_503_where_every_request_would_be_too_late() {
    let deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", "0.5");
    let (_api, api_url) = deployment.start_api().await;
    let http = &deployment.http;
    let ready = async || http.get(format!("{api_url}/readyz")).send().await.unwrap();
    assert_eq!(ready().await.status(), 200);
    // No worker takes it.
    ask(http, &api_url, DRIVER, "http://127.0.0.1:9/").await.unwrap();
    let problem = eventually("the queue to be too old", async || {
        let answer = ready().await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    let problem: Value = problem.json().await.unwrap();
    assert_eq!(problem["field"], "task_queue");
    assert!(problem["detail"].to_string().contains("before its deadline"), "{problem}");
    assert_eq!(ask(http, &api_url, DRIVER, "http://127.0.0.1:9/").await, None, "it is refused");
}
