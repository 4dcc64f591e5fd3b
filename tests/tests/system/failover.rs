//! Redis fails over: a replica replaces its primary, and open connections lead to the wrong server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tempfile::TempDir;
use test_servers::Redis;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};
use tests::link::Link;
use tests::process::Process;
use tests::servers::Servers;
use tests::{PATIENCE, eventually, free_port};

/// A Redis server, and a connection to command it.
struct Server {
    redis: Redis,
    connection: MultiplexedConnection,
    _directory: TempDir,
}

impl Server {
    async fn start(options: &'static [&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_owned();
        let redis = tokio::task::spawn_blocking(move || Redis::start_with(&place, options).unwrap());
        let redis = redis.await.unwrap();
        let client = redis::Client::open(redis.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        Self { redis, connection, _directory: directory }
    }

    async fn command(&mut self, command: &str) -> redis::Value {
        let mut words = command.split(' ');
        let mut sent = redis::cmd(words.next().unwrap());
        sent.arg(words.collect::<Vec<_>>()).query_async(&mut self.connection).await.unwrap()
    }

    async fn follow(&mut self, primary: &Server) {
        let port = primary.redis.url().rsplit(':').next().unwrap().to_owned();
        self.command(&format!("REPLICAOF 127.0.0.1 {port}")).await;
        let mut connection = self.connection.clone();
        eventually("the replica to have caught up", async || {
            let info: String =
                redis::cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
    }

    async fn lead(&mut self) {
        self.command("REPLICAOF NO ONE").await;
    }
}

async fn on(redis_url: &str) -> Deployment {
    let servers = Servers { redis: redis_url.to_owned(), ..Servers::of_this_run() };
    Deployment::on(servers).await
}

fn entry(acl_url: &str, driver: &str) -> String {
    format!("{acl_url}/station/{STATION}/driver/{driver}/acl")
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// The answer of acl-service; `None` if it cannot tell.
async fn allowed(http: &reqwest::Client, acl_url: &str, driver: &str) -> Option<bool> {
    let response = http.get(entry(acl_url, driver)).send().await.unwrap();
    if response.status() == 503 {
        return None;
    }
    response.json::<Value>().await.unwrap()["allowed"].as_bool()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_removals_hold_and_writes_soon_return() {
    let (mut old, mut new) = (Server::start(&[]).await, Server::start(&[]).await);
    new.follow(&old).await;
    let link = Link::to(&old.redis.url()).await;
    let mut deployment = on(&old.redis.url()).await.through("REDIS_URL", &link);
    let (_acl, acl_url) = deployment.start_acl().await;
    let mut beside = deployment.clone().with("REDIS_URL", new.redis.url());
    let http = deployment.http.clone();
    let drivers: Vec<String> = (0..200).map(|number| format!("driver-to-be-removed-{number:04}")).collect();
    let list = format!("{acl_url}/station/{STATION}/acl");
    let admitted = http.put(list).json(&serde_json::json!({ "driver_tokens": drivers }));
    assert_eq!(status(admitted).await, 200);
    let caught_up: i64 =
        redis::cmd("WAIT").arg(1).arg(10_000).query_async(&mut old.connection).await.unwrap();
    assert_eq!(caught_up, 1);

    // Load, so that all connections are busy when their server is demoted.
    let over = AtomicBool::new(false);
    let asked_all_along = async {
        while !over.load(Ordering::Relaxed) {
            futures_util::future::join_all(
                drivers[..20].iter().map(|driver| allowed(&http, &acl_url, driver)),
            )
            .await;
        }
    };
    let failing_over = async {
        new.lead().await;
        old.follow(&new).await;
        link.lead(0, &new.redis.url());
        let began = Instant::now();
        // Only the new primary has this service, so it starts after the promotion.
        let (_beside, beside_url) = beside.start_acl().await;
        for driver in &drivers {
            assert_eq!(status(http.delete(entry(&beside_url, driver))).await, 200);
            assert_ne!(allowed(&http, &acl_url, driver).await, Some(true), "{driver}");
        }
        began
    };
    let failed_over = async {
        let began = failing_over.await;
        over.store(true, Ordering::Relaxed);
        began
    };
    let ((), began) = tokio::join!(asked_all_along, failed_over);
    let back = async {
        while status(http.put(entry(&acl_url, DRIVER))).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), back).await.expect("writes are back");
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(allowed(&http, &acl_url, DRIVER).await, Some(true));
    assert_eq!(status(http.get(format!("{acl_url}/readyz"))).await, 200);
}

#[tokio::test]
async fn a_connection_to_a_demoted_primary_fails_until_it_leads_again() {
    let (mut primary, mut other) = (Server::start(&[]).await, Server::start(&[]).await);
    let mut deployment = on(&primary.redis.url()).await;
    let (_acl, acl_url) = deployment.start_acl().await;
    let http = &deployment.http;
    assert_eq!(status(http.put(entry(&acl_url, DRIVER))).await, 200);
    assert_eq!(allowed(http, &acl_url, DRIVER).await, Some(true));

    other.follow(&primary).await;
    other.lead().await;
    primary.follow(&other).await;
    let list = format!("{acl_url}/station/{STATION}/acl");
    let import = format!("{acl_url}/acl/import");
    let line = format!("{STATION},{STRANGER}\n");
    assert_eq!(allowed(http, &acl_url, DRIVER).await, None);
    assert_eq!(status(http.put(entry(&acl_url, STRANGER))).await, 503);
    assert_eq!(status(http.delete(entry(&acl_url, DRIVER))).await, 503);
    assert_eq!(status(http.get(&list)).await, 503);
    assert_eq!(status(http.post(import).header("content-type", "text/csv").body(line)).await, 503);
    assert_eq!(status(http.get(format!("{acl_url}/readyz"))).await, 503);

    primary.lead().await;
    assert_eq!(status(http.put(entry(&acl_url, STRANGER))).await, 200);
    assert_eq!(allowed(http, &acl_url, DRIVER).await, Some(true));
    assert_eq!(status(http.get(format!("{acl_url}/readyz"))).await, 200);
}

#[tokio::test]
async fn a_primary_without_enough_replicas_accepts_no_change() {
    let mut primary = Server::start(&[]).await;
    let mut deployment = on(&primary.redis.url()).await;
    let (_acl, acl_url) = deployment.start_acl().await;
    let http = &deployment.http;
    primary.command("CONFIG SET min-replicas-to-write 1").await;
    assert_eq!(status(http.put(entry(&acl_url, DRIVER))).await, 503);
    assert_eq!(status(http.get(format!("{acl_url}/readyz"))).await, 503);
    eventually("the metrics to say that the store takes no writes", async || {
        let text = http.get(format!("{acl_url}/metrics")).send().await.ok()?.text().await.ok()?;
        text.lines().any(|line| line == "voltgate_store_reachable{writes=\"access_lists\"} 0").then_some(())
    })
    .await;
    primary.command("CONFIG SET min-replicas-to-write 0").await;
    assert_eq!(status(http.put(entry(&acl_url, DRIVER))).await, 200);
}

#[tokio::test]
async fn a_node_of_a_redis_cluster_is_refused_by_name_at_the_start() {
    let node = Server::start(&["--cluster-enabled", "yes"]).await;
    let deployment = on(&Servers::of_this_run().redis).await.with("REDIS_URL", node.redis.url());
    for program in ["public-api", "worker", "acl-service"] {
        // It fails at once: the node does not become another kind of server.
        let mut process = Process::start(program, &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(69), "{program}");
        let log = process.log();
        assert!(log.contains("Redis Cluster") && log.contains("REDIS_URL"), "{log}");
    }
}

#[tokio::test]
async fn a_redis_that_refuses_writes_fails_the_start_and_readyz() {
    let mut redis = Server::start(&[]).await;
    let health_port = free_port();
    let mut deployment = on(&redis.redis.url()).await;
    let (_acl, acl_url) = deployment.start_acl().await;
    let _worker = deployment.clone().with("WORKER_HEALTH_PORT", health_port).start_worker();
    let worker_url = format!("http://127.0.0.1:{health_port}");
    let http = &deployment.http;
    let ready = async |url: &str| status(http.get(format!("{url}/readyz"))).await;
    eventually("the worker to be ready", async || {
        let answer = http.get(format!("{worker_url}/readyz")).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    redis.command("CONFIG SET maxmemory 1").await;
    assert_eq!((ready(&acl_url).await, ready(&worker_url).await), (503, 503));
    for program in ["public-api", "worker", "acl-service"] {
        let mut process = Process::start(program, &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(69), "{program}");
        assert!(process.log().contains("maxmemory"), "{}", process.log());
    }
    redis.command("CONFIG SET maxmemory 0").await;
    assert_eq!((ready(&acl_url).await, ready(&worker_url).await), (200, 200));
}
