//! A worker whose number of slots follows the number of tasks in flight, as with Celery's `--autoscale`.

use std::time::Duration;

use task_queue::Autoscale;
use tests::deployment::Deployment;

use super::celery_workers::{Ours, client, control};

const AUTOSCALE: &str = r#"
def scaler(): return ours("stats")["autoscaler"]
assert scaler() == {"max": 4, "min": 1, "current": 1, "qty": 0}, scaler()
assert "error" in ours("pool_grow"), "as Celery has it"
tasks = [slow(60) for _ in range(8)]
until(lambda: scaler()["current"] == 4 and len(ours("active")) == 4)
assert ours("autoscale", max=6, min=2) == {"ok": "autoscale now max=6 min=2"}
until(lambda: scaler()["current"] == 6 and len(ours("active")) == 6)
ours("autoscale", max=3)
assert scaler()["current"] == 3 and ours("stats")["pool"]["max-concurrency"] == 3
ours("revoke", task_id=tasks, terminate=True)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_scales_with_the_tasks_in_flight() {
    let deployment = Deployment::new().await;
    let bounds = Autoscale::between(1, 4);
    let ours = Ours::start_as(&deployment, control(), Some(bounds)).await;
    client(&deployment, AUTOSCALE, &[]).await;
    ours.stop().await;
}

const SHRINKING: &str = r#"
def scaler(): return ours("stats")["autoscaler"]
def scaled(size, work):
    until(lambda: scaler() == {"max": 4, "min": 1, "current": size, "qty": work})
    assert ours("stats")["pool"]["max-concurrency"] == size and len(ours("active")) == work
first, *rest = [slow(60) for _ in range(4)]
scaled(4, 4)
ours("revoke", task_id=rest[1:], terminate=True)
scaled(2, 2)
ours("revoke", task_id=[first, *rest], terminate=True)
scaled(1, 0)
again = [slow(60) for _ in range(3)]
scaled(3, 3)
ours("revoke", task_id=again, terminate=True)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_shrinks_to_its_minimum_when_the_work_is_done() {
    let deployment = Deployment::new().await;
    let bounds = Autoscale { keepalive: Duration::from_millis(500), ..Autoscale::between(1, 4) };
    let ours = Ours::start_as(&deployment, control(), Some(bounds)).await;
    client(&deployment, SHRINKING, &[]).await;
    ours.stop().await;
}
