//! A mixed fleet: a Python worker and one of ours on one queue, calls from our API and from a Python client, and both
//! workers killed at random. Every call must be called back, with one decision.

mod callers;
mod member;
mod report;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::callback_host::CallbackHost;
use crate::deployment::{DRIVER, Deployment};
use crate::process::Process;
use callers::{Called, call};
use member::{Kind, Lives};
pub use report::Report;
use verdict::{Evidence, FAIR_SHARE, judge};

/// After this long without a callback, no more are expected.
const SETTLED_AFTER: Duration = Duration::from_secs(45);
/// RabbitMQ counts the messages of a quorum queue every five seconds.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);
/// On a machine that stalls at times, even the first start takes long.
const TAKE_PART_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const AT_ONCE: usize = 16;
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// The type of the shared queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum QueueType {
    /// Voltgate's default.
    Quorum,
    /// Celery's default.
    Classic,
}

impl QueueType {
    /// Its name for RabbitMQ.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Determines the moments at which workers are killed.
    pub seed: u64,
    /// Approximate number of calls: clients finish their last one, and go on until both workers have taken part.
    pub requests: usize,
    /// Approximate calls per second.
    pub rate: u32,
    /// The type of the shared queue.
    pub queue_type: QueueType,
    /// The maximum time that a worker runs before it is killed.
    pub life: Duration,
    /// Whether to print the progress on stderr.
    pub progress: bool,
}

/// Runs the fleet on the servers of this run.
pub async fn run(plan: Plan) -> Report {
    let began = Instant::now();
    let logs = tempfile::Builder::new().prefix("voltgate-fleet-").tempdir().expect("a directory");
    let system = System::start(&plan).await;
    let (over, ending) = watch::channel(false);
    let lives = [Kind::Ours, Kind::Python].map(|kind| system.live(kind, &plan, logs.path(), &ending));
    let called = call(&system.deployment, &system.api_url, &system.host, &plan, logs.path(), || {
        system.progress(&plan, began);
        system.both_took_part() || began.elapsed() > TAKE_PART_WITHIN
    })
    .await;
    over.send_replace(true);
    let kills = system.kills();
    let (mut workers, mut dead) = (Vec::new(), Vec::new());
    for lives in lives {
        let Lives { kind, deaths, worker } = lives.await.expect("it is killed with no panic");
        workers.push(worker);
        dead.extend((deaths > 0).then(|| format!("{kind}: it ended on its own {deaths} times")));
    }
    system.settle(&called).await;
    let left = system.left().await;
    let mut verdict = judge(&system.evidence(&called, left).await, &kills);
    verdict.violations.extend(dead);
    drop(workers);
    let (refused, unanswered) = (called.refused, called.unanswered);
    let took = began.elapsed();
    let mut report = Report { plan, kills, refused, unanswered, verdict, took, logs: None };
    report.logs = (!report.is_clean()).then(|| logs.keep());
    report
}

/// The system except the two workers.
struct System {
    deployment: Deployment,
    api_url: String,
    host: Arc<CallbackHost>,
    progressed: Mutex<Instant>,
    killed: BTreeMap<Kind, Arc<AtomicUsize>>,
    _services: [Process; 2],
}

impl System {
    async fn start(plan: &Plan) -> Self {
        let settings = [
            ("TASK_QUEUE_TYPE", plan.queue_type.name()),
            // A Python worker keeps no record of its decisions, so that a late decision
            // could differ from an earlier one.
            ("AUTHORIZATION_TIMEOUT_SEC", "3600"),
            ("CALLBACK_WINDOW_SEC", "3600"),
            ("WORKER_CONCURRENCY", "16"),
        ];
        let mut deployment = settings
            .iter()
            .fold(Deployment::new().await, |deployment, (name, value)| deployment.with(name, value));
        let (acl, acl_url) = deployment.start_acl().await;
        let admitted = format!("{acl_url}/station/{}/driver/{DRIVER}/acl", crate::deployment::STATION);
        let response = deployment.http.put(admitted).send().await.expect("acl-service answers");
        assert!(response.status().is_success(), "{response:?}");
        let (api, api_url) = deployment.start_api().await;
        let host = Arc::new(CallbackHost::start().await);
        let progressed = Mutex::new(Instant::now());
        let killed = [Kind::Ours, Kind::Python].map(|kind| (kind, Arc::default())).into();
        Self { deployment, api_url, host, progressed, killed, _services: [acl, api] }
    }

    fn live(
        &self,
        kind: Kind,
        plan: &Plan,
        logs: &Path,
        ending: &watch::Receiver<bool>,
    ) -> JoinHandle<Lives> {
        let (deployment, host) = (self.deployment.clone(), Arc::clone(&self.host));
        let (logs, kills) = (logs.to_owned(), Arc::clone(&self.killed[&kind]));
        tokio::spawn(member::live(kind, *plan, deployment, host, logs, kills, ending.clone()))
    }

    /// The number of kills of each worker.
    fn kills(&self) -> BTreeMap<Kind, usize> {
        self.killed.iter().map(|(kind, kills)| (*kind, kills.load(Ordering::Relaxed))).collect()
    }

    /// Whether both workers took part. Before that there is nothing to judge, however many calls there were.
    fn both_took_part(&self) -> bool {
        let all = self.host.count();
        self.kills().into_iter().all(|(kind, kills)| {
            let told = self.host.count_of(|callback| Kind::of(callback) == kind);
            kills > 0 && told * 100 > all * 2 * FAIR_SHARE
        })
    }

    /// Prints the progress now and then.
    fn progress(&self, plan: &Plan, began: Instant) {
        let mut last = self.progressed.lock().expect("nobody panics holding it");
        if plan.progress && last.elapsed() > PROGRESS_EVERY {
            *last = Instant::now();
            let [ours, python] = [Kind::Ours, Kind::Python]
                .map(|kind| self.host.count_of(|callback| Kind::of(callback) == kind));
            eprintln!("fleet: {} s, callbacks: {ours} ours, {python} Python's", began.elapsed().as_secs());
        }
    }

    /// Waits until every accepted call was called back, or no more callbacks arrive.
    async fn settle(&self, called: &Called) {
        let mut last = (self.host.count(), Instant::now());
        while last.1.elapsed() < SETTLED_AFTER
            && !self.host.missing(called.accepted.keys().map(String::as_str)).is_empty()
        {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.host.count() > last.0 {
                last = (self.host.count(), Instant::now());
            }
        }
    }

    /// The messages that stay in the queues although none should.
    async fn left(&self) -> u64 {
        let began = Instant::now();
        loop {
            let mut left = Some(0);
            for queue in ["celery", "celery.callbacks"] {
                left = left.zip(self.deployment.messages_in(queue).await).map(|(sum, count)| sum + count);
            }
            match left {
                Some(0) => return 0,
                _ if began.elapsed() > EMPTY_WITHIN => return left.unwrap_or(u64::MAX),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn evidence(&self, called: &Called, left: u64) -> Evidence {
        let callbacks = self.host.received();
        let ours = callbacks.iter().filter(|callback| Kind::of(callback) == Kind::Ours);
        let ids: BTreeSet<String> = ours.map(|callback| callback.id().to_owned()).collect();
        let reading = ids.into_iter().map(|id| async move {
            let url = format!("{}/requests/{id}", self.api_url);
            let shown: Value = self.deployment.http.get(url).send().await.ok()?.json().await.ok()?;
            Some((id, shown["status"].as_str()?.to_owned()))
        });
        let records = futures_util::stream::iter(reading)
            .buffer_unordered(AT_ONCE)
            .filter_map(async |found| found)
            .collect()
            .await;
        let letters = self.deployment.drain("celery.dead").await;
        Evidence { accepted: called.accepted.clone(), callbacks, records, letters, left }
    }
}
