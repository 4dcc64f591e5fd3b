//! Flower, the web interface for operators of Celery: everything that it shows and does with a worker of ours, compared
//! with a Python worker.

use std::time::Duration;

use serde_json::{Value, json};
use task_queue::{Autoscale, ControlConfig};
use tests::deployment::Deployment;
use tests::eventually;
use tests::python::Python;

use super::celery_inspect::shape;
use super::celery_workers::{Ours, control, python_worker};

/// Flower changes limits only of tasks in its own application.
const FLOWER: &str = r#"
import os, sys
os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
from celery import Celery
app = Celery("tests", broker=sys.argv[1])
@app.task(name="tests.slow")
def slow(seconds): pass
app.start(["flower", "--port=0", "--address=127.0.0.1", "--inspect-timeout=1000"])
"#;

struct Flower {
    url: String,
    http: reqwest::Client,
    _process: (Python, tempfile::NamedTempFile),
}

impl Flower {
    async fn start(deployment: &Deployment) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let broker = &deployment.environment["BROKER_URL"];
        let process = Python::start(&deployment.servers.python, FLOWER, &[broker], log.path());
        let url = eventually("Flower to listen", async || {
            let text = std::fs::read_to_string(log.path()).ok()?;
            Some(text.split_once("Visit me at ")?.1.lines().next()?.to_owned())
        })
        .await;
        Self { url, http: deployment.http.clone(), _process: (process, log) }
    }

    async fn page(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.page(path).await;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Status and body of the answer.
    async fn post(&self, path: &str, body: Value) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.url)).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Publishes a task that sleeps; returns its id.
    async fn sleep(&self, queue: &str, seconds: u32, id: Option<&str>) -> String {
        let mut task = json!({"args": [seconds], "queue": queue});
        if let Some(id) = id {
            task["task_id"] = id.into();
        }
        let (status, sent) = self.post("/api/task/send-task/tests.slow", task).await;
        assert_eq!(status, 200, "{sent}");
        serde_json::from_str::<Value>(&sent).unwrap()["task-id"].as_str().unwrap().to_owned()
    }

    async fn task_once(&self, id: &str, state: &str) -> Value {
        eventually(&format!("Flower to show {id} as {state}"), async || {
            self.get(&format!("/api/task/info/{id}")).await.filter(|task| task["state"] == state)
        })
        .await
    }

    /// What Flower knows about a worker, once it matches.
    async fn worker_once(&self, node: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/workers?refresh=1&workername={node}");
        eventually(&format!("Flower to show what {node} is like"), async || {
            self.get(&path).await.map(|workers| workers[node].clone()).filter(&wanted)
        })
        .await
    }
}

/// A worker, and all that Flower returned while it was inspected and controlled.
struct Seen<'a> {
    flower: &'a Flower,
    node: &'a str,
    queue: &'a str,
    told: Vec<Value>,
}

impl Seen<'_> {
    fn note(&mut self, what: &str, told: &Value) {
        let told = json!([what, told]).to_string().replace(self.node, "NODE").replace(self.queue, "QUEUE");
        self.told.push(serde_json::from_str(&told).unwrap());
    }

    /// Sends a control command; `arguments` is the query string.
    async fn steer(&mut self, what: &str, arguments: &str) {
        let path = format!("/api/worker/{what}/{}?{arguments}", self.node);
        let (status, told) = self.flower.post(&path, json!({})).await;
        self.note(&format!("{what} {arguments}"), &json!([status, told]));
    }

    async fn limit(&mut self, what: &str, arguments: &str) {
        let path = format!("/api/task/{what}/tests.slow?workername={}&{arguments}", self.node);
        let (status, told) = self.flower.post(&path, json!({})).await;
        self.note(&format!("{what} {arguments}"), &json!([status, told]));
    }

    async fn is_listed(&mut self) {
        let (flower, node) = (self.flower, self.node);
        eventually("the workers to be listed", async || {
            let listed = flower.get("/workers?json=1").await?;
            let found = listed["data"].as_array()?.iter().find(|worker| worker["hostname"] == node)?;
            (found["status"] == true && found["loadavg"].is_array()).then_some(())
        })
        .await;
        let known = flower.worker_once(node, |worker| worker["stats"].is_object()).await;
        let keys: Vec<&String> = known.as_object().unwrap().keys().collect();
        self.note("what is known", &json!([keys, shape(&known["stats"]), shape(&known["registered"])]));
        for path in ["/", "/workers", &format!("/worker/{node}")] {
            let (status, page) = flower.page(path).await;
            assert!(status == 200 && page.contains(node), "{path}: {status}\n{page}");
        }
    }

    async fn shows_tasks(&mut self) {
        let (flower, node) = (self.flower, self.node);
        let id = flower.sleep(self.queue, 0, None).await;
        let task = flower.task_once(&id, "SUCCESS").await;
        assert_eq!((&task["worker"], &task["name"]), (&json!(node), &json!("tests.slow")));
        self.note("a task", &json!([shape(&task), task["args"], task["kwargs"], task["result"]]));
        let listed = flower.get(&format!("/api/tasks?workername={node}&state=SUCCESS")).await.unwrap();
        assert!(listed.get(&id).is_some(), "{listed}");
        assert_eq!(flower.page("/tasks").await.0, 200);
        let (status, page) = flower.page(&format!("/task/{id}")).await;
        assert!(status == 200 && page.contains(&id) && page.contains(node), "{status}\n{page}");
    }

    async fn grows_and_shrinks(&mut self) {
        for (what, arguments, size) in [("pool/grow", "n=2", 4), ("pool/shrink", "n=1", 3)] {
            self.steer(what, arguments).await;
            // Ours reports slots. Python's number stays the same and its processes change.
            let is_grown = |worker: &Value| {
                let pool = &worker["stats"]["pool"];
                pool["max-concurrency"] == size || pool["processes"].as_array().map(Vec::len) == Some(size)
            };
            self.flower.worker_once(self.node, is_grown).await;
        }
        self.steer("pool/autoscale", "min=1&max=5").await;
        self.steer("pool/restart", "").await;
    }

    async fn takes_from_other_queues(&mut self) {
        let other = format!("{}.more", self.queue);
        let takes = |worker: &Value| {
            let queues = worker["active_queues"].as_array();
            queues.is_some_and(|queues| queues.iter().any(|queue| queue["name"] == *other))
        };
        self.steer("queue/add-consumer", &format!("queue={other}")).await;
        self.flower.worker_once(self.node, takes).await;
        let id = self.flower.sleep(&other, 0, None).await;
        self.flower.task_once(&id, "SUCCESS").await;
        self.steer("queue/cancel-consumer", &format!("queue={other}")).await;
        self.flower.worker_once(self.node, |worker| !takes(worker)).await;
    }

    async fn revokes(&mut self) {
        let (flower, revoke) = (self.flower, |id: &str, how: &str| format!("/api/task/revoke/{id}{how}"));
        let running = flower.sleep(self.queue, 60, None).await;
        flower.task_once(&running, "STARTED").await;
        let known = flower.worker_once(self.node, |worker| worker["active"][0]["id"] == *running).await;
        self.note("a task that runs", &shape(&known["active"]));
        let (status, page) = flower.page(&format!("/worker/{}", self.node)).await;
        assert!(status == 200 && page.contains(&running), "{status}\n{page}");
        assert_eq!(flower.post(&revoke(&running, "?terminate=1"), json!({})).await.0, 200);
        let task = flower.task_once(&running, "REVOKED").await;
        self.note("a task that was terminated", &shape(&task));
        let waiting = uuid::Uuid::new_v4().to_string();
        assert_eq!(flower.post(&revoke(&waiting, ""), json!({})).await.0, 200);
        flower.worker_once(self.node, |worker| worker["revoked"].to_string().contains(&waiting)).await;
        flower.sleep(self.queue, 0, Some(&waiting)).await;
        // Our worker sent `task-received` for it before, so that Flower also knows its name.
        let task = flower.task_once(&waiting, "REVOKED").await;
        self.note("a task that was revoked", &json!([task["worker"], shape(&task["revoked"])]));
    }

    async fn limits(&mut self) {
        self.limit("timeout", "soft=30&hard=40").await;
        self.limit("rate-limit", "ratelimit=often").await;
        self.limit("rate-limit", "ratelimit=10/m").await;
        let known = self
            .flower
            .worker_once(self.node, |worker| worker["registered"].to_string().contains("10/m"))
            .await;
        self.note("registered", &known["registered"]);
    }

    async fn shuts_down(&mut self) {
        self.steer("shutdown", "").await;
        eventually("Flower to show that the worker is gone", async || {
            let alive = self.flower.get("/api/workers?status=1").await?;
            (alive[self.node] == false).then_some(())
        })
        .await;
    }
}

async fn everything(flower: &Flower, node: &str, queue: &str) -> Vec<Value> {
    let mut seen = Seen { flower, node, queue, told: Vec::new() };
    seen.is_listed().await;
    seen.shows_tasks().await;
    seen.grows_and_shrinks().await;
    seen.takes_from_other_queues().await;
    seen.revokes().await;
    seen.limits().await;
    seen.shuts_down().await;
    seen.told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flower_shows_and_steers_our_worker_as_it_does_a_python_worker() {
    let deployment = Deployment::new().await;
    let config = ControlConfig { task_events: true, ..control() };
    let (ours, _python, flower) = tokio::join!(
        Ours::start_as(&deployment, config.clone(), None),
        python_worker(&deployment, &["-E"]),
        Flower::start(&deployment),
    );
    let (of_ours, of_python) = tokio::join!(
        everything(&flower, "ours@test", "q.ours"),
        everything(&flower, "python@test", "q.python")
    );
    let different = of_ours.iter().zip(&of_python).filter(|(ours, python)| ours != python);
    let different: Vec<_> =
        different.map(|(ours, python)| format!("ours:   {ours}\npython: {python}")).collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), of_ours.len(), different.join("\n"));
    assert_eq!(of_ours.len(), of_python.len());
    let ours = {
        ours.ended().await;
        let bounds = Autoscale { keepalive: Duration::from_millis(500), ..Autoscale::between(1, 4) };
        Ours::start_as(&deployment, config, Some(bounds)).await
    };
    flower.worker_once("ours@test", |worker| worker["stats"]["autoscaler"]["max"] == 4).await;
    let (status, told) = flower.post("/api/worker/pool/autoscale/ours@test?min=2&max=6", json!({})).await;
    assert_eq!(status, 200, "{told}");
    let scaled = json!({"max": 6, "min": 2, "current": 2, "qty": 0});
    flower.worker_once("ours@test", |worker| worker["stats"]["autoscaler"] == scaled).await;
    ours.stop().await;
}
