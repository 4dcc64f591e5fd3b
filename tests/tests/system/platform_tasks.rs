//! The platform's periodic tasks: each is published once an interval, by one of the workers, and runs in a real one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use charging::{At, Db, DbError, Tx, periodic};
use platform_queue::{PlatformQueue, QUEUE};
use serde_json::{Value, json};
use task_queue::Broker;
use task_queue::broker::Deliveries;
use tests::deployment::Deployment;
use tests::process::Process;
use tests::{PATIENCE, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::scheduler::{Periodic, Scheduler};

use super::celery_workers::{client, python_worker};

const EVERY: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(20);
const TASKS: &[Periodic] = &[Periodic { task: "tests.periodic", every: EVERY }];

async fn next(deliveries: &mut Deliveries) -> Value {
    let delivery = tokio::time::timeout(PATIENCE, deliveries.recv()).await.expect("a task in time").unwrap();
    let headers = delivery.message.headers.clone();
    delivery.ack().await.unwrap();
    headers.into()
}

fn schedule(
    tasks: &'static [Periodic],
    db: &Db,
    broker: &Arc<dyn Broker>,
) -> (JoinHandle<()>, CancellationToken) {
    let (db, stop) = (db.clone(), CancellationToken::new());
    let (queue, stopped) = (PlatformQueue::new(Arc::clone(broker)), stop.clone());
    let scheduler = Scheduler::new(tasks, queue, TICK);
    (tokio::spawn(async move { scheduler.run(&db, stopped).await }), stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_publish_a_task_once_an_interval() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path()).await.unwrap();
    let broker = Deployment::new().await.broker().await;
    // Queues that do not exist are declared by the first message.
    let mut deliveries = broker.consume(QUEUE, 10, CancellationToken::new()).await.unwrap();
    let (first, stop_first) = schedule(TASKS, &db, &broker);
    let mut ids = BTreeSet::new();
    ids.insert(next(&mut deliveries).await["id"].to_string());
    let began = Instant::now();
    let (second, stop_second) = schedule(TASKS, &db, &broker);
    for count in 1..=5 {
        let task = next(&mut deliveries).await;
        assert_eq!(task["task"], "tests.periodic");
        ids.insert(task["id"].to_string());
        // The first one may have been late by a tick and the time of a transaction.
        assert!(began.elapsed() + EVERY > EVERY * count, "{count} after {:?}", began.elapsed());
    }
    assert_eq!(ids.len(), 6);
    // The other one takes over from a scheduler that stops.
    stop_first.cancel();
    first.await.unwrap();
    next(&mut deliveries).await;
    next(&mut deliveries).await;
    stop_second.cancel();
    second.await.unwrap();
}

const HOURLY: &[Periodic] = &[Periodic { task: "tests.hourly", every: Duration::from_secs(3600) }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_time_that_was_set_by_hand_is_moved_on() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path()).await.unwrap();
    let broker = Deployment::new().await.broker().await;
    let mut deliveries = broker.consume(QUEUE, 10, CancellationToken::new()).await.unwrap();
    let (scheduler, stop) = schedule(HOURLY, &db, &broker);
    next(&mut deliveries).await;
    // With microseconds, as PostgreSQL's now() has them.
    let set = async |tx: &mut Tx| {
        let Tx::Lite(lite) = tx else { panic!("a file") };
        let setting = "UPDATE periodic_tasks SET due_at = (due_at / 1000 - 3600000) * 1000 + 7";
        Ok::<_, DbError>(sqlx::query(setting).execute(&mut **lite).await.map(drop)?)
    };
    eventually("the first due time", async || due(&db).await.is_empty().then_some(())).await;
    db.write(set).await.unwrap();
    next(&mut deliveries).await;
    eventually("it to be moved on", async || due(&db).await.is_empty().then_some(())).await;
    stop.cancel();
    scheduler.await.unwrap();
}

async fn due(db: &Db) -> Vec<(String, At)> {
    db.read(async |tx| periodic::due(tx).await).await.unwrap()
}

/// Old and new rows of each kind, of which only the new ones stay.
async fn fill(db: &Db) {
    db.write(async |tx| {
        let day = Duration::from_secs(86_400);
        for (age, count) in [(day * 3, 1300), (Duration::ZERO, 3)] {
            for _ in 0..count {
                event(tx, At::now().minus(age)).await?;
            }
            key(tx, At::now().minus(age)).await?;
        }
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
}

async fn event(tx: &mut Tx, at: At) -> Result<(), DbError> {
    let Tx::Lite(lite) = tx else { panic!("a file") };
    let adding = "INSERT INTO outbox (position, routing_key, data, at) \
                  SELECT COALESCE(MAX(position), 0) + 1, 'station.updated', '{}', $1 FROM outbox";
    sqlx::query(adding).bind(at).execute(&mut **lite).await?;
    let counting = "UPDATE outbox_state SET last_position = last_position + 1, published = published + 1";
    Ok(sqlx::query(counting).execute(&mut **lite).await.map(drop)?)
}

async fn key(tx: &mut Tx, at: At) -> Result<(), DbError> {
    let Tx::Lite(lite) = tx else { panic!("a file") };
    let adding = "INSERT INTO idempotency_keys (caller, route, key, request, at) VALUES ('me', 'GET /', $1, x'00', $2)";
    let query = sqlx::query(adding).bind(Uuid::new_v4().to_string()).bind(at);
    Ok(query.execute(&mut **lite).await.map(drop)?)
}

async fn counts(db: &Db) -> (i64, i64) {
    db.read(async |tx| {
        let Tx::Lite(lite) = tx else { panic!("a file") };
        let counting = "SELECT (SELECT COUNT(*) FROM outbox), (SELECT COUNT(*) FROM idempotency_keys)";
        Ok::<_, DbError>(sqlx::query_as(counting).fetch_one(&mut **lite).await?)
    })
    .await
    .unwrap()
}

async fn filled(directory: &Path) {
    let db = Db::open(directory).await.unwrap();
    fill(&db).await;
    db.close().await;
}

const INSPECT: &str = r#"
inspect = app.control.inspect(timeout=5, destination=["ours@test", "python@test"])
queues = {node: sorted(queue["name"] for queue in found) for node, found in inspect.active_queues().items()}
print(json.dumps({"queues": queues, "registered": inspect.registered(), "ping": inspect.ping()}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_a_database_prunes_and_python_sees_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let deployment = Deployment::new()
        .await
        .with("TASK_QUEUE_TYPE", "classic")
        .with("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:1")
        .with("DATABASE_URL", format!("embedded:{}", directory.path().display()))
        .with("WORKER_HOSTNAME", "ours@test")
        .with("SCHEDULER_TICK_SEC", "0.1");
    let _python = python_worker(&deployment, &[]).await;
    let worker = deployment.start_worker();
    let pidbox = format!("queues/{}/ours@test.celery.pidbox", deployment.vhost);
    eventually("the mailbox of our worker", async || {
        deployment.servers.broker_get(&pidbox).await.filter(|queue| queue["consumers"] == 1)
    })
    .await;
    let db = Db::open_beside(directory.path()).await.unwrap();
    eventually("only new rows to be left", async || (counts(&db).await == (3, 1)).then_some(())).await;

    let seen = client(&deployment, INSPECT, &[]).await;
    let ours = json!(["celery", "celery.callbacks", "voltgate.platform"]);
    assert_eq!(seen["queues"], json!({"ours@test": ours, "python@test": ["celery", "q.python"]}));
    let registered = seen["registered"]["ours@test"].as_array().unwrap();
    for task in worker::scheduler::PERIODIC {
        assert!(registered.contains(&json!(task.task)), "{registered:?}");
    }
    assert_eq!(seen["ping"].as_object().unwrap().len(), 2);
    for queue in ["celery", "celery.dead", "voltgate.platform.dead"] {
        let path = format!("queues/{}/{queue}", deployment.vhost);
        let found = deployment.servers.broker_get(&path).await.unwrap();
        assert!(found["message_stats"]["publish"].is_null(), "{found}");
    }
    assert_eq!(worker.stop().await, Some(0));
    // Nothing of it is left over, and its lease is free for the next worker.
    let leases = db.read(async |tx| {
        let Tx::Lite(lite) = tx else { panic!("a file") };
        let counting = sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM leases");
        Ok::<_, DbError>(counting.fetch_one(&mut **lite).await?)
    });
    assert_eq!(leases.await.unwrap(), (0,));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_database_declares_no_platform_queue() {
    let deployment = Deployment::new()
        .await
        .with("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:1")
        .with("WORKER_HOSTNAME", "ours@test");
    let worker: Process = deployment.start_worker();
    let callbacks = format!("queues/{}/celery.callbacks", deployment.vhost);
    eventually("it to consume", async || {
        deployment.servers.broker_get(&callbacks).await.filter(|queue| queue["consumers"] == 1)
    })
    .await;
    let platform = format!("queues/{}/{QUEUE}", deployment.vhost);
    assert_eq!(deployment.servers.broker_get(&platform).await, None);
    assert_eq!(worker.stop().await, Some(0));
}
