//! A closed file is complete: it contains everything, and no other file is left next to it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use embedded_db::{Database, DbError, rusqlite};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS entry (name TEXT PRIMARY KEY) STRICT";

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn insert(db: &Database, name: String) -> Result<usize, DbError> {
    db.write(move |tx| tx.execute("INSERT INTO entry VALUES (?1)", [name])).await
}

async fn count(db: &Database) -> Result<i64, DbError> {
    db.read(|connection| connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))).await
}

#[tokio::test]
async fn a_closed_file_holds_every_write_and_leaves_no_other_file() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(&directory.path().join("test.db"), SCHEMA).unwrap();
    let clone = db.clone();
    for number in 0..50 {
        insert(&db, format!("entry {number}")).await.unwrap();
    }
    assert_eq!(names(directory.path()), ["test.db", "test.db-shm", "test.db-wal"]);
    db.close().await;
    assert_eq!(names(directory.path()), ["test.db"]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("test.db"), elsewhere.path().join("copy.db")).unwrap();
    let copy = Database::open_existing(&elsewhere.path().join("copy.db"), SCHEMA).unwrap();
    assert_eq!(count(&copy).await.unwrap(), 50);
    // The same for a remaining clone.
    assert!(matches!(insert(&clone, "late".to_owned()).await, Err(DbError::Closed)));
    assert!(matches!(count(&clone).await, Err(DbError::Closed)));
    clone.close().await;
}

#[tokio::test]
async fn what_waits_when_a_file_is_closed_is_written_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let db = Database::open(&path, SCHEMA).unwrap();
    let writes: Vec<_> = (0..500)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move { insert(&db, format!("entry {number}")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    db.close().await;
    let mut written = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(_) => written += 1,
            Err(error) => assert!(matches!(error, DbError::Closed), "{error}"),
        }
    }
    assert_eq!(names(directory.path()), ["test.db"]);
    assert_eq!(count(&Database::open_existing(&path, SCHEMA).unwrap()).await.unwrap(), written);
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_file_before_it_returns() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(&directory.path().join("test.db"), SCHEMA).unwrap();
    insert(&db, "kept".to_owned()).await.unwrap();
    drop(db);
    assert_eq!(names(directory.path()), ["test.db"]);
}

#[tokio::test]
async fn data_is_in_the_file_even_if_another_process_has_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let db = Database::open(&path, SCHEMA).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    insert(&db, "kept".to_owned()).await.unwrap();
    let seen: i64 = other.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 1);
    db.close().await;
    assert_eq!(path.with_extension("db-wal").metadata().unwrap().len(), 0);
}

#[tokio::test]
async fn a_file_that_has_to_be_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Database::open_existing(&directory.path().join("none.db"), SCHEMA).is_err());
    assert!(names(directory.path()).is_empty());
}
