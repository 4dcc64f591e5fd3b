//! One process at a time holds a lease.

use std::time::Duration;

use charging::Db;
use charging::lease::Holder;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::databases::{SOON, each_database};

const LONG: Duration = Duration::from_secs(3600);

async fn take(db: &Db, holder: Holder, name: &str, span: Duration) -> bool {
    db.write(async |tx| holder.take(tx, name, span).await).await.unwrap()
}

#[tokio::test]
async fn of_many_processes_one_takes_the_lease_and_renews_it() {
    each_database(async |db| {
        let holders: Vec<Holder> = (0..10).map(|_| Holder::new()).collect();
        let taken = join_all(holders.iter().map(|holder| take(db, *holder, "work", LONG))).await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        let again = join_all(holders.iter().map(|holder| take(db, *holder, "work", LONG))).await;
        assert_eq!(again, taken);
        assert!(take(db, Holder::new(), "other work", LONG).await);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ran_out_passes_on() {
    each_database(async |db| {
        let (first, second) = (Holder::new(), Holder::new());
        assert!(take(db, first, "work", Duration::from_millis(50)).await);
        let passes_on = async {
            while !take(db, second, "work", LONG).await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, passes_on).await.unwrap();
        assert!(!take(db, first, "work", LONG).await);
    })
    .await;
}

#[tokio::test]
async fn only_its_holder_releases_a_lease() {
    each_database(async |db| {
        let (first, second) = (Holder::new(), Holder::new());
        assert!(take(db, first, "work", LONG).await);
        db.write(async |tx| second.release(tx, "work").await).await.unwrap();
        assert!(!take(db, second, "work", LONG).await);
        db.write(async |tx| first.release(tx, "work").await).await.unwrap();
        assert!(take(db, second, "work", LONG).await);
    })
    .await;
}
