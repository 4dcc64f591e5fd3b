//! PostgreSQL stops, hangs and crashes: platform-api says so at once, heals by itself, and loses nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use test_servers::Postgres;
use tests::deployment::Deployment;
use tests::eventually;
use tests::platform::{Answer, Platform, location};

/// A request must not hang while the database is away.
const AT_ONCE: Duration = Duration::from_millis(1500);
/// Nor while it accepts connections and does not answer.
const SOON: Duration = Duration::from_secs(3);

/// A private PostgreSQL, and a platform-api that uses it.
struct Stage {
    platform: Platform,
    postgres: Postgres,
    _directory: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_owned();
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(&place).unwrap()).await.unwrap();
        let url = format!("{}/postgres", postgres.url());
        let platform = Platform::of(Deployment::new().await.with("DATABASE_URL", url)).await;
        Self { platform, postgres, _directory: directory }
    }

    /// Does something to PostgreSQL that takes a while.
    fn command(&mut self, command: fn(&mut Postgres) -> anyhow::Result<()>) {
        tokio::task::block_in_place(|| command(&mut self.postgres)).unwrap();
    }

    /// Each kind of request is refused, and none of them hangs.
    async fn refuses(&self, station: &str, within: Duration) {
        let platform = &self.platform;
        let idempotent = platform.request(Method::POST, "/api/v1/stations").header("idempotency-key", "one");
        let requests = [
            platform.request(Method::GET, "/readyz"),
            platform.request(Method::GET, "/api/v1/locations"),
            platform.request(Method::GET, "/api/v1/locations?q=kai"),
            platform.request(Method::GET, "/api/v1/stations"),
            platform.request(Method::GET, station),
            platform.request(Method::POST, "/api/v1/locations").json(&location("x")),
            idempotent.json(&json!({})),
            platform.request(Method::PATCH, station).header("if-match", "*").json(&json!({"name": "x"})),
            platform.request(Method::DELETE, station).header("if-match", "*"),
            platform.request(Method::GET, "/api/v1/live").header("last-event-id", "1"),
        ];
        for request in requests {
            let case = format!("{request:?}");
            let began = Instant::now();
            let answer = Answer::to(request).await;
            assert_eq!(answer.refusal(), (503, "database"), "{case}: {}", answer.text);
            assert_eq!(answer.header("retry-after"), Some("1"), "{case}");
            assert!(began.elapsed() < within, "{:?}: {case}", began.elapsed());
        }
    }

    async fn is_ready(&self) {
        eventually("platform-api to be ready again", async || {
            (self.platform.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_stopped_requests_get_503_at_once() {
    let mut stage = Stage::set().await;
    let station = stage.platform.station("HAM-1").await;
    let mut stream = stage.platform.live("", Some("0")).await;
    assert_eq!(stream.next().await.unwrap().data["id"], 1);
    for stop in [Postgres::stop, Postgres::kill] {
        stage.command(stop);
        stage.refuses(station.place(), AT_ONCE).await;
        // Not only the first ones.
        stage.refuses(station.place(), AT_ONCE).await;
        assert_eq!(stage.platform.get("/healthz").await.status, 200);
        stage.command(Postgres::start_again);
        stage.is_ready().await;
        let name = json!({"name": format!("{:?}", Instant::now())});
        assert_eq!(stage.platform.patch(station.place(), "*", &name).await.status, 200);
        let event = stream.next().await.expect("the stream has outlived the outage");
        assert_eq!(
            (&event.data["type"], &event.data["station_id"]),
            (&json!("station.updated"), &json!(station.id()))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_hangs_requests_get_503_in_time() {
    let mut stage = Stage::set().await;
    let station = stage.platform.station("HAM-1").await;
    stage.command(|postgres| postgres.pause());
    // The first to notice wait for the answer of a statement.
    let first = (0..20).map(|_| stage.platform.get(station.place()));
    assert!(join_all(first).await.iter().all(|answer| answer.refusal() == (503, "database")));
    stage.refuses(station.place(), SOON).await;
    stage.command(|postgres| postgres.resume());
    stage.is_ready().await;
    assert_eq!(stage.platform.get(station.place()).await.body, station.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_under_load_loses_no_answered_change() {
    let Stage { platform, mut postgres, _directory } = Stage::set().await;
    let (mut ids, answered, platform) = (Vec::new(), AtomicUsize::new(0), &platform);
    for round in 0..3 {
        let enough = answered.load(Ordering::Relaxed) + 100;
        let load = (0..8).map(|client| {
            let answered = &answered;
            async move {
                let mut mine = Vec::new();
                while answered.load(Ordering::Relaxed) < enough {
                    let charger = format!("HAM-{round}-{client}-{}", mine.len());
                    let request = platform.request(Method::POST, "/api/v1/stations");
                    // Repeated with its key until it is answered.
                    let request =
                        request.header("idempotency-key", &charger).json(&json!({"charger": charger}));
                    let answer = Answer::to(request).await;
                    if answer.status == 201 {
                        answered.fetch_add(1, Ordering::Relaxed);
                        mine.push((answer.id(), charger));
                    } else {
                        assert_eq!(answer.refusal(), (503, "database"), "{}", answer.text);
                    }
                }
                mine
            }
        });
        let crash = async {
            eventually("some load", async || (answered.load(Ordering::Relaxed) + 60 > enough).then_some(()))
                .await;
            let restarting = tokio::task::spawn_blocking(move || {
                postgres.kill().unwrap();
                postgres.start_again().unwrap();
                postgres
            });
            restarting.await.unwrap()
        };
        let (made, restarted) = tokio::join!(join_all(load), crash);
        postgres = restarted;
        ids.extend(made.into_iter().flatten());
    }
    for (id, charger) in &ids {
        let read = platform.get(&format!("/api/v1/stations/{id}")).await;
        assert_eq!(read.body["charger"], *charger, "{}", read.text);
    }
    let mut all = platform.pages("/api/v1/stations", 500).await;
    let mut expected: Vec<String> = ids.into_iter().map(|(id, _)| id).collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected, "each exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_database_and_each_streams_all_changes() {
    let Stage { platform, postgres: _postgres, _directory } = Stage::set().await;
    let (other, other_url) = platform.deployment.start_platform().await;
    let other = Platform::at(&platform.deployment, other, other_url);
    let (mut here, mut there) = (platform.live("", None).await, other.live("", None).await);
    let location = platform.location("Harbour").await;
    let keyed = |platform: &Platform| {
        let request = platform.request(Method::POST, "/api/v1/stations").header("idempotency-key", "one");
        Answer::to(request.json(&json!({"charger": "HAM-1", "location_id": location.id()})))
    };
    let answers = join_all((0..10).flat_map(|_| [keyed(&platform), keyed(&other)])).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    let station = answers[0].place();
    let names: Vec<_> = (0..20).map(|n| json!({"name": format!("Name {n}")})).collect();
    let renames =
        names.iter().flat_map(|name| [platform.patch(station, "*", name), other.patch(station, "*", name)]);
    let renamed = join_all(renames).await.iter().filter(|answer| answer.status == 200).count();
    let version: usize = other.get(station).await.etag().trim_matches('"').parse().unwrap();
    let deleted = other.delete(location.place(), "*").await;
    assert_eq!(deleted.refusal(), (409, "stations"));
    other.location("last").await;
    let mut kinds = Vec::new();
    for id in 1.. {
        let (one, same) = (here.next().await.unwrap(), there.next().await.unwrap());
        assert_eq!((&one.data["id"], &one.data), (&json!(id), &same.data));
        kinds.push(one.data["type"].as_str().unwrap().to_owned());
        if kinds.len() > 1 && one.data["type"] == "station.location_created" {
            break;
        }
    }
    let updates = kinds.iter().filter(|kind| *kind == "station.updated").count();
    assert_eq!(updates + 1, version, "an event for each version");
    assert!(renamed >= updates, "a rename to the same name is no change: {renamed}, {updates}");
}
