//! PostgreSQL goes away: what was committed is still there, and the same `Db` works again by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use charging::stations::{StationError, locations};
use charging::{Db, DbError};
use futures_util::future::join_all;
use tempfile::TempDir;
use test_servers::Postgres;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::databases::SOON;
use crate::drafts;

const WRITERS: usize = 8;
/// The time limit of a transaction, and some more.
const LIMIT: Duration = Duration::from_secs(13);

async fn write(db: &Db) -> Result<Uuid, StationError> {
    let draft = drafts::location("Written");
    db.write(async |tx| Ok(locations::create(tx, &draft).await?.id)).await
}

/// Writes until the end. Returns the ids of what was committed, and how many writes failed.
async fn write_until(db: &Db, end: &AtomicBool) -> (Vec<Uuid>, usize) {
    let (mut committed, mut failed) = (Vec::new(), 0);
    while !end.load(Ordering::SeqCst) {
        match write(db).await {
            Ok(id) => committed.push(id),
            Err(StationError::Database(error)) => {
                assert!(error.is_transient(), "{error:?}");
                failed += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    (committed, failed)
}

async fn connect(postgres: &Postgres) -> Db {
    Db::connect(&format!("{}/postgres", postgres.url()), 10, SOON).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_committed_is_there_after_postgres_was_away() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    let mut postgres = spawn_blocking(move || Postgres::start(&path).unwrap()).await.unwrap();
    let (db, end) = (connect(&postgres).await, AtomicBool::new(false));
    let writers = join_all((0..WRITERS).map(|_| write_until(&db, &end)));
    let faults = async {
        for fault in [Postgres::stop, Postgres::kill] {
            sleep(Duration::from_millis(400)).await;
            postgres = spawn_blocking(move || {
                fault(&mut postgres).unwrap();
                postgres.start_again().unwrap();
                postgres
            })
            .await
            .unwrap();
            let works_again = async { while write(&db).await.is_err() {} };
            timeout(SOON, works_again).await.unwrap();
        }
        end.store(true, Ordering::SeqCst);
        postgres
    };
    let (written, _postgres) = tokio::join!(writers, faults);
    assert!(written.iter().any(|(_, failed)| *failed > 0), "no write met the fault");
    for (committed, _) in written {
        assert!(!committed.is_empty());
        for id in committed {
            let found = db.read(async |tx| locations::find(tx, id).await).await.unwrap();
            assert!(found.is_some(), "{id} was committed");
        }
    }
}

#[tokio::test]
async fn a_postgres_that_hangs_is_reported_within_the_limit() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    let postgres = spawn_blocking(move || Postgres::start(&path).unwrap()).await.unwrap();
    let db = connect(&postgres).await;
    write(&db).await.unwrap();
    postgres.pause().unwrap();
    let began = Instant::now();
    let probes = join_all([db.probe(), db.probe()]);
    let (written, probed) = tokio::join!(write(&db), timeout(LIMIT, probes));
    let Err(StationError::Database(error)) = written else { panic!("{written:?}") };
    assert!(error.is_transient() && began.elapsed() < LIMIT, "{error:?}");
    assert!(probed.unwrap().iter().all(|done| done.as_ref().is_err_and(DbError::is_transient)));
    postgres.resume().unwrap();
    let works_again = async { while write(&db).await.is_err() {} };
    timeout(SOON, works_again).await.unwrap();
}
