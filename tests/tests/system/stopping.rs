//! Processes that are stopped, restarted one after the other, or killed, while clients keep sending requests.

use nix::sys::signal::Signal;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment};
use tests::eventually;
use tests::link::Link;
use tests::stage::Stage;

const ROUNDS: usize = 3;

/// A stage whose clients reach public-api through a link, as through a load balancer.
async fn stage_with_a_front() -> (Link, Stage) {
    let mut stage = Stage::set(Deployment::new().await, &[]).await;
    let front = Link::to(&stage.services.api_url).await;
    stage.services.api_url = front.through(&stage.services.api_url);
    (front, stage)
}

#[tokio::test]
async fn a_second_sigterm_leaves_at_once() {
    let mut deployment = Deployment::new()
        .await
        .with("CALLBACK_TIMEOUT_SEC", 300)
        .with("CALLBACK_WINDOW_SEC", 600)
        .with("SHUTDOWN_GRACE_SEC", 300);
    let mut services = deployment.start().await;
    let host = CallbackHost::start().await;
    services.ask(&deployment.http, DRIVER, &host.url("/hang")).await;
    eventually("the callback to hang", async || (host.count() == 1).then_some(())).await;
    services.worker.signal(Signal::SIGTERM);
    eventually("the worker to wait for it", async || {
        services.worker.log().contains("finishing the work in flight").then_some(())
    })
    .await;
    services.worker.signal(Signal::SIGTERM);
    assert_eq!(services.worker.ended().await, Some(128 + 15), "{}", services.worker.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_under_load_lose_nothing() {
    let (front, mut stage) = stage_with_a_front().await;
    let load = stage.load();
    for _ in 0..ROUNDS {
        stage.called_back_more(30).await;
        let new_worker = stage.deployment.start_worker();
        let worker = std::mem::replace(&mut stage.services.worker, new_worker);
        assert_eq!(worker.stop().await, Some(0));
        let (new_api, url) = stage.deployment.start_api().await;
        front.lead(0, &url);
        let api = std::mem::replace(&mut stage.services.api, new_api);
        assert_eq!(api.stop().await, Some(0));
    }
    stage.called_back_more(30).await;
    stage.account(&load.stop().await.ids()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_api_and_acl_service_under_load_loses_nothing() {
    let (front, mut stage) = stage_with_a_front().await;
    let to_acl = Link::to(&stage.services.acl_url).await;
    let worker = stage.deployment.through("AUTHORIZATION_SERVICE_URL", &to_acl).start_worker();
    stage.services.worker = worker;
    let load = stage.load();
    for _ in 0..ROUNDS {
        stage.called_back_more(30).await;
        let (new_api, url) = stage.deployment.start_api().await;
        std::mem::replace(&mut stage.services.api, new_api).kill().await;
        front.lead(0, &url);
        stage.called_back_more(30).await;
        let (new_acl, url) = stage.deployment.start_acl().await;
        std::mem::replace(&mut stage.services.acl, new_acl).kill().await;
        to_acl.lead(0, &url);
    }
    stage.called_back_more(30).await;
    stage.account(&load.stop().await.ids()).await;
}
