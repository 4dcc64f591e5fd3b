//! Nothing accepted is lost when a process dies in the middle of its work.

use authorization::AuthorizationQueue;
use authorization::tasks::authorize::Authorize;
use common::clock;
use common::ids::{PresentedToken, RequestId};
use service_runtime::trace_context::TraceContext;
use tests::accounting::assert_one_decision_each;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, QUEUE, STATION};
use tests::eventually;

#[tokio::test]
async fn a_worker_that_is_killed_in_mid_work_loses_nothing() {
    let mut deployment =
        Deployment::new().await.with("AUTHORIZATION_TIMEOUT_SEC", 30).with("WORKER_CONCURRENCY", 20);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let mut requests = Vec::new();
    for _ in 0..300 {
        requests.push(services.ask(http, DRIVER, &host.url("/ok/killed")).await);
        if requests.len() == 100 {
            eventually("work to be under way", async || (host.received().len() > 20).then_some(())).await;
        }
        if requests.len() == 150 {
            break;
        }
    }
    services.worker.kill().await;
    for _ in 150..300 {
        requests.push(
            tests::deployment::ask(http, &services.api_url, DRIVER, &host.url("/ok/killed")).await.unwrap(),
        );
    }
    let _second = deployment.start_worker();
    assert_one_decision_each(&host.all_of(&requests).await);
    eventually("the queue to be empty", async || {
        (deployment.messages_in("celery").await? == 0).then_some(())
    })
    .await;
    let dead =
        eventually("the dead letters to be counted", async || deployment.messages_in("celery.dead").await)
            .await;
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn a_redelivered_task_keeps_its_decision() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    // It is decided while the driver is not on the list; the callback fails and waits in the broker.
    let request = services.ask(http, DRIVER, &host.url("/first/503/200")).await;
    eventually("the first attempt", async || (!host.received().is_empty()).then_some(())).await;
    services.admit(http, DRIVER).await;
    services.worker.kill().await;
    let _second = deployment.start_worker();
    let received = eventually("delivery", async || Some(host.received()).filter(|all| all.len() >= 2)).await;
    assert!(received.iter().all(|callback| callback.id() == request && callback.status() == "not_allowed"));
}

#[tokio::test]
async fn a_second_copy_of_a_message_finds_the_decision_of_the_first() {
    let mut deployment = Deployment::new().await.with("LOG_LEVEL", "info,task_queue=trace");
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let broker = deployment.broker().await;
    let queue = AuthorizationQueue::new(broker.clone(), QUEUE);
    let (id, received) = (RequestId::new(), clock::now());
    let task = Authorize {
        station_id: STATION.parse().unwrap(),
        driver_token: PresentedToken::new(DRIVER),
        callback_url: host.url("/ok/copied"),
        expiry_time_ns: received + 30_000_000_000,
    };
    let trace = TraceContext::new();
    queue.request(id, &task, received, &trace).await.unwrap();
    services.record_once(http, &id.to_string(), "delivered").await;
    // From now on a new decision would be `allowed`.
    services.admit(http, DRIVER).await;
    queue.request(id, &task, received, &trace).await.unwrap();
    let ends = |line: &&str| line.contains("\"settled\"") && line.contains(&id.to_string());
    let both = async || (services.worker.log().lines().filter(ends).count() == 2).then_some(());
    eventually("both to be done", both).await;
    let received = host.received();
    assert_eq!(received.len(), 1, "the client was told once");
    assert_eq!(received[0].status(), "not_allowed");
    broker.close().await;
}

#[tokio::test]
async fn a_stopping_worker_finishes_what_it_has_in_hand() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.push(services.ask(http, DRIVER, &host.url("/ok/stopping")).await);
    }
    assert_eq!(services.worker.stop().await, Some(0));
    let _second = deployment.start_worker();
    let callbacks = host.all_of(&requests).await;
    assert_eq!(callbacks.len(), 50, "a clean stop tells nobody twice");
}
