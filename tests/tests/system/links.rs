//! The network between our processes and their servers is cut, goes silent or is slow.

use std::time::{Duration, Instant};

use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment};
use tests::eventually;
use tests::link::Link;
use tests::stage::Stage;

/// A stage whose worker reaches the server of this setting through a link.
async fn worker_behind_a_link(setting: &str) -> (Link, Stage) {
    let mut stage = Stage::set(Deployment::new().await, &[]).await;
    let link = Link::to(&stage.deployment.environment[setting]).await;
    stage.services.worker = stage.deployment.through(setting, &link).start_worker();
    (link, stage)
}

/// Disturbs the link under load: the worker notices within seconds, and nothing is lost when the link recovers.
async fn heals(setting: &str, disturb: impl Fn(&Link), noticed: &str) {
    let (link, stage) = worker_behind_a_link(setting).await;
    let load = stage.load();
    stage.called_back_more(50).await;
    let began = Instant::now();
    disturb(&link);
    eventually("the worker to notice", async || stage.services.worker.log().contains(noticed).then_some(()))
        .await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    link.open();
    stage.called_back_more(50).await;
    stage.account(&load.stop().await.ids()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_link_is_answered_with_503_and_noticed() {
    let mut stage = Stage::set(Deployment::new().await, &[]).await;
    let link = Link::to(&stage.deployment.environment["BROKER_URL"]).await;
    let (api, api_url) = stage.deployment.through("BROKER_URL", &link).start_api().await;
    (stage.services.api, stage.services.api_url) = (api, api_url);
    let before = stage.accepted().await;
    link.black_hole();
    stage.refuses_in_time().await;
    link.open();
    let after = stage.accepted().await;
    stage.account(&[before, after]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_broker_goes_silent_notices_and_loses_nothing() {
    heals("BROKER_URL", Link::black_hole, "no connection to the broker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_cut_off_from_its_broker_loses_nothing() {
    heals("BROKER_URL", Link::cut, "no connection to the broker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_waits_for_a_silent_redis_and_loses_nothing() {
    heals("REDIS_URL", Link::black_hole, "waiting for it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_question_takes_long_is_seen_to_be_in_hand() {
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 60);
    let mut services = deployment.start().await;
    let link = Link::to(&services.acl_url).await;
    services.worker = deployment.through("AUTHORIZATION_SERVICE_URL", &link).start_worker();
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    link.black_hole();
    let request = services.ask(http, DRIVER, &host.url("/ok/asked")).await;
    let opened = format!("voltgate:request:{request}");
    eventually("the record to be opened", async || deployment.keys().await.contains(&opened).then_some(()))
        .await;
    assert!(deployment.keys().await.iter().all(|key| !key.starts_with("log:authorize:")), "not decided yet");
    link.open();
    assert_eq!(host.callback("/ok/asked").await.status(), "not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_or_failing_acl_service_means_unknown_at_the_deadline() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", DEADLINE.as_secs());
    let mut services = deployment.start().await;
    let link = Link::to(&services.acl_url).await;
    services.worker = deployment.through("AUTHORIZATION_SERVICE_URL", &link).start_worker();
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.admit(http, DRIVER).await;
    let err = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let troubles: [(&str, &dyn Fn()); 4] = [
        ("slow", &|| link.slow(2 * DEADLINE)),
        ("erring", &|| link.answer(err)),
        ("gone", &|| link.cut()),
        ("silent", &|| link.black_hole()),
    ];
    for (trouble, disturb) in troubles {
        disturb();
        let began = Instant::now();
        services.ask(http, DRIVER, &host.url(&format!("/ok/{trouble}"))).await;
        let callback = host.callback(&format!("/ok/{trouble}")).await;
        let took = callback.at - began;
        assert_eq!(callback.status(), "unknown", "{trouble}");
        assert!(took > DEADLINE / 2 && took < DEADLINE + Duration::from_secs(3), "{trouble}: {took:?}");
    }
    link.open();
    services.ask(http, DRIVER, &host.url("/ok/healed")).await;
    assert_eq!(host.callback("/ok/healed").await.status(), "allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_lost_its_delivery_keeps_the_record_delivered() {
    let settings = [("CALLBACK_TIMEOUT_SEC", "20"), ("SHUTDOWN_GRACE_SEC", "1")];
    let mut stage = Stage::set(Deployment::new().await, &settings).await;
    let link = Link::to(&stage.deployment.environment["BROKER_URL"]).await;
    stage.services.worker = stage.deployment.through("BROKER_URL", &link).start_worker();
    let http = stage.deployment.http.clone();
    let request = stage.services.ask(&http, DRIVER, &stage.host.url("/first/hang/200")).await;
    eventually("the first attempt", async || (stage.host.count() == 1).then_some(())).await;
    link.black_hole();
    let _second = stage.deployment.start_worker();
    let shown = eventually("the first worker to end its attempt in vain", async || {
        let shown = stage.services.record_once(&http, &request, "delivered").await;
        (shown["attempts"].as_array()?.len() == 2).then_some(shown)
    })
    .await;
    assert_eq!(shown["callback_status"], "200", "{shown}");
}
