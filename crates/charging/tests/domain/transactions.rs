//! A transaction happens as a whole or not at all, and holds nothing once it has ended.

use std::time::{Duration, Instant};

use charging::stations::locations;
use charging::{Db, DbError, Tx};
use futures_util::future::join_all;
use rand::RngExt;
use tokio::sync::{Barrier, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use crate::databases::{Place, each_database, is_postgres, on, on_postgres};
use crate::drafts::{self, create_location};

/// Far below the time limit of a statement, after which a blocked writer would go on in any case.
const AT_ONCE: Duration = Duration::from_secs(2);
const TAKE: &str = "UPDATE locations SET version = version WHERE id = $1";

async fn take(tx: &mut Tx, location: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(TAKE).bind(location).execute(c).await.map(drop))?;
    Ok(())
}

async fn count(tx: &mut Tx) -> Result<usize, DbError> {
    Ok(locations::list(tx, Uuid::nil(), 10_000).await?.len())
}

async fn count_now(db: &Db) -> usize {
    db.read(async |tx| count(tx).await).await.unwrap()
}

#[tokio::test]
async fn a_transaction_whose_body_fails_leaves_nothing() {
    each_database(async |db| {
        let failed = db
            .write(async |tx| -> Result<(), charging::stations::StationError> {
                locations::create(tx, &drafts::full_location()).await?;
                Err(charging::stations::StationError::Stale)
            })
            .await;
        assert!(failed.is_err());
        let failed = db
            .write(async |tx| -> Result<(), charging::stations::StationError> {
                locations::create(tx, &drafts::full_location()).await?;
                on!(tx, |c| sqlx::query("INSERT INTO leases (name) VALUES ('a')").execute(c).await.map(drop))
                    .map_err(DbError::from)?;
                Ok(())
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(count_now(db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_next_writer_goes_on_as_soon_as_a_transaction_fails() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("Held")).await.id;
        let held = Semaphore::new(0);
        let first = db.write(async |tx| -> Result<(), DbError> {
            take(tx, location).await?;
            held.add_permits(1);
            // The second writer is waiting by now, or will be refused nothing.
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(DbError::Slow)
        });
        let second = async {
            held.acquire().await.unwrap().forget();
            db.write(async |tx| take(tx, location).await).await.unwrap();
        };
        let (failed, done) = tokio::join!(first, timeout(AT_ONCE, second));
        assert!(failed.is_err());
        done.expect("the second writer waits no longer");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_go_away_leave_no_transaction_open() {
    each_database(async |db| {
        let held = create_location(db, &drafts::location("Held")).await.id;
        for _ in 0..60 {
            let abandoned = db.write(async |tx| -> Result<(), charging::stations::StationError> {
                take(tx, held).await?;
                locations::create(tx, &drafts::location("Second")).await?;
                locations::create(tx, &drafts::location("Third")).await?;
                Ok(())
            });
            let micros = rand::rng().random_range(0..5_000);
            let _ = timeout(Duration::from_micros(micros), abandoned).await;
        }
        timeout(AT_ONCE, db.write(async |tx| take(tx, held).await)).await.unwrap().unwrap();
        assert_eq!(count_now(db).await % 2, 1, "one, and two for each that was committed");
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_reads_sees_one_state_and_writes_nothing() {
    each_database(async |db| {
        create_location(db, &drafts::location("Before")).await;
        let seen = db.read(async |tx| {
            let before = count(tx).await?;
            create_location(db, &drafts::location("Meanwhile")).await;
            Ok::<_, DbError>((before, count(tx).await?))
        });
        assert_eq!(seen.await.unwrap(), (1, 1));
        assert!(db.read(async |tx| locations::create(tx, &drafts::location("No")).await).await.is_err());
        assert_eq!(count_now(db).await, 2);
    })
    .await;
}

#[tokio::test]
async fn transactions_that_wait_for_each_other_both_succeed() {
    on_postgres(async |place: &Place| {
        let db = &place.open().await.unwrap();
        let one = create_location(db, &drafts::location("One")).await.id;
        let other = create_location(db, &drafts::location("Other")).await.id;
        let (both, tries) = (Barrier::new(2), Semaphore::new(0));
        let ran = join_all([[one, other], [other, one]].map(async |[first, second]| {
            db.write(async |tx| {
                assert!(is_postgres(tx));
                take(tx, first).await?;
                // The one that is tried again finds the other one done.
                if tries.available_permits() < 2 {
                    tries.add_permits(1);
                    both.wait().await;
                }
                take(tx, second).await
            })
            .await
        }));
        for done in ran.await {
            done.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_violated_constraint_is_named_alike() {
    each_database(async |db| {
        drafts::create_station(db, &drafts::station("A", None, &[])).await;
        let (id, again) = (
            Uuid::now_v7(),
            "INSERT INTO stations (id, charger, access, online, version, created_at, updated_at) \
             SELECT $1, charger, access, online, 1, created_at, updated_at FROM stations",
        );
        let violated = db.write(async |tx| -> Result<(), DbError> {
            on!(tx, |c| sqlx::query(again).bind(id).execute(c).await.map(drop))?;
            Ok(())
        });
        let error = violated.await.unwrap_err();
        assert!(error.violates("stations_charger_key") && !error.is_transient(), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_wait_for_their_turn_and_none_fails() {
    each_database(async |db| {
        let began = Instant::now();
        let drafts: Vec<_> = (0..200).map(|number| drafts::location(&format!("Place {number}"))).collect();
        join_all(drafts.iter().map(|draft| create_location(db, draft))).await;
        assert_eq!(count_now(db).await, 200);
        assert!(began.elapsed() < Duration::from_secs(10));
    })
    .await;
}
