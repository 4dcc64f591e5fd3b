//! Celery's remote control: the same commands to a Python worker and to one of ours on the same broker.

use serde_json::{Value, json};
use tests::deployment::Deployment;

use super::celery_workers::{Ours, client, python_worker};

/// Keys and types of a value; of a list, its first item. All numbers are equal.
pub(super) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => Value::Array(items.first().map(shape).into_iter().collect()),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
    }
}

const EVERY_COMMAND: &str = r#"
import re
both = ["ours@test", "python@test"]
running = {queue: slow(60, queue) for queue in ["q.ours", "q.python"]}
until(lambda: all(len(reply) == 1 for reply in ask("active", 2, both).values()))
ids = list(running.values())
replies = []
def compare(method, exactly=True, **arguments):
    replies.append([f"{method} {arguments}", exactly, ask(method, 2, both, **arguments)])
def alike(method, **arguments):
    compare(method, False, **arguments)
compare("ping")
compare("pool_grow"); compare("pool_grow", n=2)
for method in "clock report stats active dump_active reserved dump_reserved scheduled dump_schedule".split():
    alike(method)
alike("active", safe=True)
alike("active_queues")
compare("registered"); compare("dump_tasks"); compare("registered", taskinfoitems=["name"])
answer = ask("query_task", 2, both, ids=ids)
replies.append(["query_task", False, {node: list(found.values()) for node, found in answer.items()}])
assert ours("memsample").endswith("MB")
assert re.fullmatch(r"- rss \(sample\):\n-    > [\d.]+MB,\n- rss \(end\): [\d.]+MB\.\n", ours("memdump")), "a sample and the end"
compare("objgraph"); compare("objgraph", num=10, max_depth=3, type="Request")
compare("query_task", ids="nosuch")
compare("revoked"); compare("dump_revoked")
compare("revoke", task_id="one"); compare("revoke", task_id=["one"], signal="KILL")
compare("revoke", task_id="one", terminate=True); compare("terminate", task_id="one", signal="TERM")
compare("revoke")
compare("revoke_by_stamped_headers", headers={"tenant": "x"}); compare("revoke_by_stamped_headers", headers=["a=b"])
compare("revoke_by_stamped_headers", headers={"tenant": ["y"]}, terminate=True)
compare("revoked")
slow_name = "tests.slow"
for limit in ["10/m", "0.5/s", 3, 0, "0", None, "often", "1/y"]:
    compare("rate_limit", task_name=slow_name, rate_limit=limit)
compare("rate_limit", task_name=slow_name, rate_limit="10/m"); compare("registered")
compare("rate_limit", task_name=slow_name, rate_limit=0)
compare("rate_limit", task_name="nosuch", rate_limit="1/s")
compare("time_limit", task_name=slow_name, soft=50, hard=55); compare("time_limit", task_name="nosuch")
compare("time_limit", task_name=slow_name)
compare("autoscale", max=5, min=2); compare("pool_restart")
compare("add_consumer", queue="q.more"); compare("cancel_consumer", queue="q.more"); compare("add_consumer")
compare("disable_events"); compare("enable_events"); compare("enable_events"); compare("disable_events")
compare("pool_shrink")
compare("heartbeat")
compare("nosuch"); compare("dump_nosuch")
alike("hello", from_node="somebody@else", revoked=["two"]); alike("hello", from_node="old@else", revoked={"three": 1.5})
compare("revoked")
# Last, because an election with one candidate, as that of a single Python worker is, ends the worker's connection.
compare("election", id="1", topic="t", action=None)
print(json.dumps(replies))
app.control.broadcast("revoke", {"task_id": ids, "terminate": True, "signal": "KILL"})
"#;

const KNOWN: &str = r#"
from celery.worker.control import Panel
names = sorted(name for name in Panel.data if name != "shutdown")
answers = {name: ours(name) for name in names}
unknown = [name for name in names if answers[name] == {"error": f"KeyError('{name}')"}]
print(json.dumps([len(names), unknown]))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_that_celery_knows_is_unknown_to_a_worker_of_ours() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    let known = client(&deployment, KNOWN, &[]).await;
    assert!(known[0].as_u64().unwrap() > 30 && known[1] == json!([]), "{known}");
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_answered_as_a_python_worker_answers_it() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    let _python = python_worker(&deployment, &[]).await;
    let replies = client(&deployment, EVERY_COMMAND, &[]).await;
    let replies = replies.as_array().unwrap();
    let mut different = Vec::new();
    for reply in replies {
        let (command, exactly) = (reply[0].as_str().unwrap(), reply[1] == true);
        let [(ours, python), ..] = [(&reply[2]["ours@test"], &reply[2]["python@test"])];
        let same = if exactly { ours == python } else { shape(ours) == shape(python) };
        if !same {
            different.push(format!("{command}\n  ours:   {ours}\n  python: {python}"));
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), replies.len(), different.join("\n"));
    assert!(replies.len() > 60);
    ours.stop().await;
}
