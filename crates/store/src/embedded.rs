//! The store in a SQLite file inside one directory.

mod access;
mod audit;
mod groups;
mod keys;
mod kv;
mod overdue;
mod public_access;
mod records;
mod schedule;
mod search;

use std::path::Path;
use std::time::Duration;

use common::clock;
use embedded_db::{DataFile, Database, DbError, DirectoryLock};
use tokio::task::AbortHandle;

use crate::{StoreError, StoreOptions};

/// The store's file in a directory.
pub const STORE_FILE: DataFile = DataFile { stem: "store", table: "access_entry" };

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS access_entry (
        station_id   TEXT NOT NULL,
        driver_token TEXT NOT NULL,
        PRIMARY KEY (station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS access_times (
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        from_ms      INTEGER NOT NULL,
        until_ms     INTEGER NOT NULL,
        waits        INTEGER NOT NULL,
        PRIMARY KEY (station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS access_schedule (
        due_ms       INTEGER NOT NULL,
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        PRIMARY KEY (due_ms, station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS station_group (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS group_station (
        name       TEXT NOT NULL,
        station_id TEXT NOT NULL,
        PRIMARY KEY (name, station_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS group_driver (
        name         TEXT NOT NULL,
        driver_token TEXT NOT NULL,
        period       TEXT NOT NULL,
        PRIMARY KEY (name, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS public_station (station_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS member (
        driver_token TEXT    PRIMARY KEY,
        until_ms     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS member_expiry ON member (until_ms) WHERE until_ms > 0;
    CREATE TABLE IF NOT EXISTS platform_version (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS audit (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        entry      TEXT    NOT NULL,
        expires_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS audit_expiry ON audit (expires_ms);
    CREATE TABLE IF NOT EXISTS request (
        request_id   TEXT    PRIMARY KEY,
        start_ns     INTEGER NOT NULL,
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        expires_ms   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS request_expiry ON request (expires_ms);
    CREATE TABLE IF NOT EXISTS record (
        start_ns        INTEGER NOT NULL,
        station_id      TEXT    NOT NULL,
        driver_token    TEXT    NOT NULL,
        request_id      TEXT    NOT NULL,
        status          TEXT    NOT NULL,
        callback_url    TEXT    NOT NULL,
        callback_status TEXT    NOT NULL,
        delivery        TEXT    NOT NULL,
        deadline_ns     INTEGER NOT NULL,
        decided_ns      INTEGER NOT NULL,
        attempts        TEXT    NOT NULL,
        expires_ms      INTEGER NOT NULL,
        PRIMARY KEY (start_ns, station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS record_expiry ON record (expires_ms);
    CREATE INDEX IF NOT EXISTS record_by_time ON record (start_ns, request_id);
    CREATE INDEX IF NOT EXISTS record_by_station ON record (station_id, start_ns, request_id);
    CREATE INDEX IF NOT EXISTS record_by_driver ON record (driver_token, start_ns, request_id);
    CREATE INDEX IF NOT EXISTS record_by_status ON record (status, start_ns, request_id);
    CREATE TABLE IF NOT EXISTS record_source (
        start_ns     INTEGER NOT NULL,
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        source       TEXT    NOT NULL,
        expires_ms   INTEGER NOT NULL,
        PRIMARY KEY (start_ns, station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS record_source_expiry ON record_source (expires_ms);
    CREATE TABLE IF NOT EXISTS record_answer (
        start_ns     INTEGER NOT NULL,
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        answer       TEXT    NOT NULL,
        reason       TEXT    NOT NULL,
        expires_ms   INTEGER NOT NULL,
        PRIMARY KEY (start_ns, station_id, driver_token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS record_answer_expiry ON record_answer (expires_ms);
    CREATE TABLE IF NOT EXISTS delivery (
        request_id TEXT    PRIMARY KEY,
        over_by_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS delivery_by_time ON delivery (over_by_ms);
    CREATE TABLE IF NOT EXISTS feed (
        seq          INTEGER PRIMARY KEY AUTOINCREMENT,
        start_ns     INTEGER NOT NULL,
        station_id   TEXT    NOT NULL,
        driver_token TEXT    NOT NULL,
        expires_ms   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS feed_expiry ON feed (expires_ms);
    CREATE TABLE IF NOT EXISTS keyed (
        key        TEXT    PRIMARY KEY,
        value      TEXT    NOT NULL,
        expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS keyed_expiry ON keyed (expires_ms);
    CREATE TABLE IF NOT EXISTS api_key (
        id            TEXT    PRIMARY KEY,
        name          TEXT    NOT NULL,
        scopes        TEXT    NOT NULL,
        secret_sha256 TEXT    NOT NULL,
        created_ms    INTEGER NOT NULL,
        expires_ms    INTEGER,
        last_used_ms  INTEGER,
        revoked_ms    INTEGER,
        gone_ms       INTEGER
    ) STRICT, WITHOUT ROWID;";

/// How often expired rows are deleted, and how many at a time.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_ROWS: i64 = 5000;

pub(crate) struct EmbeddedStore {
    db: Database,
    options: StoreOptions,
    sweeper: AbortHandle,
    /// `None` if another process owns the directory.
    _lock: Option<DirectoryLock>,
}

impl EmbeddedStore {
    pub(crate) fn open(directory: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(directory, STORE_FILE)?;
        let db = Database::open(&STORE_FILE.within(directory), SCHEMA).map_err(unavailable)?;
        Ok(Self::of(db, options, Some(lock)))
    }

    /// Opens the file while another process may own the directory: SQLite lets both write. It does not create the file;
    /// otherwise data meant for one directory would end up in another.
    pub(crate) fn beside(directory: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let file = STORE_FILE.within(directory);
        if !STORE_FILE.is_in(directory) {
            return Err(StoreError::unavailable(format!("{} does not exist", file.display())));
        }
        Ok(Self::of(Database::open_existing(&file, SCHEMA).map_err(unavailable)?, options, None))
    }

    fn of(db: Database, options: &StoreOptions, lock: Option<DirectoryLock>) -> Self {
        let sweeper = tokio::spawn(sweep(db.clone())).abort_handle();
        Self { db, options: options.clone(), sweeper, _lock: lock }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    fn expiry_ms(&self, keep: Duration) -> i64 {
        now_ms().saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

/// Deletes expired rows for as long as the store is open.
async fn sweep(db: Database) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        let swept = db.write(|tx| {
            for (table, key) in [
                ("request", "request_id"),
                ("record", "start_ns, station_id, driver_token"),
                ("record_source", "start_ns, station_id, driver_token"),
                ("record_answer", "start_ns, station_id, driver_token"),
                ("feed", "seq"),
                ("keyed", "key"),
                ("audit", "id"),
            ] {
                let expired = format!("SELECT {key} FROM {table} WHERE expires_ms < ?1 LIMIT ?2");
                tx.execute(
                    &format!("DELETE FROM {table} WHERE ({key}) IN ({expired})"),
                    [now_ms(), SWEEP_ROWS],
                )?;
            }
            let ended = "SELECT driver_token FROM member WHERE until_ms > 0 AND until_ms < ?1 LIMIT ?2";
            tx.execute(
                &format!("DELETE FROM member WHERE driver_token IN ({ended})"),
                [now_ms(), SWEEP_ROWS],
            )?;
            tx.execute("DELETE FROM api_key WHERE gone_ms < ?1", [now_ms()]).map(drop)
        });
        match swept.await {
            Ok(()) => {}
            Err(DbError::Closed) => return,
            Err(error) => tracing::warn!(%error, "expired records could not be deleted"),
        }
    }
}

fn now_ms() -> i64 {
    i64::try_from(clock::now() / 1_000_000).unwrap_or(i64::MAX)
}

fn unavailable(error: DbError) -> StoreError {
    StoreError::unavailable(error)
}
