//! What workers know about callback hosts: circuit breakers, URLs that are gone, crowded addresses; and what the API
//! knows about the queue.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use serde_json::json;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, ask};
use tests::eventually;

impl BreakerInRedis {
    /// The state that another worker would leave: opened this many times, and held open for a while.
    async fn put(deployment: &Deployment, host: &CallbackHost, openings: u32, held: Duration) -> Self {
        let origin = host.url("");
        let state = format!("{}voltgate:breaker:{origin}", deployment.prefix);
        let hold = format!("{}voltgate:breaker-hold:{origin}", deployment.prefix);
        let mut redis = deployment.servers.redis().await;
        let milliseconds = u64::try_from(held.as_millis()).unwrap();
        let () = redis.pset_ex(hold, "open", milliseconds).await.unwrap();
        let () = redis.set(&state, openings).await.unwrap();
        Self { state }
    }

    async fn openings(&self, deployment: &Deployment) -> Option<u32> {
        deployment.servers.redis().await.get(&self.state).await.unwrap()
    }
}

struct BreakerInRedis {
    state: String,
}

#[tokio::test]
async fn ten_failures_in_a_row_open_the_breaker_for_all_workers() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    for _ in 0..12 {
        services.ask(http, DRIVER, &host.url("/status/503")).await;
    }
    let state = format!("voltgate:breaker:{}", host.url(""));
    eventually("the breaker in Redis", async || deployment.keys().await.contains(&state).then_some(())).await;
}

#[tokio::test]
async fn a_breaker_opened_by_another_worker_is_closed_by_one_probe() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let (held, began) = (Duration::from_secs(3), Instant::now());
    let breaker = BreakerInRedis::put(&deployment, &host, 1, held).await;
    let mut requests = Vec::new();
    for _ in 0..20 {
        requests.push(services.ask(http, DRIVER, &host.url("/ok/again")).await);
    }
    let callbacks = host.all_of(&requests).await;
    let first = callbacks.iter().map(|callback| callback.at).min().unwrap() - began;
    assert!(first >= held, "{first:?}");
    assert_eq!(callbacks.len(), requests.len());
    assert_eq!(breaker.openings(&deployment).await, None);
    for request in &requests {
        let shown = services.record_once(http, request, "delivered").await;
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "waiting is no attempt: {shown}");
    }
}

#[tokio::test]
async fn a_failed_probe_opens_the_breaker_longer_for_all_workers() {
    let mut deployment = Deployment::new().await.with("CALLBACK_TIMEOUT_SEC", 2);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let breaker = BreakerInRedis::put(&deployment, &host, 3, Duration::from_millis(1)).await;
    let _second = deployment.start_worker();
    for _ in 0..20 {
        services.ask(http, DRIVER, &host.url("/hang")).await;
    }
    eventually("the probe to have failed", async || {
        breaker.openings(&deployment).await.filter(|openings| *openings == 4)
    })
    .await;
    assert_eq!(host.count(), 1);
}

#[tokio::test]
async fn a_url_that_is_gone_is_not_called_again_and_its_origin_is() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let first = services.ask(http, DRIVER, &host.url("/status/410")).await;
    let shown = services.record_once(http, &first, "undeliverable").await;
    assert_eq!(shown["callback_status"], "410");
    let second = services.ask(http, DRIVER, &host.url("/status/410?again")).await;
    let shown = services.record_once(http, &second, "undeliverable").await;
    assert!(shown["callback_status"].as_str().unwrap().starts_with("gone"), "{shown}");
    assert_eq!(host.count(), 1);
    let other = services.ask(http, DRIVER, &host.url("/ok/there")).await;
    host.all_of(&[other]).await;
    eventually("both dead letters", async || {
        (deployment.messages_in("celery.dead").await? == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_address_behind_many_names_leaves_slots_for_other_addresses() {
    let mut deployment = Deployment::new()
        .await
        .with("WORKER_CONCURRENCY", 16)
        .with("CALLBACK_TIMEOUT_SEC", 40)
        .with("AUTHORIZATION_TIMEOUT_SEC", 60)
        .with("SHUTDOWN_GRACE_SEC", 1);
    let services = deployment.start().await;
    let (hanging, http) = (CallbackHost::start().await, &deployment.http);
    let healthy = CallbackHost::start_at("127.0.0.2").await;
    for number in 0..40 {
        let url = hanging.url("/hang").replace("127.0.0.1", &format!("name{number}.localhost"));
        services.ask(http, DRIVER, &url).await;
    }
    eventually("the address to be full", async || (hanging.count() >= 10).then_some(())).await;
    let mut requests = Vec::new();
    for _ in 0..20 {
        requests.push(services.ask(http, DRIVER, &healthy.url("/ok/elsewhere")).await);
    }
    healthy.all_of(&requests).await;
    assert!(hanging.count() <= 14, "{} of 16 slots", hanging.count());
}

#[tokio::test]
async fn requests_are_refused_while_the_queue_exceeds_the_deadline() {
    let mut deployment = Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 1);
    let (_acl, _) = deployment.start_acl().await;
    let (_api, api_url) = deployment.start_api().await;
    let (host, http) = (CallbackHost::start().await, deployment.http.clone());
    let url = host.url("/ok/late");
    let mut accepted = vec![ask(&http, &api_url, DRIVER, &url).await.unwrap()];
    let asked = format!("{api_url}/station/{}/driver/{DRIVER}/authorize", tests::deployment::STATION);
    let refusal = eventually("a request to be refused", async || {
        let response = http.post(&asked).json(&json!({ "callback_url": url })).send().await.unwrap();
        if response.status() == 202 {
            let body: serde_json::Value = response.json().await.unwrap();
            accepted.push(body["request_id"].as_str().unwrap().to_owned());
            return None;
        }
        Some(response)
    })
    .await;
    assert_eq!((refusal.status().as_u16(), &refusal.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let _worker = deployment.start_worker();
    host.all_of(&accepted).await;
    let after = eventually("requests to be accepted again", async || {
        ask(&http, &api_url, DRIVER, &host.url("/ok/after")).await
    })
    .await;
    host.all_of(&[after]).await;
}
