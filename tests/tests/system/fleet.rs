//! A short run of the mixed fleet that `make fleet` runs with ten thousand calls.

use std::time::Duration;

use tests::fleet::{Plan, QueueType, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_callback_is_seen_of_a_mixed_fleet_whose_workers_are_killed_at_random() {
    let seed = uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000;
    let life = Duration::from_secs(3);
    let plan = Plan { seed, requests: 400, rate: 50, queue_type: QueueType::Quorum, life, progress: false };
    let report = run(plan).await;
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}
