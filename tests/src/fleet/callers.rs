//! The callers: clients of our API, and a Python client that publishes straight to the broker.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{LOOK_EVERY, Plan};
use crate::callback_host::CallbackHost;
use crate::deployment::{DRIVER, Deployment, STATION, STRANGER};
use crate::load::{Load, Question};
use crate::python::Python;

const CLIENT: &str = include_str!("../../celery/authorization_client.py");
const CLIENTS: u32 = 4;
/// One call in this many comes from Python.
const OF_PYTHON: usize = 4;

/// The driver token of each call, and the callback path, which names the expected decision.
const QUESTIONS: [(&str, &str); 3] =
    [(DRIVER, "/ok/allowed"), (STRANGER, "/ok/not_allowed"), ("malformed", "/ok/invalid")];

/// The calls that were made.
pub(super) struct Called {
    /// Callback URL and caller of each call that was accepted: answered `202`, or confirmed by the broker.
    pub(super) accepted: BTreeMap<String, Call>,
    /// Number of answers with another status, by status.
    pub(super) refused: BTreeMap<u16, usize>,
    /// Number of calls without an answer.
    pub(super) unanswered: usize,
}

/// One accepted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The expected decision.
    pub(super) expected: String,
    pub(super) from_python: bool,
}

impl Call {
    fn to(url: &str, from_python: bool) -> Self {
        let expected = url.rsplit('/').next().unwrap_or_default().to_owned();
        Self { expected, from_python }
    }
}

/// Calls at the rate of the plan, until `enough`.
pub(super) async fn call(
    deployment: &Deployment,
    api_url: &str,
    host: &CallbackHost,
    plan: &Plan,
    logs: &Path,
    mut enough: impl FnMut() -> bool,
) -> Called {
    let from_python = plan.requests / OF_PYTHON;
    let log = logs.join("client.log");
    let mut client = python_client(deployment, host, plan, from_python, &log);
    let load = api_clients(deployment, api_url, host, plan);
    while !enough() || load.accepted_so_far() < plan.requests - from_python {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let asked = load.stop().await;
    let printed = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(client.ended_well().await, "the Python client failed:\n{}", printed());
    let mut accepted: BTreeMap<String, Call> =
        asked.accepted.into_iter().map(|(id, url)| (id, Call::to(&url, false))).collect();
    let published = printed();
    let published: Vec<_> = published.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(published.len(), from_python, "{published:?}");
    accepted.extend(published.into_iter().map(|(id, url)| (id.to_owned(), Call::to(url, true))));
    Called { accepted, refused: asked.refused, unanswered: asked.unanswered }
}

fn api_clients(deployment: &Deployment, api_url: &str, host: &CallbackHost, plan: &Plan) -> Load {
    let share = (OF_PYTHON - 1) as f64 / OF_PYTHON as f64;
    let pause = Duration::from_secs_f64(f64::from(CLIENTS) / (f64::from(plan.rate) * share));
    let client = |_| {
        let (api_url, host_url) = (api_url.to_owned(), host.url(""));
        let mut turns = QUESTIONS.iter().cycle();
        move || {
            let (driver, path) = turns.next().expect("it is a cycle");
            let callback_url = format!("{host_url}{path}");
            Question { api_url: api_url.clone(), driver: (*driver).to_owned(), callback_url, pause }
        }
    };
    Load::start(&deployment.http, (0..CLIENTS).map(client).collect())
}

fn python_client(
    deployment: &Deployment,
    host: &CallbackHost,
    plan: &Plan,
    count: usize,
    log: &Path,
) -> Python {
    let a_second = f64::from(plan.rate) / OF_PYTHON as f64;
    let broker = &deployment.environment["BROKER_URL"];
    let (count, a_second) = (count.to_string(), a_second.to_string());
    let mut arguments = vec![broker.as_str(), plan.queue_type.name(), STATION, &count, &a_second];
    let urls = QUESTIONS.map(|(_, path)| host.url(path));
    for ((driver, _), url) in QUESTIONS.iter().zip(&urls) {
        arguments.extend([driver, url.as_str()]);
    }
    Python::start(&deployment.servers.python, CLIENT, &arguments, log)
}
