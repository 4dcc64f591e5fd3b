//! Callbacks that fail and recover.

use std::time::{Duration, Instant};

use tests::callback_host::{CallbackHost, RAW};
use tests::deployment::{DRIVER, Deployment, ask, record_once};
use tests::eventually;
use tests::link::Link;
use tests::process::Process;

#[tokio::test]
async fn a_failed_callback_is_retried_with_the_same_id_and_recorded() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/first/503/200")).await;
    let shown = services.record_once(http, &request, "delivered").await;
    let outcomes: Vec<&str> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["503", "200"]);
    let received = host.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|callback| callback.id() == request && callback.status() == "not_allowed"));
}

#[tokio::test]
async fn a_decision_is_not_told_any_more_when_the_window_is_over() {
    let mut deployment = Deployment::new().await.with("CALLBACK_WINDOW_SEC", 4);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/first/503/200")).await;
    let first = eventually("the first attempt", async || host.received().first().cloned()).await;
    services.worker.kill().await;
    tokio::time::sleep_until((first.at + Duration::from_secs(5)).into()).await;
    let _second = deployment.start_worker();
    let shown = record_once(http, &services.api_url, &request, "undeliverable").await;
    assert_eq!(host.received().len(), 1, "{shown}");
    eventually("the dead letter", async || {
        let letters = deployment.messages_in("celery.callbacks.dead").await?
            + deployment.messages_in("celery.dead").await?;
        (letters == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn retry_after_is_waited_for_in_the_broker() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.ask(http, DRIVER, &host.url("/retry-after/3")).await;
    let received =
        eventually("two attempts", async || Some(host.received()).filter(|all| all.len() == 2)).await;
    let waited = received[1].at - received[0].at;
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
}

#[tokio::test]
async fn hosts_that_hang_or_reset_cost_one_timeout_per_attempt() {
    let mut deployment = Deployment::new()
        .await
        .with("CALLBACK_TIMEOUT_SEC", "0.5")
        .with("CALLBACK_MAX_ATTEMPTS", 2)
        .with("CALLBACK_WINDOW_SEC", 30);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let mut requests = Vec::new();
    for (path, outcome) in [("/hang", "timeout"), ("/reset", "broken_answer")] {
        requests.push((services.ask(http, DRIVER, &host.url(path)).await, path, outcome));
    }
    for (request, path, outcome) in requests {
        let shown = services.record_once(http, &request, "undeliverable").await;
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{path}: {shown}");
        for attempt in attempts {
            assert!(attempt["outcome"].as_str().unwrap().starts_with(outcome), "{path}: {shown}");
            assert!(attempt["took_ms"].as_u64().unwrap() < 5000, "{path}: {shown}");
        }
    }
    let letters = eventually("two dead letters", async || {
        let waiting = deployment.messages_in("celery.callbacks.dead").await?
            + deployment.messages_in("celery.dead").await?;
        (waiting == 2).then_some(waiting)
    })
    .await;
    assert_eq!(letters, 2);
}

#[tokio::test]
async fn the_status_of_an_answer_counts_whatever_becomes_of_its_body() {
    let mut deployment = Deployment::new().await.with("CALLBACK_TIMEOUT_SEC", 2);
    let services = deployment.start().await;
    let http = &deployment.http;
    let raw = RAW.iter().map(|(name, status, _)| (format!("/raw/{name}"), *status));
    let never_ending = [("/drip", "200"), ("/giant", "200")].map(|(path, status)| (path.to_owned(), status));
    // A host each: it closes after its answer, and another call on the same connection could meet that.
    let (mut requests, mut hosts) = (Vec::new(), Vec::new());
    for (path, status) in raw.chain(never_ending) {
        let host = CallbackHost::start().await;
        requests.push((services.ask(http, DRIVER, &host.url(&path)).await, path, status));
        hosts.push(host);
    }
    for (request, path, status) in &requests {
        let state = if status.starts_with('2') { "delivered" } else { "undeliverable" };
        let shown = services.record_once(http, request, state).await;
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(
            (attempts.len(), shown["callback_status"].as_str()),
            (1, Some(*status)),
            "{path}: {shown}"
        );
        assert_eq!(attempts[0]["outcome"], *status, "{path}: {shown}");
        assert!(attempts[0]["took_ms"].as_u64().unwrap() < 5000, "{path}: {shown}");
    }
    let called: usize = hosts.iter().map(CallbackHost::count).sum();
    assert_eq!(called, requests.len(), "each is called back once");
}

#[tokio::test]
async fn a_retry_after_counts_although_the_body_behind_it_is_cut_off() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.ask(http, DRIVER, &host.url("/retry-after/3/cut")).await;
    let received =
        eventually("two attempts", async || Some(host.received()).filter(|all| all.len() == 2)).await;
    let waited = received[1].at - received[0].at;
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
}

#[tokio::test]
async fn a_host_that_hangs_leaves_slots_for_the_others() {
    let mut deployment = Deployment::new()
        .await
        .with("WORKER_CONCURRENCY", 20)
        .with("AUTHORIZATION_TIMEOUT_SEC", 60)
        .with("CALLBACK_TIMEOUT_SEC", 40)
        .with("SHUTDOWN_GRACE_SEC", 1);
    let services = deployment.start().await;
    let (hanging, healthy, http) =
        (CallbackHost::start().await, CallbackHost::start().await, &deployment.http);
    for _ in 0..60 {
        services.ask(http, DRIVER, &hanging.url("/hang")).await;
    }
    eventually("the host to hang", async || (hanging.count() >= 4).then_some(())).await;
    let began = Instant::now();
    let mut requests = Vec::new();
    for _ in 0..20 {
        requests.push(services.ask(http, DRIVER, &healthy.url("/ok/healthy")).await);
    }
    healthy.all_of(&requests).await;
    // Without the bulkhead all twenty slots would hang for 40 seconds.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(hanging.count(), 4, "a host that has not answered yet");
    eventually("the others to be parked in the broker", async || {
        (deployment.messages_in("celery").await? <= 4).then_some(())
    })
    .await;
}

/// A slow host, so that not all of a burst is admitted at once.
async fn slow_host() -> (CallbackHost, Link, String) {
    let host = CallbackHost::start().await;
    let link = Link::to(&host.url("/")).await;
    link.slow(Duration::from_millis(150));
    let url = link.through(&host.url("/ok/slow"));
    (host, link, url)
}

#[tokio::test]
async fn a_decision_that_waited_past_the_window_is_still_delivered() {
    let mut deployment = Deployment::new()
        .await
        .with("WORKER_CONCURRENCY", 8)
        // Long enough for all of the burst also on a machine with much else to do.
        .with("CALLBACK_WINDOW_SEC", 15)
        .with("AUTHORIZATION_TIMEOUT_SEC", 120);
    let (_acl, _) = deployment.start_acl().await;
    let (_api, api_url) = deployment.start_api().await;
    let (host, _link, url) = slow_host().await;
    let mut requests = Vec::new();
    for _ in 0..30 {
        requests.push(ask(&deployment.http, &api_url, DRIVER, &url).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(16)).await;
    let _worker = deployment.start_worker();
    host.all_of(&requests).await;
}

#[tokio::test]
async fn a_deferred_replay_keeps_the_window_of_the_replay() {
    let mut deployment = Deployment::new()
        .await
        .with("WORKER_CONCURRENCY", 8)
        .with("CALLBACK_WINDOW_SEC", 7)
        .with("CALLBACK_MAX_ATTEMPTS", 1);
    let services = deployment.start().await;
    let (host, link, url) = slow_host().await;
    link.cut();
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(services.ask(&deployment.http, DRIVER, &url).await);
    }
    for request in &requests {
        services.record_once(&deployment.http, request, "undeliverable").await;
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    link.slow(Duration::from_millis(150));
    let mut replay = Process::start("voltgate", &["dead", "replay", "--all"], &deployment.environment);
    assert_eq!(replay.ended().await, Some(0));
    host.all_of(&requests).await;
}

#[tokio::test]
async fn a_delivery_whose_message_is_lost_becomes_a_dead_letter() {
    let mut deployment = Deployment::new().await.with("CALLBACK_WINDOW_SEC", 9);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let request = services.ask(http, DRIVER, &host.url("/retry-after/7")).await;
    // As if the queue of the ladder that holds it had been deleted.
    eventually("the delayed message to be taken away", async || {
        for level in 0..4 {
            if !deployment.drain(&format!("celery_delayed_{level}")).await.is_empty() {
                return Some(());
            }
        }
        None
    })
    .await;
    let shown = services.record_once(http, &request, "undeliverable").await;
    assert_eq!((host.received().len(), &shown["state"]), (1, &"undeliverable".into()), "{shown}");
    eventually("the dead letter", async || {
        (deployment.messages_in("celery.callbacks.dead").await? == 1).then_some(())
    })
    .await;
}
