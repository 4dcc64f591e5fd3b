//! What callers can rely on when many of them write at once.
#![expect(clippy::unwrap_used, reason = "tests")]

use embedded_db::{DataFile, Database, DbError, DirectoryError, DirectoryLock};

const QUEUE: DataFile = DataFile { stem: "queue", table: "message" };

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS entry (name TEXT PRIMARY KEY) STRICT";

fn open(directory: &tempfile::TempDir) -> Database {
    Database::open(&directory.path().join("test.db"), SCHEMA).unwrap()
}

async fn insert(db: &Database, name: String) -> Result<usize, DbError> {
    db.write(move |tx| tx.execute("INSERT INTO entry VALUES (?1)", [name])).await
}

async fn count(db: &Database) -> i64 {
    db.read(|connection| connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)))
        .await
        .unwrap()
}

#[tokio::test]
async fn many_writers_share_commits_and_every_write_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(&directory);
    let writes = (0..1000).map(|number| {
        let db = db.clone();
        tokio::spawn(async move { insert(&db, format!("entry {number}")).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    assert_eq!(count(&db).await, 1000);
}

#[tokio::test]
async fn a_write_that_fails_half_way_undoes_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(&directory);
    insert(&db, "there".to_owned()).await.unwrap();
    let failing = db.write(|tx| {
        tx.execute("INSERT INTO entry VALUES ('half')", [])?;
        tx.execute("INSERT INTO entry VALUES ('there')", [])
    });
    let (failed, succeeded) = tokio::join!(failing, insert(&db, "beside".to_owned()));
    assert!(matches!(failed, Err(DbError::Sqlite(_))));
    succeeded.unwrap();
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    insert(&open(&directory), "kept".to_owned()).await.unwrap();
    assert_eq!(count(&open(&directory)).await, 1);
}

#[test]
fn a_directory_belongs_to_one_owner_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let lock = DirectoryLock::take(directory.path(), QUEUE).unwrap();
    let second = DirectoryLock::take(directory.path(), QUEUE);
    assert!(matches!(second, Err(DirectoryError::InUse(_))));
    drop(lock);
    DirectoryLock::take(directory.path(), QUEUE).unwrap();
}
