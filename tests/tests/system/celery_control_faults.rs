//! Malformed or late remote control commands: always answered in Celery's format, and nothing is left behind.

use tests::eventually;

use super::celery_results::Scene;

/// Sends commands through the mailbox, including ones that no Celery client would send.
const ASK: &str = r#"
import amqp, uuid
def until(state):
    began = time.monotonic()
    while not state():
        assert time.monotonic() - began < 60, "waited in vain"
        time.sleep(0.05)
def ask(method, arguments):
    with app.connection_for_write() as connection:
        channel, oid = connection.channel(), str(uuid.uuid4())
        channel.exchange_declare("reply.celery.pidbox", "direct", durable=False, auto_delete=False)
        queue = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(queue, "reply.celery.pidbox", oid)
        reply_to = {"exchange": "reply.celery.pidbox", "routing_key": oid}
        body = json.dumps({"method": method, "arguments": arguments, "ticket": oid, "reply_to": reply_to})
        channel.basic_publish(amqp.Message(body, content_type="application/json"), exchange="celery.pidbox")
        answers = []
        def answered():
            message = channel.basic_get(queue, no_ack=True)
            if message: answers.append(json.loads(message.body)["conformance@tests"])
            return answers
        until(answered)
        return answers[0]
until(lambda: app.control.ping(timeout=0.3))
"#;

const NONSENSE: &str = r#"
add = name_of("add")
answered = {
  "no arguments": ask("ping", []), "a list of arguments": ask("ping", [1]), "a text": ask("ping", "x"),
  "no method": ask(None, {}), "a number as method": ask(5, {}),
  "an id that is none": ask("revoke", {"task_id": [5]}), "no id": ask("revoke", {"task_id": None}),
  "a stamp without a name": ask("revoke_by_stamped_headers", {"headers": ["x"]}),
  "a stamp that is none": ask("revoke_by_stamped_headers", {"headers": {"tenant": None}}),
  "a limit of no task": ask("rate_limit", {"task_name": 5, "rate_limit": "1/s"}),
  "a queue without a name": ask("add_consumer", {"queue": ""}),
}
assert answered.pop("no arguments") == {"ok": "pong"}, answered
assert answered.pop("no id") == {"ok": "tasks set() flagged as revoked"}
assert answered.pop("a limit of no task") == {"error": "unknown task"}
assert answered.pop("a queue without a name") == {"ok": "add consumer "}
wrong = {what: answer for what, answer in answered.items() if [*answer] != ["error"] or "Error(" not in answer["error"]}
assert not wrong, wrong
until(lambda: [queue["name"] for queue in ask("active_queues", {})] == ["celery"])
for number in range(3): call(f"nosuch{number}")
assert ended(call("nosuch"))[0] == "FAILURE"
assert ask("stats", {})["total"] == {}
assert ask("time_limit", {"task_name": name_of("sleeping"), "soft": 0, "hard": 0}) == {"ok": "time limits set successfully"}
print(json.dumps([ended(call("sleeping", 0.1)), ended(call("sleeping", 0.1, time_limit=0, soft_time_limit=0))]))
"#;

#[tokio::test]
async fn nonsense_is_answered_and_changes_nothing() {
    let scene = Scene::in_redis().await;
    let out = scene.python(&format!("{ASK}{NONSENSE}")).await;
    assert_eq!(out, serde_json::json!([["SUCCESS", null], ["SUCCESS", null]]));
    let queues = scene.deployment.servers.broker_get(&format!("queues/{}", scene.deployment.vhost)).await;
    let made =
        |queue: &serde_json::Value| queue["name"].as_str().is_some_and(|name| name.starts_with("amq."));
    assert!(!queues.unwrap().as_array().unwrap().iter().any(made), "a queue was made that nobody asked for");
}

const REVOKED: &str = r#"
def kept(id): return app.backend.get_task_meta(id)["status"]
done, later, running = call("add", 1, 2), call("add", 1, 2, countdown=600), call("delayed_sum", [1, 2], 3)
assert ended(done) == ["SUCCESS", 3]
until(lambda: kept(running.id) == "STARTED")
never = str(uuid.uuid4())
ask("revoke", {"task_id": [done.id, later.id, running.id, never]})
print(json.dumps([ended(later), ended(app.AsyncResult(never))[0], ended(done), ended(running)]))
"#;

#[tokio::test]
async fn revoking_notifies_the_waiter_and_a_running_task_continues() {
    let scene = Scene::in_redis().await;
    let out = scene.python(&format!("{ASK}{REVOKED}")).await;
    let revoked = "celery.exceptions.TaskRevokedError('revoked')";
    assert_eq!(out, serde_json::json!([["REVOKED", revoked], "REVOKED", ["SUCCESS", 3], ["SUCCESS", 3]]));
    eventually("the one of later to wait in the broker", async || {
        (scene.deployment.messages_in("celery").await? == 0).then_some(())
    })
    .await;
}
