//! Celery's remote control: the effect of its commands on a worker of ours.

use task_queue::ControlConfig;
use tests::deployment::Deployment;

use super::celery_events::LISTEN;
use super::celery_workers::{Ours, client, control, python_worker};

const REVOKING: &str = r#"
running = [slow(60), slow(60)]
until(lambda: len(ours("active")) == 2)
waiting, stamped, kept = slow(0), slow(0, stamped_headers=["tenant"], tenant="x"), slow(0)
assert ours("revoke", task_id=waiting) == {"ok": "tasks {'%s'} flagged as revoked" % waiting}
ours("revoke_by_stamped_headers", headers={"tenant": ["x"]})
assert waiting in ours("revoked")
answer = ours("revoke", task_id=running, terminate=True, signal="KILL")
assert sorted(answer["ok"].removeprefix("terminate: ").split(", ")) == sorted(running), answer
until(lambda: ours("stats")["total"] == {"tests.slow": 3})
until(lambda: not ours("active"))
print(json.dumps([waiting, stamped]))
"#;

const STILL_REVOKED: &str = r#"
waiting = sys.argv[2]
assert waiting in ours("revoked"), ours("revoked")
app.send_task("tests.slow", [0], queue="q.ours", task_id=waiting)
slow(0, stamped_headers=["tenant"], tenant="x")
until(lambda: app.connection_for_read().channel().queue_declare("q.ours", passive=True).message_count == 0)
slow(0)
until(lambda: ours("stats")["total"] == {"tests.slow": 1})
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_task_is_skipped_or_ended_even_after_a_restart() {
    let deployment = Deployment::new().await;
    let directory = tempfile::tempdir().unwrap();
    let state_file = Some(directory.path().join("state.json"));
    let config = ControlConfig { state_file, ..control() };
    let ours = Ours::start_as(&deployment, config.clone(), None).await;
    let revoked = client(&deployment, REVOKING, &[]).await;
    ours.stop().await;
    let ours = Ours::start_as(&deployment, config, None).await;
    client(&deployment, STILL_REVOKED, &[revoked[0].as_str().unwrap()]).await;
    ours.stop().await;
}

const NEIGHBOUR: &str = r#"
app.control.revoke("known to a neighbour", destination=["python@test"])
until(lambda: "known to a neighbour" in ask("revoked", to=["python@test"])["python@test"])
"#;

const LEARNT: &str = r#"
until(lambda: "known to a neighbour" in ours("revoked"))
with app.connection_for_write() as connection:
    app.events.Dispatcher(connection, hostname="other@test").send("worker-elect", id="e1", topic="t", action=None, cver=1)
until(lambda: [event["id"] for event in of("ours@test", "worker-elect-ack")] == ["e1"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_worker_learns_revocations_and_votes_in_elections() {
    let deployment = Deployment::new().await;
    let _python = python_worker(&deployment, &[]).await;
    client(&deployment, NEIGHBOUR, &[]).await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, &format!("{LISTEN}{LEARNT}"), &["ours@test"]).await;
    ours.stop().await;
}

const POOL: &str = r#"
def running(number):
    until(lambda: len(ours("active")) == number)
def slots(): return ours("stats")["pool"]["max-concurrency"]
tasks = [slow(60) for _ in range(8)]
running(2)
ours("pool_grow", n=3)
assert slots() == 5
running(5)
ours("pool_shrink", n=4)
assert slots() == 1
ours("revoke", task_id=[each["id"] for each in ours("active")], terminate=True)
until(lambda: ours("stats")["total"] == {"tests.slow": 6})
running(1)
time.sleep(0.3)
running(1)
ours("revoke", task_id=tasks, terminate=True)
until(lambda: not ours("active"))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_grows_and_shrinks_while_it_works() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, POOL, &[]).await;
    ours.stop().await;
}

const LIMITS: &str = r#"
ours("rate_limit", task_name="tests.slow", rate_limit="2/s")
began = time.monotonic()
for _ in range(5): slow(0)
until(lambda: ours("stats")["total"] == {"tests.slow": 5})
took = time.monotonic() - began
assert took > 1.9, took
ours("rate_limit", task_name="tests.slow", rate_limit="1/h")
slow(0); slow(0)
until(lambda: len(ours("reserved")) == 1)
[late] = ours("reserved")
assert ours("query_task", ids=[late["id"]]) == {late["id"]: ["reserved", late]}
ours("rate_limit", task_name="tests.slow", rate_limit=0)
until(lambda: ours("stats")["total"] == {"tests.slow": 7})
ours("time_limit", task_name="tests.slow", hard=0.2)
slow(60)
until(lambda: ours("stats")["total"] == {"tests.slow": 8} and not ours("active"))
eta = slow(0, countdown=3)
until(lambda: ours("query_task", ids=[eta]).get(eta, [""])[0] == "scheduled")
assert ours("scheduled")[0]["request"]["id"] == eta
until(lambda: ours("stats")["total"] == {"tests.slow": 9})
assert ours("scheduled") == []
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_a_time_limit_and_an_eta_hold() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, LIMITS, &[]).await;
    ours.stop().await;
}

const CONSUMERS: &str = r#"
def queues(): return sorted(queue["name"] for queue in ours("active_queues"))
slow(0, "q.new")
ours("add_consumer", queue="q.new")
until(lambda: ours("stats")["total"] == {"tests.slow": 1})
assert queues() == ["celery", "q.new", "q.ours"]
ours("cancel_consumer", queue="q.new")
assert queues() == ["celery", "q.ours"]
slow(0, "q.new")
with app.connection_for_read() as connection:
    until(lambda: connection.channel().queue_declare("q.new", passive=True).message_count == 1)
ours("add_consumer", queue="q.topic", exchange="things", exchange_type="topic", routing_key="things.#")
with app.connection_for_write() as connection:
    until(lambda: connection.channel().queue_declare("q.topic", passive=True).consumer_count == 1)
app.send_task("tests.slow", [0], exchange="things", routing_key="things.new")
until(lambda: ours("stats")["total"] == {"tests.slow": 2})
only = lambda **pattern: [*app.control.broadcast("ping", reply=True, timeout=0.5, **pattern)]
assert only(pattern="ours@*", matcher="glob") and only(pattern="o.+@t", matcher="pcre")
assert not only(pattern="x*", matcher="glob") and not only(destination=["x@test"])
app.control.shutdown(destination=["ours@test"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_added_and_cancelled_and_shutdown_ends_the_worker() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, CONSUMERS, &[]).await;
    ours.ended().await;
}
