//! Nothing accepted is lost when a process dies in the middle of its work.

use tests::accounting::assert_one_decision_each;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment};
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
    // Decided while the driver is a stranger; the callback cannot be delivered and waits in the broker.
    let request = services.ask(http, DRIVER, &host.url("/first/503/200")).await;
    eventually("the first attempt", async || (!host.received().is_empty()).then_some(())).await;
    services.admit(http, DRIVER).await;
    services.worker.kill().await;
    let _second = deployment.start_worker();
    let received = eventually("delivery", async || Some(host.received()).filter(|all| all.len() >= 2)).await;
    assert!(received.iter().all(|callback| callback.id() == request && callback.status() == "not_allowed"));
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
