//! A short run of the mixed fleet that `make fleet` runs with ten thousand calls.

use std::time::Duration;

use tests::fleet::{Plan, QueueType, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_fleet_with_killed_workers_delivers_every_callback() {
    let seed = uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000;
    let life = Duration::from_secs(3);
    let plan = Plan { seed, requests: 400, rate: 50, queue_type: QueueType::Quorum, life, progress: false };
    let report = run(plan).await;
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}
