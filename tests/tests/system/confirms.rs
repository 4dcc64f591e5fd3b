//! What a client receives while the broker confirms nothing: a timeout is not a refusal.

use std::time::Duration;

use serde_json::{Value, json};
use test_servers::RabbitMq;
use tests::deployment::{DRIVER, Deployment, STATION, record_once};
use tests::eventually;
use tests::process::program;
use tests::stage::{OwnServers, Stage};

struct Answer {
    status: u16,
    location: Option<String>,
    body: Value,
}

impl Answer {
    /// The id of the request that may still be processed.
    fn unconfirmed(&self) -> &str {
        assert_eq!(self.status, 503, "{}", self.body);
        let detail = self.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("not confirmed, may still be processed"), "{detail}");
        let request = self.body["request_id"].as_str().expect("it names the request");
        assert_eq!(self.location.as_deref(), Some(format!("/requests/{request}").as_str()));
        request
    }

    fn was_refused(&self) -> bool {
        let detail = self.body["detail"].as_str().unwrap_or_default();
        self.status == 503 && detail.contains("was not accepted") && self.body.get("request_id").is_none()
    }
}

async fn post(stage: &Stage, path: &str, body: &Value, key: Option<&str>) -> Answer {
    let mut asking = stage.deployment.http.post(format!("{}{path}", stage.services.api_url)).json(body);
    if let Some(key) = key {
        asking = asking.header("idempotency-key", key);
    }
    let response = asking.send().await.unwrap();
    let status = response.status().as_u16();
    let location = response.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
    Answer { status, location, body: response.json().await.unwrap() }
}

async fn ask(stage: &Stage, callback: &str, key: Option<&str>) -> Answer {
    let path = format!("/station/{STATION}/driver/{DRIVER}/authorize");
    post(stage, &path, &json!({ "callback_url": stage.host.url(callback) }), key).await
}

async fn alarm(mut broker: RabbitMq, raised: bool) -> RabbitMq {
    let doing = tokio::task::spawn_blocking(move || {
        broker.alarm(raised).unwrap();
        broker
    });
    broker = doing.await.unwrap();
    broker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_503_without_a_confirm_names_its_request() {
    let mut servers = OwnServers::start().await;
    let stage = Stage::set(Deployment::on(servers.addresses()).await, &[]).await;
    stage.accepted().await;
    servers.broker = alarm(servers.broker, true).await;
    // The first message published during an alarm triggers the broker's notification; it is
    // not read before the alarm ends.
    let first = ask(&stage, "/ok/first", Some("first")).await;
    let request = first.unconfirmed();
    let again = ask(&stage, "/ok/first", Some("first")).await;
    assert_eq!(again.unconfirmed(), request, "the key stands for the same request");
    eventually("a request that is certainly not accepted", async || {
        ask(&stage, "/ok/refused", None).await.was_refused().then_some(())
    })
    .await;
    let http = &stage.deployment.http;
    let ready = async || {
        let answer = http.get(format!("{}/readyz", stage.services.api_url)).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, problem) = ready().await;
    assert_eq!((status, problem["field"].as_str()), (503, Some("task_queue")));
    assert!(problem["detail"].to_string().contains("short of memory or disk"), "{problem}");
    let shown = http.get(format!("{}/requests/{request}", stage.services.api_url)).send().await.unwrap();
    assert_eq!(shown.status(), 404, "it is not known to be accepted");

    servers.broker = alarm(servers.broker, false).await;
    let record = record_once(http, &stage.services.api_url, request, "delivered").await;
    assert_eq!(record["callback_url"], stage.host.url("/ok/first"));
    let after = eventually("the same to be accepted", async || {
        let answer = ask(&stage, "/ok/first", Some("first")).await;
        (answer.status == 202).then_some(answer)
    })
    .await;
    assert_eq!(after.body["request_id"], request);
    assert_eq!(ready().await.0, 200);
    let paths: Vec<String> = stage.host.received().into_iter().map(|callback| callback.path).collect();
    assert!(!paths.iter().any(|path| path == "/ok/refused"), "{paths:?}");
    drop(servers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_time_limit_ends_is_not_called_refused() {
    let servers = OwnServers::start().await;
    let deployment = Deployment::on(servers.addresses()).await.with("CHARGE_SERVICE_API", true);
    let stage = Stage::set(deployment, &[]).await;
    let decided = stage.accepted().await;
    record_once(&stage.deployment.http, &stage.services.api_url, &decided, "delivered").await;
    servers.broker.pause().unwrap();
    let redelivered = post(&stage, &format!("/requests/{decided}/redeliver"), &json!(null), None).await;
    assert_eq!(redelivered.unconfirmed(), decided);
    servers.broker.resume().unwrap();
    stage.accepted().await;

    servers.broker.pause().unwrap();
    let charging = json!({"station_id": STATION, "driver_token": DRIVER, "callback_url": stage.host.url("/ok/charging")});
    let charged = post(&stage, "/api/chargingRequestValidator/", &charging, None).await;
    assert_eq!((charged.status, charged.body["status"].as_str()), (200, Some("unknown")));
    assert!(charged.location.is_some_and(|place| place.starts_with("/requests/")));
    servers.broker.resume().unwrap();
    stage.accepted().await;

    servers.broker.pause().unwrap();
    let command = tokio::process::Command::new(program("voltgate"))
        .args(["authorize", "--api", &stage.services.api_url, STATION, DRIVER])
        .env_clear()
        .envs(&stage.deployment.environment)
        .output();
    let output = command.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("request ") && said.contains("may still be"), "{said}");
    servers.broker.resume().unwrap();

    servers.redis.pause().unwrap();
    let url = format!("{}/station/{STATION}/driver/{DRIVER}/acl", stage.services.acl_url);
    let changed = stage.deployment.http.put(url).timeout(Duration::from_secs(30)).send().await.unwrap();
    assert_eq!(changed.status(), 503);
    let problem: Value = changed.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("may have been made"), "{problem}");
    servers.redis.resume().unwrap();
}
