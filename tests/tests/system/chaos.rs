//! A short run of the fault suite that `make chaos` runs for ten minutes.

use std::time::Duration;

use tests::chaos::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_202_is_accounted_for_whatever_fails_meanwhile() {
    let seed = uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000;
    let plan = Plan { seed, length: Duration::from_secs(45), rate: 15, progress: false };
    let report = run(plan).await;
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}
