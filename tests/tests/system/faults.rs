//! The servers die under load and come back: every `202` is accounted for, and no request has two decisions.

use std::time::Duration;

use test_servers::RabbitMq;
use tests::deployment::{DRIVER, Deployment, Services, ask};
use tests::eventually;
use tests::stage::{OwnServers, Stage};

/// A system on private servers.
async fn set_stage(settings: &[(&str, &str)]) -> (OwnServers, Stage) {
    let servers = OwnServers::start().await;
    let deployment = Deployment::on(servers.addresses()).await;
    let stage = Stage::set(deployment, settings).await;
    (servers, stage)
}

/// Runs on a blocking thread, so that nothing else waits meanwhile.
async fn aside(mut broker: RabbitMq, what: impl FnOnce(&mut RabbitMq) + Send + 'static) -> RabbitMq {
    let doing = tokio::task::spawn_blocking(move || {
        what(&mut broker);
        broker
    });
    doing.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let (mut servers, stage) = set_stage(&[]).await;
    let load = stage.load();
    stage.called_back_more(100).await;
    servers.broker = aside(servers.broker, |broker| {
        broker.kill().unwrap();
        broker.start_again().unwrap();
    })
    .await;
    stage.called_back_more(100).await;
    stage.account(&load.stop().await.ids()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_loses_nothing() {
    let (mut servers, stage) = set_stage(&[]).await;
    let load = stage.load();
    stage.called_back_more(100).await;
    servers.redis.kill().unwrap();
    // Tasks wait meanwhile; requests are still accepted.
    eventually("work to wait for Redis", async || {
        stage.services.worker.log().contains("waiting for it").then_some(())
    })
    .await;
    servers.redis.start_again().unwrap();
    stage.called_back_more(100).await;
    stage.account(&load.stop().await.ids()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_broker_is_answered_with_503_in_time_and_noticed() {
    let (servers, stage) = set_stage(&[]).await;
    let before = stage.accepted().await;
    servers.broker.pause().unwrap();
    stage.refuses_in_time().await;
    servers.broker.resume().unwrap();
    let after = stage.accepted().await;
    stage.account(&[before, after]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_is_answered_with_503_and_ends_no_process() {
    let (mut servers, stage) = set_stage(&[("RECOVERY_TIMEOUT_SEC", "2")]).await;
    let before = stage.accepted().await;
    servers.broker = aside(servers.broker, |broker| broker.alarm(true).unwrap()).await;
    stage.refuses_in_time().await;
    servers.broker = aside(servers.broker, |broker| broker.alarm(false).unwrap()).await;
    let after = stage.accepted().await;
    stage.account(&[before, after]).await;
    assert_eq!(stage.services.api.stop().await, Some(0), "it never thought that the broker was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_away_ends_its_services_with_code_69() {
    let (servers, mut stage) = set_stage(&[("RECOVERY_TIMEOUT_SEC", "2")]).await;
    // Any earlier it would be a dependency missing at the start, which also ends the worker, but with another message.
    stage.services.worker.logged("queue").await;
    let _killed = aside(servers.broker, |broker| broker.kill().unwrap()).await;
    let Services { mut api, mut worker, .. } = stage.services;
    for process in [&mut api, &mut worker] {
        assert_eq!(process.ended().await, Some(69));
        assert!(process.log().contains("RECOVERY_TIMEOUT_SEC"), "{}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_waiting_for_redis_stops_in_time_and_loses_nothing() {
    let (servers, mut stage) = set_stage(&[("SHUTDOWN_GRACE_SEC", "2"), ("WORKER_CONCURRENCY", "4")]).await;
    let http = stage.deployment.http.clone();
    let url = stage.host.url("/ok/waiting");
    servers.redis.pause().unwrap();
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
    servers.redis.resume().unwrap();
    // The second worker has stopped looking for Redis at its start, or is about to find it.
    let _third = stage.deployment.start_worker();
    stage.account(&requests).await;
}
