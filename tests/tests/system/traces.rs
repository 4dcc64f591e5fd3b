//! One request is one trace, across every process that handles it.

use serde_json::{Value, json};
use tests::callback_host::{Callback, CallbackHost};
use tests::collector::{Collector, Span};
use tests::deployment::{DRIVER, Deployment, STATION, Services};
use tests::eventually;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn ask_in_a_trace(deployment: &Deployment, services: &Services, callback_url: &str) -> String {
    let url = format!("{}/station/{STATION}/driver/{DRIVER}/authorize", services.api_url);
    let body = json!({ "callback_url": callback_url });
    let asking = deployment.http.post(url).header("traceparent", CLIENT).header("tracestate", "vendor=1");
    let answer: Value = asking.json(&body).send().await.unwrap().json().await.unwrap();
    answer["request_id"].as_str().unwrap().to_owned()
}

/// Waits for this many spans of this name, ordered by start time.
async fn spans(collector: &Collector, name: &str, count: usize) -> Vec<Span> {
    eventually(&format!("{count} spans {name}"), async || {
        let mut found = collector.trace(TRACE);
        found.retain(|span| span.name == name);
        found.sort_by_key(|span| span.start_ns);
        (found.len() >= count).then_some(found)
    })
    .await
}

fn parent_of(callback: &Callback) -> &str {
    callback.header("traceparent").unwrap().split('-').nth(2).unwrap()
}

#[tokio::test]
async fn one_trace_covers_api_worker_access_list_and_callbacks() {
    let collector = Collector::start().await;
    let mut deployment = Deployment::new().await.with("OTLP_ENDPOINT", &collector.url);
    let services = deployment.start().await;
    services.admit(&deployment.http, DRIVER).await;
    let host = CallbackHost::start().await;
    // The first attempt fails, so that the second goes through the delay queues.
    let request = ask_in_a_trace(&deployment, &services, &host.url("/first/503/200/secret-path")).await;
    services.record_once(&deployment.http, &request, "delivered").await;

    let server = spans(&collector, "request", 2).await;
    let (api, acl) = (&server[0], &server[1]);
    let authorize = &spans(&collector, "authorize", 1).await[0];
    let acl_check = &spans(&collector, "acl_check", 1).await[0];
    let again = &spans(&collector, "deliver_callback", 1).await[0];
    let attempts = spans(&collector, "callback", 2).await;
    let services = [api, authorize, acl_check, acl].map(|span| span.service.as_str());
    assert_eq!(services, ["public-api", "worker", "worker", "acl-service"]);
    assert_eq!(api.parent, "00f067aa0ba902b7", "the client's own span comes first");
    assert_eq!((&authorize.parent, &acl_check.parent), (&api.id, &authorize.id));
    assert_eq!((&acl.parent, &attempts[0].parent), (&acl_check.id, &authorize.id));
    assert_eq!((&again.parent, &attempts[1].parent), (&authorize.id, &again.id));
    assert_eq!((api.kind, authorize.kind, acl_check.kind), (2, 5, 3));
    assert_eq!(api.attributes["http.route"], "/station/{station_id}/driver/{driver_token}/authorize");
    assert_eq!((&api.attributes["request_id"], &acl.attributes["request_id"]), (&request, &request));
    assert!(authorize.attributes.contains_key("voltgate.queue_wait_ms"), "{authorize:?}");

    let called = host.received();
    assert_eq!(called.iter().map(parent_of).collect::<Vec<_>>(), [&attempts[0].id, &attempts[1].id]);
    assert!(called.iter().all(|callback| callback.header("tracestate") == Some("vendor=1")));
    let everything = format!("{:?}", collector.all());
    assert!(!everything.contains(DRIVER) && !everything.contains("secret-path"), "{everything}");
}

#[tokio::test]
async fn without_a_collector_a_trace_is_passed_on_or_created() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    ask_in_a_trace(&deployment, &services, &host.url("/ok/given")).await;
    assert_eq!(host.callback("/ok/given").await.header("traceparent"), Some(CLIENT));
    assert_eq!(host.callback("/ok/given").await.header("tracestate"), Some("vendor=1"));
    services.ask(http, DRIVER, &host.url("/ok/made")).await;
    let made = host.callback("/ok/made").await;
    assert_eq!(made.header("traceparent").unwrap().len(), CLIENT.len());
}

#[tokio::test]
async fn a_hanging_collector_stops_nothing_and_is_logged_once() {
    // It accepts connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", deaf.local_addr().unwrap());
    let mut deployment = Deployment::new().await.with("OTLP_ENDPOINT", endpoint);
    let mut services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    for number in 0..3 {
        let path = format!("/ok/{number}");
        services.ask(http, DRIVER, &host.url(&path)).await;
        host.callback(&path).await;
        if number == 0 {
            services.worker.logged("collector").await;
        }
    }
    let log = services.worker.log();
    let began = std::time::Instant::now();
    assert_eq!(services.worker.stop().await, Some(0));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(log.matches("OTLP_ENDPOINT").count(), 1, "{log}");
}

#[tokio::test]
async fn log_lines_are_flat_and_say_which_request_they_are_about() {
    let mut deployment = Deployment::new().await.with("LOG_LEVEL", "debug");
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = ask_in_a_trace(&deployment, &services, &host.url("/ok/logged")).await;
    services.record_once(http, &request, "delivered").await;
    for (process, message) in [(&services.api, "accepted"), (&services.worker, "callback attempt")] {
        let log = process.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.into_iter().find(|line| line["message"] == message).unwrap();
        assert_eq!((&line["request_id"], &line["trace_id"]), (&json!(request), &json!(TRACE)), "{line}");
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "{line}");
        assert!(["timestamp", "level", "target"].iter().all(|name| line[name].is_string()), "{line}");
        assert!(!log.contains(DRIVER), "{log}");
    }
}
