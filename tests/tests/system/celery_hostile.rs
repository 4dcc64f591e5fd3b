//! Messages at and beyond the limits of what Celery sends, to a worker of ours: what it cannot honour is dead-lettered
//! with its reason, and does not affect other tasks.

use std::collections::BTreeMap;

use tests::eventually;

use super::celery_results::Scene;

/// Publishes bytes without encoding them.
const RAW: &str = r#"
import amqp
def raw(body, headers=None, **properties):
    properties = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    with app.connection_for_write() as connection:
        message = amqp.Message(body, application_headers=headers or {}, **properties)
        connection.channel().basic_publish(message, exchange="", routing_key="celery")
"#;

impl Scene {
    /// The number of dead letters for each reason, once there are `count` in total.
    async fn letters(&self, count: usize) -> BTreeMap<String, usize> {
        let mut letters = Vec::new();
        eventually("the dead letters", async || {
            letters.extend(self.deployment.drain("celery.dead").await);
            (letters.len() == count).then_some(())
        })
        .await;
        let mut reasons = BTreeMap::new();
        for letter in letters {
            let reason = letter["properties"]["headers"]["dead_reason"].as_str().unwrap().to_owned();
            *reasons.entry(reason).or_default() += 1;
        }
        reasons
    }
}

const TOO_LARGE: &str = r#"
old = {"id": "1", "args": [1, 2], "kwargs": {}, "task": name_of("add")}
raw(json.dumps({**old, "task": "A" * 200_000}))
raw(json.dumps({**old, "shadow": "A" * 200_000, "eta": "2030-01-01T00:00:00"}))
call("add", 1, 2, link=sig("add", 1).set(task_id="i" * 300))
parent = call("add", 1, 2, link=sig("add", 1).set(headers={"x": "i" * 200_000}))
failed = call("fail", link_error=sig("identity").set(headers={"x": "i" * 200_000}))
nowhere = [call("fail", link_error=sig("identity").set(queue=queue)) for queue in ["", "amq.direct"]]
refused = [ended(each)[0] for each in nowhere]
print(json.dumps([ended(parent)[0], ended(failed)[0], *refused, ended(call("add", 1, 2))]))
"#;

#[tokio::test]
async fn a_message_too_large_to_publish_is_dead_lettered_without_loop() {
    let scene = Scene::in_redis().await;
    let out = scene.python(&format!("{RAW}{TOO_LARGE}")).await;
    assert_eq!(out, serde_json::json!(["FAILURE", "FAILURE", "FAILURE", "FAILURE", ["SUCCESS", 3]]));
    let expected = [("undecodable", 2), ("unpublishable", 2), ("unsupported", 3)];
    let expected = expected.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(scene.letters(7).await, BTreeMap::from(expected));
    assert!(!scene.worker.log().contains("no connection to the broker"), "{}", scene.worker.log_tail());
}

const NOBODY: &str = r#"
raw(json.dumps([[1, 2], {}, {}]), {"task": name_of("add"), "id": "i" * 300}, reply_to="nobody")
print(json.dumps([ended(call("add", 1, 2)) for _ in range(8)]))
"#;

#[tokio::test]
async fn a_result_that_cannot_be_addressed_holds_nothing_up() {
    let scene = Scene::set("rpc://").await;
    scene.python(&format!("{RAW}{NOBODY}")).await;
    eventually("the queue to be empty", async || {
        (scene.deployment.messages_in("celery").await? == 0).then_some(())
    })
    .await;
}

const LINKED: &str = r#"
from celery import group
with app.connection_for_write() as connection: connection.channel().queue_declare("aside", durable=True, auto_delete=False)
def aside():
    with app.connection_for_read() as connection: return connection.channel().basic_get("aside", no_ack=True)
def link(linked): ended(call("add", 1, 2, link=app.signature(linked)))
link(chain(sig("add", 1), sig("identity")).set(queue="aside", priority=7))
first = aside()
link(group(sig("add", 1), sig("add", 2)).set(queue="aside"))
out = [first.headers["task"], first.properties["priority"], aside() is not None, aside() is not None]
errback = sig("identity"); told = errback.freeze()
broken = chain(sig("identity"), sig("raise_error", immutable=True))
broken.options["link_error"] = [errback]
link(broken)
print(json.dumps(out + [ended(told)[0]]))
"#;

#[tokio::test]
async fn what_is_said_of_a_chain_or_a_group_holds_for_its_tasks() {
    let scene = Scene::in_redis().await;
    let out = scene.python(LINKED).await;
    assert_eq!(out, serde_json::json!(["t.integration.tasks.add", 7, true, true, "SUCCESS"]));
}
