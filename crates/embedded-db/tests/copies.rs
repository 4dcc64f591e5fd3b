//! Copies are complete or absent, and an incomplete one is detected.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use embedded_db::{DataFile, Database, DbError, DirectoryError, DirectoryLock, Staging, check, copy};

const KIND: DataFile = DataFile { stem: "test", table: "entry" };
const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS entry_text ON entry (text);";

async fn filled(path: &Path) -> Database {
    let db = Database::open(path, SCHEMA).unwrap();
    for number in 0..300_i64 {
        let text = format!("{number} {}", "x".repeat(200));
        db.write(move |tx| tx.execute("INSERT INTO entry VALUES (?1, ?2)", (number, text))).await.unwrap();
    }
    db
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_of_one_moment_however_much_is_written_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("test.db");
    let db = filled(&source).await;
    let writing = tokio::spawn({
        let db = db.clone();
        async move {
            // Pairs, so that a copy of half a pair would be noticed.
            for pair in 0..2000_i64 {
                db.write(move |tx| {
                    tx.execute("INSERT INTO entry VALUES (?1, 'left')", [1000 + 2 * pair])?;
                    tx.execute("INSERT INTO entry VALUES (?1, 'right')", [1001 + 2 * pair])
                })
                .await
                .unwrap();
            }
        }
    });
    for number in 0..5 {
        let target = directory.path().join(format!("copy-{number}.db"));
        copy(&source, &target).unwrap();
        check(&target, &KIND).unwrap();
        let copied = Database::open_existing(&target, SCHEMA).unwrap();
        let count = |text: &'static str| {
            copied.read(move |connection| {
                connection.query_row("SELECT count(*) FROM entry WHERE text = ?1", [text], |row| {
                    row.get::<_, i64>(0)
                })
            })
        };
        assert_eq!(count("left").await.unwrap(), count("right").await.unwrap());
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_damaged_truncated_empty_or_foreign_copy_is_detected() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("test.db");
    filled(&source).await.close().await;
    check(&source, &KIND).unwrap();
    let good = fs::read(&source).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 2048].fill(0x5a);
    let other = DataFile { stem: "other", table: "message" };
    for (name, bytes) in [
        ("damaged", &damaged[..]),
        ("short", &good[..middle]),
        ("empty", &[]),
        ("text", b"not a database, is it"),
    ] {
        // The name contains characters that have a meaning in a URI.
        let path = directory.path().join(format!("{name}?#%41.db"));
        fs::write(&path, bytes).unwrap();
        assert!(matches!(check(&path, &KIND), Err(DbError::Damaged(_))), "{name}");
    }
    assert!(matches!(check(&source, &other), Err(DbError::Damaged(why)) if why.contains("`message`")));
    fs::write(directory.path().join("test.db-wal"), b"the rest").unwrap();
    assert!(matches!(check(&source, &KIND), Err(DbError::Damaged(why)) if why.contains("-wal")));
    assert!(matches!(check(&directory.path().join("none.db"), &KIND), Err(DbError::File(..))));
}

#[test]
fn a_directory_is_filled_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    for (target, exists) in [("new", false), ("deep/new", false), ("there", true)] {
        let target = root.path().join(target);
        if exists {
            fs::create_dir(&target).unwrap();
        }
        let given_up = Staging::of(&target).unwrap();
        fs::write(given_up.place().join("a"), "a").unwrap();
        drop(given_up);
        assert_eq!((target.exists(), target.join("a").exists()), (exists, false));
        let staging = Staging::of(&target).unwrap();
        for name in ["a", "b"] {
            fs::write(staging.place().join(name), name).unwrap();
        }
        assert!(!target.join("a").exists());
        staging.publish().unwrap();
        assert_eq!(fs::read_to_string(target.join("b")).unwrap(), "b");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
        assert!(!Staging::was_interrupted(&target));
    }
}

#[test]
fn a_directory_that_a_crash_left_half_filled_is_not_worked_on() {
    let root = tempfile::tempdir().unwrap();
    let staging = Staging::of(root.path()).unwrap();
    fs::write(staging.place().join("test.db"), "").unwrap();
    assert!(Staging::was_interrupted(root.path()));
    assert!(matches!(DirectoryLock::take(root.path(), KIND), Err(DirectoryError::HalfRestored(_))));
    drop(staging);
    DirectoryLock::take(root.path(), KIND).unwrap();
}
