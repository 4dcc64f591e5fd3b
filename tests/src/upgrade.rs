//! An upgrade: the services of an earlier commit and of this one run together on one broker and one
//! Redis. Each finds, decides and calls back the requests that the other accepted, and sees the changes
//! that the other makes to access lists.

mod earlier;

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::PATIENCE;
use crate::callback_host::CallbackHost;
use crate::deployment::{DRIVER, Deployment, STATION, ask, record_once};
use crate::load::{Load, Question};
use crate::process::Process;
pub use earlier::Earlier;

/// Requests that wait at each version before any worker runs.
const WAITING: usize = 50;
/// Within this time after its `202`, the note of a request is written.
const NOTED_WITHIN: Duration = Duration::from_secs(5);
const CLIENTS: usize = 4;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    accepted: usize,
    refused: usize,
    violations: Vec<String>,
}

/// One version's services. The worker starts later.
struct Version {
    name: &'static str,
    deployment: Deployment,
    api: Process,
    api_url: String,
    acl: Process,
    acl_url: String,
}

/// Runs both versions for about this duration, on the servers of this run.
pub async fn run(earlier: &Earlier, duration: Duration) -> Report {
    let shared =
        Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 120).with("WORKER_CONCURRENCY", 20);
    let mut of_earlier = shared.clone();
    of_earlier.programs = Some(earlier.programs.clone());
    let old = Version::start("earlier", of_earlier).await;
    let new = Version::start("this", shared).await;
    let host = CallbackHost::start().await;
    let mut violations = Vec::new();

    eprintln!("upgrade-test: {WAITING} requests wait at each version");
    let mut accepted = wait_at_both(&old, &new, &host, &mut violations).await;
    for (writer, reader) in [(&old, &new), (&new, &old)] {
        violations.extend(unseen_entry(writer, reader).await);
    }
    eprintln!("upgrade-test: both versions under load");
    let workers = [old.deployment.start_worker(), new.deployment.start_worker()];
    let load = load(&[&old, &new], &host);
    tokio::time::sleep(duration / 2).await;
    violations.extend(differing_records(&old, &new, &accepted).await);
    let mut asked = load.stop().await;

    eprintln!("upgrade-test: the earlier version stops, this one goes on");
    let load = self::load(&[&new], &host);
    let [old_worker, _new_worker] = workers;
    for (name, process) in [("worker", old_worker), ("public-api", old.api), ("acl-service", old.acl)] {
        if process.stop().await != Some(0) {
            violations.push(format!("the earlier {name} did not stop in good order"));
        }
    }
    tokio::time::sleep(duration / 2).await;
    let alone = load.stop().await;
    asked.accepted.extend(alone.accepted);
    let refused = asked.refused.values().chain(alone.refused.values()).sum::<usize>()
        + asked.unanswered
        + alone.unanswered;
    accepted.extend(asked.accepted.into_iter().map(|(id, _)| id));

    eprintln!("upgrade-test: accounting for {} requests", accepted.len());
    violations.extend(unaccounted(&new, &host, &accepted).await);
    drop((new.api, new.acl));
    Report { accepted: accepted.len(), refused, violations }
}

impl Version {
    async fn start(name: &'static str, mut deployment: Deployment) -> Self {
        let (acl, acl_url) = deployment.start_acl().await;
        let (api, api_url) = deployment.start_api().await;
        Self { name, deployment, api, api_url, acl, acl_url }
    }

    fn http(&self) -> &reqwest::Client {
        &self.deployment.http
    }
}

fn load(versions: &[&Version], host: &CallbackHost) -> Load {
    let client = |number: usize| {
        let question = Question {
            api_url: versions[number % versions.len()].api_url.clone(),
            driver: DRIVER.to_owned(),
            callback_url: host.url("/ok/load"),
            pause: Duration::from_millis(5),
        };
        move || question.clone()
    };
    Load::start(versions[0].http(), (0..CLIENTS).map(client).collect())
}

/// No worker runs yet: each waiting request can be found through both versions.
async fn wait_at_both(
    old: &Version,
    new: &Version,
    host: &CallbackHost,
    violations: &mut Vec<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for (asked, other) in [(old, new), (new, old)] {
        let mut waiting = Vec::new();
        for _ in 0..WAITING {
            let id = ask(asked.http(), &asked.api_url, DRIVER, &host.url("/ok/waiting")).await;
            waiting.push(id.expect("a request is accepted"));
        }
        for id in &waiting {
            let url = format!("{}/requests/{id}", other.api_url);
            let found = async {
                while asked.http().get(&url).send().await.map(|answer| answer.status()).ok()
                    != Some(StatusCode::OK)
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            if tokio::time::timeout(NOTED_WITHIN, found).await.is_err() {
                let (asked, other) = (asked.name, other.name);
                violations.push(format!("{id} waits, accepted by {asked} version, not found by {other}"));
            }
        }
        all.extend(waiting);
    }
    all
}

/// An entry that one version adds is visible to the other, and gone when it is removed. Returns a violation, if any.
async fn unseen_entry(writer: &Version, reader: &Version) -> Option<String> {
    let path = format!("station/{STATION}/driver/{DRIVER}/acl");
    let http = writer.http();
    for (request, allowed) in [
        (http.delete(format!("{}/{path}", writer.acl_url)), false),
        (http.put(format!("{}/{path}", writer.acl_url)), true),
    ] {
        request.send().await.and_then(reqwest::Response::error_for_status).expect("acl-service answers");
        let answer =
            http.get(format!("{}/{path}", reader.acl_url)).send().await.expect("acl-service answers");
        let seen: Value = answer.json().await.expect("JSON");
        if seen["allowed"] != allowed {
            return Some(format!("{} version changed an entry, {} says {seen}", writer.name, reader.name));
        }
    }
    None
}

/// Both versions show the same decision of a request. Returns the violations.
async fn differing_records(old: &Version, new: &Version, requests: &[String]) -> Vec<String> {
    let mut differing = Vec::new();
    for id in requests {
        let by_old = record_once(old.http(), &old.api_url, id, "delivered").await;
        let by_new = record_once(new.http(), &new.api_url, id, "delivered").await;
        if by_old["status"] != by_new["status"] {
            differing.push(format!(
                "{id} is {} for the earlier version, {} for this",
                by_old["status"], by_new["status"]
            ));
        }
    }
    differing
}

/// Each request was called back with one decision, which is the one on record. Returns the violations.
async fn unaccounted(version: &Version, host: &CallbackHost, requests: &[String]) -> Vec<String> {
    let all_called_back = async {
        while !host.missing(requests.iter().map(String::as_str)).is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all_called_back).await;
    let mut violations: Vec<String> = host
        .missing(requests.iter().map(String::as_str))
        .into_iter()
        .map(|id| format!("{id} was accepted and not called back"))
        .collect();
    for callback in host.received() {
        let url = format!("{}/requests/{}", version.api_url, callback.id());
        let shown = async { version.http().get(url).send().await.ok()?.json::<Value>().await.ok() };
        let shown = shown.await.unwrap_or_default();
        if shown["status"] != callback.status() {
            violations.push(format!(
                "{} was called back with {}, its record says {}",
                callback.id(),
                callback.status(),
                shown["status"]
            ));
        }
    }
    violations
}

impl Report {
    /// Whether nothing was violated.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "VIOLATION {violation}")?;
        }
        let Self { accepted, refused, violations } = self;
        writeln!(f, "{accepted} accepted, {refused} refused or unanswered, {} violations", violations.len())
    }
}
