//! Python's Celery calls tasks of a worker of ours and waits for their results, over Redis and over `rpc://`.

use std::collections::BTreeMap;
use std::process::Stdio;

use nix::sys::signal::Signal;
use redis::AsyncCommands;
use serde_json::{Value, json};
use test_servers::Redis;
use tests::deployment::Deployment;
use tests::eventually;
use tests::process::Process;
use tokio::process::Command;

/// Functions that call tasks of the conformance worker by name; the result of one is its state
/// with its value or its exception.
const PRELUDE: &str = r#"
import datetime, json, sys, time
from celery import Celery, chain, chord
app = Celery(broker=sys.argv[1], backend=sys.argv[2])
# Messages without a confirm may be lost when the client exits.
app.conf.broker_transport_options = {"confirm_publish": True}
def name_of(task): return "t.integration.tasks." + task
def call(task, *args, **options): return app.send_task(name_of(task), args, **options)
def sig(task, *args, **options): return app.signature(name_of(task), args=args, **options)
def ended(result):
    try: value = result.get(timeout=30)
    except Exception as error: value = f"{type(error).__module__}.{error!r}"
    return [result.state, value]
past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=60)
"#;

/// A conformance worker with its backend, and Python to call it.
pub(super) struct Scene {
    pub(super) deployment: Deployment,
    backend: String,
    pub(super) worker: Process,
}

impl Scene {
    pub(super) async fn set(backend: &str) -> Self {
        let deployment = Deployment::new().await;
        let redis = deployment.servers.redis.clone();
        let address = redis.trim_start_matches("redis://");
        let (host, port) = address.split_once(':').unwrap();
        let environment = BTreeMap::from([
            ("REDIS_HOST".to_owned(), host.to_owned()),
            ("REDIS_PORT".to_owned(), port.to_owned()),
        ]);
        let broker = deployment.environment["BROKER_URL"].clone();
        let arguments = [
            "--broker",
            &broker,
            "--backend",
            backend,
            "--hostname",
            "conformance@tests",
            "--concurrency",
            "4",
        ];
        let mut worker = Process::start("conformance_worker", &arguments, &environment);
        worker.logged("hostname").await;
        Self { deployment, backend: backend.to_owned(), worker }
    }

    /// A scene with the run's Redis as the backend.
    pub(super) async fn in_redis() -> Self {
        Self::set(&tests::servers::Servers::of_this_run().redis).await
    }

    /// Runs a script; returns the one line of JSON that it prints.
    pub(super) async fn python(&self, script: &str) -> Value {
        let mut python = Command::new(&self.deployment.servers.python);
        python.arg("-c").arg(format!("{PRELUDE}{script}"));
        python.arg(&self.deployment.environment["BROKER_URL"]).arg(&self.backend);
        python.stdin(Stdio::null()).kill_on_drop(true);
        let output = python.output().await.unwrap();
        let worker = self.worker.log_tail();
        assert!(output.status.success(), "{}\n{worker}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The stored result of a task, and its remaining seconds.
    async fn kept(&self, id: &str) -> (Option<Value>, i64) {
        let mut redis = self.deployment.servers.redis().await;
        let key = format!("celery-task-meta-{id}");
        let meta: Option<String> = redis.get(&key).await.unwrap();
        (meta.map(|meta| serde_json::from_str(&meta).unwrap()), redis.ttl(&key).await.unwrap())
    }
}

const ENDINGS: &str = r#"
results = {
  "a value": call("add", 2, 3),
  "text": call("identity", "h\u00e9 \U0001f50c"),
  "nothing": call("print_unicode"),
  "an exception of Python": call("raise_error"),
  "an exception of its own": call("fail", 1),
  "an unknown task": call("nosuch"),
  "an argument too few": call("add", 1),
  "tried twice": call("retry_once"),
  "tried again with other arguments": app.send_task(
      name_of("retry_with_args_after_kwargs"), kwargs={"foo": 1, "bar": 2, "label": "kept"}),
  "tried too often": app.send_task(
      name_of("retry_unpickleable"), ["foo", "bar"], {"retry_kwargs": {"countdown": 0, "max_retries": 1}}),
  "rejected": call("reject_without_requeue"),
  "rejected and taken again": call("reject_then_succeed"),
  "replaced": call("record_replaced_task_nesting", 2),
  "expired": call("add", 1, 1, expires=past),
  "later": call("add", 4, 5, countdown=1),
}
print(json.dumps({name: ended(result) for name, result in results.items()}))
"#;

#[tokio::test]
async fn a_python_client_is_told_how_its_task_ended() {
    let scenes = [Scene::in_redis().await, Scene::set("rpc://").await];
    for scene in scenes {
        let ended = scene.python(ENDINGS).await;
        let shown: Vec<String> =
            ended.as_object().unwrap().iter().map(|(name, ended)| format!("{name}: {ended}")).collect();
        insta::assert_snapshot!("endings", shown.join("\n"));
    }
}

const CANVAS: &str = r#"
def linked(task, *args, **options):
    callback = sig(task, *args, **options)
    return callback, callback.freeze()
out = {}
out["chain"] = ended(chain(sig("add", 1, 1), sig("add", 2), sig("mul", 10))())
out["immutable"] = ended(chain(sig("add", 1, 1), sig("add", 5, 5, immutable=True))())
out["ids"] = [isinstance(id, str) for id in ended(chain(sig("identity", 1), sig("ids", 7, immutable=True))())[1]]
broken = chain(sig("add", 1, 1), sig("raise_error"), sig("add", 1))()
out["the end of a broken chain"] = ended(app.AsyncResult(broken.id))
callback, result = linked("mul", 10)
call("add", 1, 2, link=callback)
out["link"] = ended(result)
(one, first), (two, second) = linked("identity"), linked("add", 100)
call("add", 1, 2, link=[one, two])
out["two links"] = [ended(first), ended(second)]
callback, result = linked("identity")
failed = call("fail", link_error=callback)
out["link_error"] = [ended(failed)[0], ended(result)[1] == failed.id]
callback, result = linked("identity")
call("add", 1, 2, ignore_result=True, link=callback)
out["link of a task without a result"] = ended(result)
callback = sig("add", 1, 1, immutable=True).set(countdown=1, priority=3, headers={"tenant": "kept"})
result = callback.freeze()
began = time.monotonic()
call("add", 1, 2, link=callback)
out["a link with a countdown"] = [ended(result), time.monotonic() - began >= 1]
callback, result = linked("add", 1, 1, immutable=True)
callback.set(expires=past.isoformat())
call("add", 1, 2, link=callback)
out["a link that has expired"] = ended(result)
tail = sig("identity"); last = tail.freeze()
call("add", 1, 2, link=app.signature(chain(sig("add", 10), tail)))
out["a chain as a link"] = ended(last)
print(json.dumps(out))
"#;

#[tokio::test]
async fn what_follows_a_task_is_called_with_what_it_returned() {
    let scenes = [Scene::in_redis().await, Scene::set("rpc://").await];
    for scene in scenes {
        let out = scene.python(CANVAS).await;
        let shown: Vec<String> =
            out.as_object().unwrap().iter().map(|(name, ended)| format!("{name}: {ended}")).collect();
        insta::assert_snapshot!("canvas", shown.join("\n"));
    }
}

#[tokio::test]
async fn an_errback_of_the_new_kind_is_told_the_request() {
    let scene = Scene::in_redis().await;
    let script = r#"
failed = call("fail", link_error=sig("errback_new_style"))
print(json.dumps([ended(failed)[0], failed.id]))
"#;
    let out = scene.python(script).await;
    assert_eq!(out[0], "FAILURE");
    // The errback is called before the failure is stored.
    let mut redis = scene.deployment.servers.redis().await;
    let calls: Option<u32> = redis.get(out[1].as_str().unwrap()).await.unwrap();
    assert_eq!(calls, Some(1));
}

#[tokio::test]
async fn a_result_is_kept_for_a_day_as_celery_keeps_it() {
    let scene = Scene::in_redis().await;
    let script = r#"
callback = sig("identity").set(task_id="child-" + str(time.time_ns()))
parent = call("add", 1, 2, link=callback)
ended(parent)
failed = call("raise_error")
ended(failed)
print(json.dumps([parent.id, callback.id, failed.id]))
"#;
    let ids = scene.python(script).await;
    let (meta, ttl) = scene.kept(ids[0].as_str().unwrap()).await;
    let mut meta = meta.unwrap();
    assert!(meta["date_done"].as_str().unwrap().ends_with("+00:00"));
    meta["date_done"] = Value::Null;
    assert_eq!(
        meta,
        json!({"status": "SUCCESS", "result": 3, "traceback": null, "children": [[[ids[1], null], null]],
               "date_done": null, "task_id": ids[0]})
    );
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    let (failed, _) = scene.kept(ids[2].as_str().unwrap()).await;
    let exception =
        json!({"exc_type": "ValueError", "exc_message": ["deliberate error"], "exc_module": "builtins"});
    assert_eq!(failed.unwrap()["result"], exception);
}

#[tokio::test]
async fn an_ignored_result_is_not_stored_and_a_success_not_replaced() {
    let scene = Scene::in_redis().await;
    let script = r#"
app.backend.store_result("kept-" + sys.argv[1][-8:], "first", "SUCCESS")
ids = ["kept-" + sys.argv[1][-8:],
  call("add", 1, 2, ignore_result=True).id, call("add_ignore_result", 1, 2).id,
  call("add_ignore_result", 1, 2, ignore_result=False).id, call("fail", task_id="kept-" + sys.argv[1][-8:]).id]
print(json.dumps(ids))
"#;
    let ids = scene.python(script).await;
    eventually("the tasks to be done", async || {
        let queue =
            scene.deployment.servers.broker_get(&format!("queues/{}/celery", scene.deployment.vhost)).await?;
        (queue["messages"] == 0 && queue["message_stats"]["ack"].as_u64()? >= 4).then_some(())
    })
    .await;
    let mut kept = Vec::new();
    for id in ids.as_array().unwrap() {
        kept.push(scene.kept(id.as_str().unwrap()).await.0.map(|meta| meta["result"].clone()));
    }
    assert_eq!(kept, [Some(json!("first")), None, None, Some(json!(3)), Some(json!("first"))]);
}

#[tokio::test]
async fn a_waiting_client_sees_a_task_start_and_retry() {
    let scene = Scene::in_redis().await;
    let script = r#"
def comes_to(result, state):
    deadline = time.monotonic() + 30
    while result.state != state and time.monotonic() < deadline: time.sleep(0.05)
    return result.state
begun, again = call("delayed_sum", [1, 2], 2), call("retry", return_value="at last")
out = [comes_to(begun, "STARTED"), comes_to(again, "RETRY"), repr(again.result)]
print(json.dumps(out + [ended(begun)]))
"#;
    let out = scene.python(script).await;
    assert_eq!(out, json!(["STARTED", "RETRY", "ExpectedException()", ["SUCCESS", 3]]));
}

#[tokio::test]
async fn a_task_whose_result_cannot_be_stored_is_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(directory.path()).unwrap();
    let scene = Scene::set(&redis.url()).await;
    redis.kill().unwrap();
    let script = r#"
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {"confirm_publish": True}
# The one of these tasks that is acknowledged late.
print(json.dumps(call("reject_then_succeed", ignore_result=False).id))
"#;
    let id = scene.python(script).await;
    let unacknowledged = async || {
        let queue =
            scene.deployment.servers.broker_get(&format!("queues/{}/celery", scene.deployment.vhost)).await?;
        queue["messages_unacknowledged"].as_u64()
    };
    eventually("the result to wait", async || {
        let waits = scene.worker.log().contains("a result is not stored yet");
        (waits && unacknowledged().await? == 1).then_some(())
    })
    .await;
    redis.start_again().unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let meta = eventually("the result", async || {
        let key = format!("celery-task-meta-{}", id.as_str()?);
        connection.clone().get::<_, Option<String>>(&key).await.ok()?
    })
    .await;
    assert!(meta.contains("SUCCESS"), "{meta}");
    eventually("its acknowledgement", async || (unacknowledged().await? == 0).then_some(())).await;
}

#[tokio::test]
async fn a_chord_is_refused_before_it_runs_and_its_waiter_notified() {
    let scene = Scene::in_redis().await;
    let script = r#"
callback = {"task": "celery.chord", "args": [], "kwargs": {}, "options": {}, "subtask_type": "chord", "immutable": False}
out = [ended(call("add", 1, 2, link=callback))]
out.append(ended(chord([sig("add", 1, 1), sig("add", 2, 2)])(sig("tsum"))))
print(json.dumps(out))
"#;
    let out = scene.python(script).await;
    for ended in out.as_array().unwrap() {
        assert_eq!(ended[0], "FAILURE");
        assert!(ended[1].as_str().unwrap().contains("chord"), "{out}");
    }
    let letters = scene.deployment.drain("celery.dead").await;
    assert!(letters.iter().all(|letter| letter["properties"]["headers"]["dead_reason"] == "unsupported"));
    assert_eq!(letters.len(), 3);
}

/// Such a task runs at most once: if its worker is killed, it is lost and not run again.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_acknowledged_task_is_requeued_on_shutdown() {
    let mut scene = Scene::in_redis().await;
    let id = scene.python(r#"print(json.dumps(call("sleeping", 60).id))"#).await;
    let asked = format!(
        r#"print(json.dumps(list((app.control.inspect().query_task(["{}"]) or {{"": {{}}}}).values())[0]))"#,
        id.as_str().unwrap()
    );
    let shown = eventually("the task runs", async || {
        let shown = scene.python(&asked).await;
        (shown[id.as_str()?][0] == "active").then_some(shown)
    })
    .await;
    assert_eq!(shown[id.as_str().unwrap()][1]["acknowledged"], true, "{shown}");
    eventually("the broker holds nothing of it", async || {
        (scene.deployment.messages_in("celery").await? == 0).then_some(())
    })
    .await;

    // The conformance worker has a grace time of ten seconds, and the task sleeps for longer.
    scene.worker.signal(Signal::SIGTERM);
    assert_eq!(scene.worker.ended().await, Some(0), "{}", scene.worker.log_tail());
    let given_back =
        eventually("the task is back", async || scene.deployment.drain("celery").await.into_iter().next())
            .await;
    assert_eq!(given_back["properties"]["headers"]["id"], id);
}
