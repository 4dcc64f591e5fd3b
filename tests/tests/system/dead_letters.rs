//! Messages that cannot be processed are kept with their reason, and the worker continues.

use std::collections::BTreeMap;

use authorization::tasks::authorize;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, record_once};
use tests::eventually;

use super::python::python;

struct Publisher {
    channel: lapin::Channel,
    _connection: Connection,
}

impl Publisher {
    async fn connect(deployment: &Deployment) -> Self {
        let url = &deployment.environment["BROKER_URL"];
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { channel, _connection: connection }
    }

    async fn publish(&self, task: Option<(&str, &str)>, content_type: &str, body: &str) {
        let mut headers = FieldTable::default();
        if let Some((name, id)) = task {
            headers.insert("task".into(), AMQPValue::LongString(LongString::from(name)));
            headers.insert("id".into(), AMQPValue::LongString(LongString::from(id)));
            headers.insert("note".into(), AMQPValue::LongString(LongString::from("kept")));
        }
        let properties =
            BasicProperties::default().with_headers(headers).with_content_type(content_type.into());
        let options = BasicPublishOptions::default();
        let publishing =
            self.channel.basic_publish("".into(), "celery".into(), options, body.as_bytes(), properties);
        publishing.await.unwrap().await.unwrap();
    }
}

#[tokio::test]
async fn an_invalid_task_is_kept_with_its_reason_and_the_next_is_run() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let host = CallbackHost::start().await;
    let publisher = Publisher::connect(&deployment).await;
    let id = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    let ours = Some((authorize::NAME, id));
    let json = "application/json";
    publisher.publish(None, json, "hello").await;
    publisher.publish(ours, json, "not json").await;
    publisher.publish(ours, "application/x-python-serialize", "\u{1}").await;
    publisher.publish(ours, json, r#"[["x", NaN], {}, {}]"#).await;
    publisher.publish(ours, json, r#"[["x"], {}, {}]"#).await;
    publisher.publish(ours, json, r#"[["not a uuid", "t", "http://x/", 1], {}, {}]"#).await;
    publisher.publish(Some(("somebody.elses.task", id)), json, "[[], {}, {}]").await;
    let token_as_expiry = format!(r#"[["{STATION}", "{DRIVER}", "http://x/", "{DRIVER}"], {{}}, {{}}]"#);
    publisher.publish(ours, json, &token_as_expiry).await;
    let request = services.ask(&deployment.http, DRIVER, &host.url("/ok/after")).await;
    host.all_of(&[request]).await;

    let mut letters = Vec::new();
    eventually("eight dead letters", async || {
        letters.extend(deployment.drain("celery.dead").await);
        (letters.len() == 8).then_some(())
    })
    .await;
    let mut reasons: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| {
            let headers = &letter["properties"]["headers"];
            assert_eq!(headers["dead_queue"], "celery");
            let detail = headers["dead_detail"].as_str().unwrap();
            assert!(!detail.is_empty() && !detail.contains(DRIVER), "{letter}");
            (headers["dead_reason"].as_str().unwrap(), letter["payload"].as_str().unwrap())
        })
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ("invalid_arguments", token_as_expiry.as_str()),
            ("invalid_arguments", r#"[["not a uuid", "t", "http://x/", 1], {}, {}]"#),
            ("invalid_arguments", r#"[["x"], {}, {}]"#),
            ("not_a_task", "hello"),
            ("undecodable", "\u{1}"),
            ("undecodable", r#"[["x", NaN], {}, {}]"#),
            ("undecodable", "not json"),
            ("unknown_task", "[[], {}, {}]"),
        ]
    );
    let kept = letters.iter().filter(|letter| letter["properties"]["headers"]["note"] == "kept").count();
    assert_eq!(kept, 7, "custom headers are kept");
}

/// Messages that Celery sends and its Python workers run, but ours do not.
const BEYOND_JSON: &str = r#"
import sys, time
from datetime import datetime, timedelta, timezone
from celery import Celery
from kombu import Queue
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {"confirm_publish": True}
app.conf.task_queues = [Queue("celery", queue_arguments={"x-queue-type": "quorum"})]
station, driver, url = sys.argv[2:]
def ask(id, driver=driver, **options):
    arguments = [station, driver, url, time.time_ns() + 60 * 10**9]
    app.send_task("authorization_worker.tasks.authorize", arguments, task_id=id, **options)
def nested(levels):
    value = "x"
    for _ in range(levels): value = [value]
    return value
kolkata_once = timezone(timedelta(hours=5, minutes=53, seconds=28))
later = datetime.now(kolkata_once) + timedelta(hours=1)
ask("half at the end", driver=driver + "\ud83d")
ask("half within", driver="\udd0c" + driver)
ask("levels 127", driver=nested(125))
ask("levels 128", driver=nested(126))
ask("eta", eta=later)
ask("expires", expires=later)
"#;

#[tokio::test]
async fn half_a_surrogate_pair_json_deeper_than_127_levels_and_an_offset_with_seconds_are_dead_letters() {
    let mut deployment = Deployment::new().await;
    let _services = deployment.start().await;
    let output =
        python(&deployment, BEYOND_JSON, &[STATION, DRIVER, "http://127.0.0.1:9/"]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut letters = Vec::new();
    eventually("six dead letters", async || {
        letters.extend(deployment.drain("celery.dead").await);
        (letters.len() == 6).then_some(())
    })
    .await;
    let text =
        |letter: &Value, name: &str| letter["properties"]["headers"][name].as_str().unwrap().to_owned();
    let mut reasons: Vec<String> = letters
        .iter()
        .map(|it| format!("{}: {}: {}", text(it, "id"), text(it, "dead_reason"), text(it, "dead_detail")))
        .collect();
    reasons.sort_unstable();
    insta::assert_snapshot!(reasons.join("\n"));
}

#[tokio::test]
async fn a_task_behind_a_byte_order_mark_is_done() {
    let mut deployment = Deployment::new().await;
    let _services = deployment.start().await;
    let host = CallbackHost::start().await;
    let publisher = Publisher::connect(&deployment).await;
    let arguments = json!([[STATION, DRIVER, host.url("/ok/marked"), u64::MAX >> 1], {}, {}]);
    let id = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    publisher.publish(Some((authorize::NAME, id)), "application/json", &format!("\u{feff}{arguments}")).await;
    host.all_of(&[id.to_owned()]).await;
}

#[tokio::test]
async fn a_message_without_room_for_the_reason_is_dead_lettered() {
    let mut deployment = Deployment::new().await;
    let _services = deployment.start().await;
    let publisher = Publisher::connect(&deployment).await;
    let large = "x".repeat(130_000);
    publisher
        .publish(Some((&large, "01a1fdc4-3193-72e3-bff0-3fbc4117778f")), "application/json", "[[],{},{}]")
        .await;
    publisher.publish(Some(("nobody.knows", &large)), "application/json", "[[],{},{}]").await;
    eventually("two dead letters", async || {
        (deployment.messages_in("celery.dead").await? == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_task_that_kills_its_worker_is_dead_lettered_and_recorded() {
    let mut deployment =
        Deployment::new().await.with("CALLBACK_TIMEOUT_SEC", 300).with("CALLBACK_WINDOW_SEC", 600);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/hang")).await;
    let mut worker = services.worker;
    for deliveries in 1..=5 {
        eventually("the attempt", async || (host.received().len() == deliveries).then_some(())).await;
        worker.kill().await;
        worker = deployment.start_worker();
    }
    let shown = record_once(http, &services.api_url, &request, "undeliverable").await;
    assert!(shown["callback_status"].as_str().unwrap().starts_with("poison"), "{shown}");
    let letters = eventually("the dead letter", async || {
        Some(deployment.drain("celery.dead").await).filter(|letters| !letters.is_empty())
    })
    .await;
    assert_eq!(letters[0]["properties"]["headers"]["dead_reason"], "poison");
    assert_eq!(host.received().len(), 5);
}

#[tokio::test]
async fn a_callback_that_is_refused_for_good_is_recorded_and_kept() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let mut requests = Vec::new();
    for path in ["/status/404", "/redirect", "/status/410"] {
        requests.push((path, services.ask(http, DRIVER, &host.url(path)).await));
    }
    let mut letters: Vec<Value> = Vec::new();
    eventually("three dead letters", async || {
        letters.extend(deployment.drain("celery.dead").await);
        (letters.len() == 3).then_some(())
    })
    .await;
    let expected = [
        ("/status/404", "callback_rejected", "404"),
        ("/redirect", "callback_rejected", "302"),
        ("/status/410", "callback_gone", "410"),
    ];
    for ((path, request), (_, reason, status)) in requests.iter().zip(expected) {
        let letter =
            letters.iter().find(|letter| letter["properties"]["headers"]["id"] == json!(request)).unwrap();
        assert_eq!(letter["properties"]["headers"]["dead_reason"], reason, "{path}");
        let shown = services.record_once(http, request, "undeliverable").await;
        assert_eq!(shown["callback_status"], status, "{path}");
    }
    assert!(
        !host.received().iter().any(|callback| callback.path == "/ok/redirected"),
        "a redirect is never followed"
    );
}

#[tokio::test]
async fn an_existing_classic_queue_is_used_as_it_is() {
    let mut deployment = Deployment::new().await;
    let queue = format!("{}/api/queues/{}/celery", deployment.servers.broker_api, deployment.vhost);
    let classic = json!({"durable": true, "arguments": {}});
    assert!(deployment.http.put(queue).json(&classic).send().await.unwrap().status().is_success());
    let services = deployment.start().await;
    let host = CallbackHost::start().await;
    let request = services.ask(&deployment.http, DRIVER, &host.url("/ok/classic")).await;
    host.all_of(&[request]).await;
    for (queue, kind) in [("celery", "classic"), ("celery.dead", "quorum"), ("celery.callbacks", "quorum")] {
        let found =
            deployment.servers.broker_get(&format!("queues/{}/{queue}", deployment.vhost)).await.unwrap();
        assert_eq!(found["type"], kind, "{queue} of {STATION}");
    }
}

/// Runs `voltgate dead …` against a deployment; returns its exit code and its output.
async fn voltgate_dead(environment: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(tests::process::program("voltgate"));
    command.arg("dead").args(arguments).env_clear().envs(environment).current_dir(std::env::temp_dir());
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn an_operator_lists_replays_and_purges_dead_letters() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    // Permanently refused once; it is replayed after its host has been repaired.
    let mended = services.ask(http, DRIVER, &host.url("/first/404/200")).await;
    let gone = services.ask(http, DRIVER, &host.url("/status/410")).await;
    let environment = &deployment.environment;
    let listed = eventually("two dead letters", async || {
        let (_, text) = voltgate_dead(environment, &["list", "--json"]).await;
        (text.lines().count() == 2).then_some(text)
    })
    .await;
    assert!(listed.contains(&mended) && listed.contains(&gone) && listed.contains("127.0.0.1"), "{listed}");
    assert!(!listed.contains(DRIVER), "a driver token is personal data");
    let (code, one) = voltgate_dead(environment, &["show", &gone]).await;
    assert!(code == Some(0) && one.contains("callback_gone") && one.contains("dead_detail"), "{one}");
    assert_eq!(voltgate_dead(environment, &["show", "nobody"]).await.0, Some(1));
    let (code, text) = voltgate_dead(environment, &["replay"]).await;
    assert!(code == Some(64) && text.contains("--all"), "{text}");

    assert_eq!(
        voltgate_dead(environment, &["replay", "--id", &mended]).await,
        (Some(0), "1 replayed\n".to_owned())
    );
    let received = eventually("a second attempt", async || {
        let to_mended: Vec<_> =
            host.received().into_iter().filter(|callback| callback.id() == mended).collect();
        (to_mended.len() == 2).then_some(to_mended)
    })
    .await;
    assert!(received.iter().all(|callback| callback.status() == "not_allowed"));
    let (code, text) = voltgate_dead(environment, &["purge", "--reason", "callback_gone"]).await;
    assert_eq!((code, text.as_str()), (Some(0), "1 purged\n"));
    assert_eq!(voltgate_dead(environment, &["list"]).await, (Some(0), "no dead letters\n".to_owned()));
    let shown = services.record_once(http, &mended, "delivered").await;
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2);
}
