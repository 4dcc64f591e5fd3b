//! Every kind of message that Python's Celery publishes, to a worker of ours.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Value, json};
use task_queue::message::Headers;
use task_queue::protocol::{Origin, TaskOptions};
use task_queue::{
    Broker, Message, Outcome, QueueType, Retry, Task, TaskContext, TaskMessage, Tasks, Timestamp, Topology,
    Worker, WorkerConfig, connect,
};
use tests::deployment::{DRIVER, Deployment, STATION};
use tests::{PATIENCE, eventually};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::python::python;

/// One run of a task, as its worker saw it.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) retries: u32,
    pub(super) value: Value,
    message: Arc<Message>,
    pub(super) at: SystemTime,
}

/// Records each run. Asks for one retry if the arguments say so.
struct Note(mpsc::UnboundedSender<Run>);

#[derive(serde::Deserialize)]
struct NoteArgs {
    value: Value,
    again: bool,
}

#[async_trait]
impl Task for Note {
    const NAME: &'static str = "tests.note";
    const PARAMETERS: &'static [&'static str] = &["value", "again"];
    type Args = NoteArgs;

    async fn run(&self, args: NoteArgs, context: TaskContext) -> Outcome {
        let (id, retries, message) = (context.id, context.retries, context.message);
        let _ = self.0.send(Run { id, retries, value: args.value, message, at: SystemTime::now() });
        if args.again && retries == 0 {
            return Retry::after(Duration::from_secs(1)).into();
        }
        Outcome::Done
    }
}

/// A worker in this process, and its runs. It stops when this is dropped.
pub(super) struct Notes {
    runs: mpsc::UnboundedReceiver<Run>,
    _stop: DropGuard,
}

impl Notes {
    pub(super) async fn start(broker: &Arc<dyn Broker>) -> Self {
        let (tell, runs) = mpsc::unbounded_channel();
        let tasks = Tasks::default().register(Note(tell)).unwrap();
        let config = WorkerConfig { queues: vec![("celery".to_owned(), 10)], grace: Duration::from_secs(5) };
        let stop = CancellationToken::new();
        tokio::spawn(Worker::new(Arc::clone(broker), tasks, config).run(stop.clone()));
        Self { runs, _stop: stop.drop_guard() }
    }

    pub(super) async fn next(&mut self) -> Run {
        tokio::time::timeout(PATIENCE, self.runs.recv()).await.expect("a run in time").unwrap()
    }
}

fn topology(queue_type: QueueType) -> Topology {
    Topology {
        queues: vec!["celery".to_owned()],
        queue_type,
        publish_timeout: Duration::from_secs(10),
        name: "celery messages".to_owned(),
    }
}

pub(super) async fn broker(deployment: &Deployment, queue_type: QueueType) -> Arc<dyn Broker> {
    connect(&deployment.environment["BROKER_URL"], topology(queue_type), PATIENCE).await.unwrap()
}

/// Runs a Python client. The script can call `send`, which sends `tests.note`. Returns the lines that it printed.
pub(super) async fn client(deployment: &Deployment, queue_type: QueueType, script: &str) -> Vec<String> {
    const PRELUDE: &str = r#"
import datetime, decimal, json, sys, uuid
from celery import Celery
from kombu import Queue
now = datetime.datetime.now(datetime.timezone.utc)
app, old = Celery(broker=sys.argv[1]), Celery(broker=sys.argv[1])
old.conf.task_protocol = 1
arguments = {"x-queue-type": "quorum"} if sys.argv[2] == "Quorum" else None
for each in app, old:
    # Messages without a confirm may be lost when the client exits.
    each.conf.broker_transport_options = {"confirm_publish": True}
    each.conf.task_queues = [Queue("celery", queue_arguments=arguments)]
def seconds(number): return datetime.timedelta(seconds=number)
def send(value, again=False, app=app, **options):
    return app.send_task("tests.note", [value], {"again": again}, **options).id
def raw(body, headers={}, **options):
    with app.producer_pool.acquire() as producer:
        producer.publish(body, routing_key="celery", exchange="", headers=headers, **options)
"#;
    let script = format!("{PRELUDE}{script}");
    let output = python(deployment, &script, &[&format!("{queue_type:?}")]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_argument_of_every_type_reaches_a_task_by_place_or_by_name() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    let script = r#"
values = [uuid.UUID("12345678123456781234567812345678"),
  datetime.datetime(2026, 11, 21, 7, 32, 15, 777006, datetime.timezone.utc),
  datetime.datetime(2026, 11, 21, 7, 32, 15, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
  datetime.datetime(2026, 11, 21, 7, 32), datetime.date(2026, 11, 21), datetime.time(7, 32, 15),
  decimal.Decimal("1.10"), decimal.Decimal("1E+3"), b"text", b"\xff\x00",
  2**64 - 1, -2**63, 0.1, 1e300, None, True, "h\u00e9 \U0001f50c", {"nested": [{"deep": datetime.date(2026, 1, 2)}]}]
send(values)
app.send_task("tests.note", kwargs={"again": False, "value": values})
"#;
    client(&deployment, QueueType::Quorum, script).await;
    let expected = json!([
        "12345678-1234-5678-1234-567812345678",
        "2026-11-21T07:32:15.777006+00:00",
        "2026-11-21T07:32:15+02:00",
        "2026-11-21T07:32:00",
        "2026-11-21",
        "07:32:15",
        "1.10",
        "1E+3",
        "dGV4dA==",
        "/wA=",
        u64::MAX,
        i64::MIN,
        0.1,
        1e300,
        null,
        true,
        "hé 🔌",
        {"nested": [{"deep": "2026-01-02"}]}
    ]);
    for _ in 0..2 {
        assert_eq!(notes.next().await.value, expected);
    }
}

#[tokio::test]
async fn a_compressed_body_is_read_and_a_retry_keeps_it_as_it_was() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    let script = r#"
for name in ["zlib", "zstd"]:
    print(send(name * 1000, again=True, compression=name, priority=4, headers={"tenant": name}))
"#;
    let ids = client(&deployment, QueueType::Quorum, script).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(notes.next().await);
    }
    for (id, name, compression) in
        [(&ids[0], "zlib", "application/x-gzip"), (&ids[1], "zstd", "application/zstd")]
    {
        let of_it: Vec<&Run> = runs.iter().filter(|run| run.id == *id).collect();
        let [first, second] = of_it[..] else { panic!("{} runs of {name}", of_it.len()) };
        assert_eq!((&first.value, first.retries, second.retries), (&json!(name.repeat(1000)), 0, 1));
        assert_eq!((&second.message.body, &second.value), (&first.message.body, &first.value));
        let headers = &second.message.headers;
        assert_eq!((&headers["compression"], &headers["tenant"]), (&json!(compression), &json!(name)));
        assert_eq!((&headers["parent_id"], second.message.properties.priority), (&json!(id), Some(4)));
    }
}

#[tokio::test]
async fn protocol_1_and_the_hybrid_are_run_and_tried_again() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    let script = r#"
print(send([uuid.UUID(int=1), "old"], again=True, app=old))
print(send("old and compressed", again=True, app=old, compression="zlib"))
raw({"args": ["hybrid"], "kwargs": {"again": True}, "retries": 7},
    {"task": "tests.note", "id": "hybrid", "retries": 0, "tenant": "kept"}, serializer="json")
print("hybrid")
"#;
    let ids = client(&deployment, QueueType::Quorum, script).await;
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(notes.next().await);
    }
    let values = [
        json!(["00000000-0000-0000-0000-000000000001", "old"]),
        json!("old and compressed"),
        json!("hybrid"),
    ];
    for (id, value) in ids.iter().zip(values) {
        let of_it: Vec<(u32, &Value)> =
            runs.iter().filter(|run| run.id == *id).map(|run| (run.retries, &run.value)).collect();
        assert_eq!(of_it, [(0, &value), (1, &value)]);
    }
    assert!(runs.iter().all(|run| !run.message.headers.contains_key("argsrepr")), "none was of protocol 2");
    let hybrid = runs.iter().rfind(|run| run.id == "hybrid").unwrap();
    assert_eq!(hybrid.message.headers["tenant"], "kept");
}

#[tokio::test]
async fn an_eta_survives_the_end_of_its_worker_and_is_never_early() {
    for queue_type in [QueueType::Quorum, QueueType::Classic] {
        let deployment = Deployment::new().await;
        let broker = broker(&deployment, queue_type).await;
        // The first delay declares the delay ladder, which takes a while.
        let mut notes = Notes::start(&broker).await;
        let script = r#"
due = {}
def later(name, moment, **options):
    due[send(name, **options)] = moment.timestamp()
abroad = datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))
later("countdown", now + seconds(6), countdown=6, priority=5, headers={"tenant": "kept"})
later("eta", now + seconds(6.25), eta=(now + seconds(6.25)).astimezone(abroad))
later("naive", now + seconds(6.5), eta=(now + seconds(6.5)).replace(tzinfo=None).isoformat())
later("zulu", now + seconds(7), eta=(now + seconds(7)).isoformat().replace("+00:00", "Z"))
later("expires", now + seconds(6), countdown=6, expires=30)
later("past", now, eta=now - seconds(60))
later("protocol 1", now + seconds(6), countdown=6, app=old)
print(json.dumps(due))
"#;
        let due: Value = serde_json::from_str(&client(&deployment, queue_type, script).await[0]).unwrap();
        eventually("six to be on the ladder", async || (on_the_ladder(&broker).await == 6).then_some(()))
            .await;
        assert_eq!(notes.next().await.value, "past");
        notes = Notes::start(&broker).await;
        for _ in 0..6 {
            let run = notes.next().await;
            let at = run.at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
            let late = at - due[&run.id].as_f64().unwrap();
            println!("{queue_type:?}: {} ran {late:.3} s after its eta", run.value);
            assert!((0.0..5.0).contains(&late), "{queue_type:?}: {} ran {late} s late", run.value);
            assert_eq!(run.retries, 0, "waiting is no retry");
            if run.value == "countdown" {
                assert_eq!(run.message.headers["tenant"], "kept");
                assert_eq!(run.message.properties.priority, Some(5));
            }
        }
    }
}

/// The number of messages in Celery's delay queues. It asks the queues themselves, because the management API's numbers
/// of a quorum queue are up to five seconds old.
async fn on_the_ladder(broker: &Arc<dyn Broker>) -> u64 {
    let mut waiting = 0;
    for level in 0..28 {
        waiting += broker.depth(&format!("celery_delayed_{level}")).await.unwrap_or(0);
    }
    waiting
}

/// `tests.note` as we publish it.
fn note(id: &str, options: TaskOptions) -> Message {
    let task = TaskMessage {
        name: Note::NAME,
        id: id.to_owned(),
        args: vec![json!(id), json!(false)],
        argsrepr: "()".to_owned(),
        headers: Headers::new(),
        options,
    };
    task.encode(&Origin::new())
}

#[tokio::test]
async fn a_distant_eta_takes_several_waits_and_expired_tasks_end() {
    let directory = tempfile::tempdir().unwrap();
    let deployment = Deployment::new().await;
    let embedded = format!("embedded:{}", directory.path().display());
    let on_disk = connect(&embedded, topology(QueueType::Quorum), PATIENCE).await.unwrap();
    for (kind, broker) in [("embedded", on_disk), ("quorum", broker(&deployment, QueueType::Quorum).await)] {
        let mut notes = Notes::start(&broker).await;
        let in_seconds = |seconds| Some(Timestamp::now() + Duration::from_secs(seconds));
        let due = SystemTime::now() + Duration::from_secs(4);
        let soon = TaskOptions { eta: Some(due.into()), ..TaskOptions::default() };
        let never = TaskOptions { eta: in_seconds(20 * 365 * 86_400), ..TaskOptions::default() };
        let over = TaskOptions { expires: in_seconds(1), ..TaskOptions::default() };
        let doomed = TaskOptions { eta: in_seconds(60), expires: in_seconds(50), ..TaskOptions::default() };
        // The same as when the ladder's longest wait ends before the eta.
        broker.publish("celery", &note("soon", soon), Duration::from_secs(1)).await.unwrap();
        broker.publish("celery", &note("over", over), Duration::from_secs(2)).await.unwrap();
        broker.publish("celery", &note("doomed", doomed), Duration::ZERO).await.unwrap();
        broker.publish("celery", &note("never", never), Duration::ZERO).await.unwrap();
        let run = notes.next().await;
        let late = run.at.duration_since(due).expect("it is never early");
        println!("{kind}: {late:?} after its eta");
        assert!(run.value == "soon" && late < Duration::from_secs(5), "{kind}: {} {late:?} late", run.value);
        assert!(notes.runs.try_recv().is_err());
        assert_eq!(broker.depth("celery.dead").await.unwrap(), 0, "{kind}");
    }
    let broker = broker(&deployment, QueueType::Quorum).await;
    eventually("only the far one to be left, at the top of the ladder", async || {
        let top = broker.depth("celery_delayed_27").await.ok()?;
        (on_the_ladder(&broker).await == 1 && top == 1).then_some(())
    })
    .await;
    assert_eq!(deployment.messages_in("celery").await, Some(0));
}

#[tokio::test]
async fn an_expired_request_is_revoked_and_the_log_says_so() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let script = format!(
        r#"
import time
task, arguments = "authorization_worker.tasks.authorize", ["{STATION}", "{DRIVER}", "http://127.0.0.1:9/", time.time_ns()]
print(app.send_task(task, arguments, countdown=60, expires=50).id)
raw([arguments, {{}}, {{}}], {{"task": task, "id": "0" * 300, "expires": (now - seconds(1)).isoformat()}})
"#
    );
    let ids = client(&deployment, QueueType::Quorum, &script).await;
    let lines = eventually("both to be revoked", async || {
        let log = services.worker.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("revoked")).collect();
        (lines.len() == 2).then(|| lines.join("\n"))
    })
    .await;
    assert!(lines.contains(&ids[0]) && lines.contains(&"0".repeat(64)) && !lines.contains(&"0".repeat(65)));
    eventually("nothing to be left", async || (deployment.messages_in("celery").await? == 0).then_some(()))
        .await;
    assert_eq!(deployment.drain("celery.dead").await, Vec::<Value>::new());
    assert_eq!(deployment.keys().await, Vec::<String>::new(), "nothing was decided");
}

#[tokio::test]
async fn what_cannot_be_honoured_is_kept_with_its_reason_and_the_next_task_is_run() {
    let deployment = Deployment::new().await;
    let broker = broker(&deployment, QueueType::Quorum).await;
    let mut notes = Notes::start(&broker).await;
    let script = r#"
from kombu.utils.json import register_type
class Odd: pass
register_type(Odd, "odd", lambda odd: "odd", lambda text: Odd())
send("x", task_id="pickle", serializer="pickle")
raw("- []\n- {}\n", {"task": "tests.note", "id": "yaml"}, content_type="application/x-yaml", content_encoding="utf-8")
send("x", task_id="bzip2", compression="bzip2")
send("0" * 17_000_000, task_id="bomb zlib", compression="zlib")
send("0" * 17_000_000, task_id="bomb zstd", compression="zstd")
send("x", task_id="chord", chord=app.signature("tests.sum"))
send(float("nan"), task_id="nan")
send(-float("inf"), task_id="inf")
send(10**30, task_id="huge")
send(Odd(), task_id="odd")
send("x", task_id="eta", eta="soon")
send("x", task_id="args", surprise=1, headers={"surprise": [None, {"a": 1.5}]}, again="maybe")
send("x", task_id="old chord", app=old, chord=app.signature("tests.sum"))
send(float("nan"), task_id="old nan", app=old)
raw({"task": 5, "id": None, "args": "?"}, serializer="json")
raw({"task": "tests.note", "id": "local", "args": [], "eta": "2027-01-01T00:00:00", "utc": False}, serializer="json")
send("fine")
"#;
    client(&deployment, QueueType::Quorum, script).await;
    assert_eq!(notes.next().await.value, "fine");
    let mut letters = Vec::new();
    eventually("sixteen dead letters", async || {
        letters.extend(deployment.drain("celery.dead").await);
        (letters.len() == 16).then_some(())
    })
    .await;
    let mut reasons: Vec<String> = letters
        .iter()
        .map(|letter| {
            let headers = &letter["properties"]["headers"];
            let text = |name: &str| headers[name].as_str().unwrap_or("-").to_owned();
            format!("{}: {}: {}", text("id"), text("dead_reason"), text("dead_detail"))
        })
        .collect();
    reasons.sort_unstable();
    insta::assert_snapshot!(reasons.join("\n"));
    assert!(notes.runs.try_recv().is_err());
}
