//! The servers die under load and come back: every `202` is accounted for, and no request has two decisions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use test_servers::{RabbitMq, Redis};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, Services, ask};
use tests::eventually;
use tests::servers::Servers;
use tokio::task::JoinHandle;

/// A system on servers of its own, under load.
struct Stage {
    broker: RabbitMq,
    redis: Redis,
    deployment: Deployment,
    services: Services,
    host: CallbackHost,
    _directory: TempDir,
}

impl Stage {
    async fn set() -> Self {
        Self::set_with(&[("WORKER_CONCURRENCY", "20")]).await
    }

    async fn set_with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (for_broker, for_redis) = (directory.path().join("rabbitmq"), directory.path().join("redis"));
        let starting = tokio::task::spawn_blocking(move || {
            (RabbitMq::start(&for_broker).unwrap(), Redis::start(&for_redis).unwrap())
        });
        let (broker, redis) = starting.await.unwrap();
        let servers = Servers {
            broker: broker.amqp_url(),
            broker_api: broker.api_url(),
            redis: redis.url(),
            ..Servers::of_this_run()
        };
        let mut deployment = Deployment::on(servers)
            .await
            .with("AUTHORIZATION_TIMEOUT_SEC", 120)
            .with("CALLBACK_WINDOW_SEC", 120);
        for (name, value) in settings {
            deployment = deployment.with(name, value);
        }
        let services = deployment.start().await;
        Self { broker, redis, deployment, services, host: CallbackHost::start().await, _directory: directory }
    }

    /// Asks on and on until told to stop; gives the ids of what was accepted.
    fn load(&self) -> Load {
        let on = Arc::new(AtomicBool::new(true));
        let (http, api_url, url) =
            (self.deployment.http.clone(), self.services.api_url.clone(), self.host.url("/ok/load"));
        let client = || {
            let (on, http, api_url, url) = (Arc::clone(&on), http.clone(), api_url.clone(), url.clone());
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                while on.load(Ordering::Relaxed) {
                    match ask(&http, &api_url, DRIVER, &url).await {
                        Some(id) => accepted.push(id),
                        // Refused with 503: a client waits a little and asks anew.
                        None => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                accepted
            })
        };
        let clients = vec![client(), client(), client(), client()];
        Load { on, clients }
    }

    async fn called_back_more(&self, count: usize) {
        let before = self.host.received().len();
        eventually("more callbacks", async || (self.host.received().len() >= before + count).then_some(()))
            .await;
    }

    /// Every accepted request was called back with one decision, which is the one on record.
    async fn account(&self, accepted: &[String]) {
        let callbacks = self.host.all_of(accepted).await;
        let mut decisions: HashMap<&str, &str> = HashMap::new();
        for callback in &callbacks {
            let first = decisions.entry(callback.id()).or_insert(callback.status());
            assert_eq!(*first, callback.status(), "two decisions for {}", callback.id());
        }
        for request in accepted {
            let url = format!("{}/requests/{request}", self.services.api_url);
            let shown: Value = eventually("the record", async || {
                let shown = self.deployment.http.get(&url).send().await.ok()?;
                shown.json::<Value>().await.ok().filter(|shown| shown["delivery"] == "delivered")
            })
            .await;
            assert_eq!(shown["status"], decisions[request.as_str()], "{request}");
        }
        let by_status = callbacks.iter().fold(BTreeMap::new(), |mut counts, callback| {
            *counts.entry(callback.status().to_owned()).or_insert(0) += 1;
            counts
        });
        println!("{} accepted, {} callbacks {by_status:?}", accepted.len(), callbacks.len());
    }
}

struct Load {
    on: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    async fn stop(self) -> Vec<String> {
        self.on.store(false, Ordering::Relaxed);
        let mut accepted = Vec::new();
        for client in self.clients {
            accepted.extend(client.await.unwrap());
        }
        accepted
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let mut stage = Stage::set().await;
    let load = stage.load();
    stage.called_back_more(100).await;
    let mut broker = stage.broker;
    stage.broker = tokio::task::spawn_blocking(move || {
        broker.kill().unwrap();
        broker.start_again().unwrap();
        broker
    })
    .await
    .unwrap();
    stage.called_back_more(100).await;
    let accepted = load.stop().await;
    stage.account(&accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_loses_nothing() {
    let mut stage = Stage::set().await;
    let load = stage.load();
    stage.called_back_more(100).await;
    stage.redis.kill().unwrap();
    // Work waits meanwhile; requests are accepted on.
    eventually("work to wait for Redis", async || {
        stage.services.worker.log().contains("waiting for it").then_some(())
    })
    .await;
    stage.redis.start_again().unwrap();
    stage.called_back_more(100).await;
    let accepted = load.stop().await;
    stage.account(&accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_is_answered_with_503_in_time_and_noticed() {
    let stage = Stage::set().await;
    let http = &stage.deployment.http;
    let before = ask(http, &stage.services.api_url, DRIVER, &stage.host.url("/ok/before")).await.unwrap();
    stage.host.all_of(std::slice::from_ref(&before)).await;
    stage.broker.pause().unwrap();
    let began = std::time::Instant::now();
    let url = format!(
        "{}/station/{}/driver/{DRIVER}/authorize",
        stage.services.api_url,
        tests::deployment::STATION
    );
    let response = http
        .post(&url)
        .json(&serde_json::json!({"callback_url": stage.host.url("/ok/x")}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let ready = format!("{}/readyz", stage.services.api_url);
    eventually("public-api to notice", async || {
        let status = http.get(&ready).send().await.ok()?.status();
        (status == 503).then_some(())
    })
    .await;
    stage.broker.resume().unwrap();
    let after = eventually("requests to be accepted again", async || {
        ask(http, &stage.services.api_url, DRIVER, &stage.host.url("/ok/after")).await
    })
    .await;
    stage.account(&[before, after]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_come_back_ends_its_services_with_code_69() {
    let mut stage = Stage::set_with(&[("RECOVERY_TIMEOUT_SEC", "2")]).await;
    // Before that it would be a dependency missing at the start, which ends the worker too, in other words.
    stage.services.worker.logged("queue").await;
    let mut broker = stage.broker;
    stage.broker = tokio::task::spawn_blocking(move || {
        broker.kill().unwrap();
        broker
    })
    .await
    .unwrap();
    let Services { mut api, mut worker, .. } = stage.services;
    for process in [&mut api, &mut worker] {
        assert_eq!(process.ended().await, Some(69));
        assert!(process.log().contains("RECOVERY_TIMEOUT_SEC"), "{}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_for_redis_stops_within_its_grace_time_and_loses_nothing() {
    let mut stage = Stage::set_with(&[("SHUTDOWN_GRACE_SEC", "2"), ("WORKER_CONCURRENCY", "4")]).await;
    let http = stage.deployment.http.clone();
    let url = stage.host.url("/ok/waiting");
    stage.redis.pause().unwrap();
    let mut requests = Vec::new();
    for _ in 0..12 {
        requests.push(ask(&http, &stage.services.api_url, DRIVER, &url).await.unwrap());
    }
    eventually("the worker to wait for Redis", async || {
        stage.services.worker.log().contains("waiting for it").then_some(())
    })
    .await;
    let began = std::time::Instant::now();
    let second = stage.deployment.start_worker();
    let first = std::mem::replace(&mut stage.services.worker, second);
    assert_eq!(first.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    stage.redis.resume().unwrap();
    // The second one gave up looking for Redis at its start, or is about to find it.
    let _third = stage.deployment.start_worker();
    stage.account(&requests).await;
}
