//! The database: PostgreSQL, or a SQLite file, behind one type. Every statement runs within a transaction, has a time limit,
//! and is the same text on both.
//!
//! A connection pooler may stand between the process and PostgreSQL later. So there is no `LISTEN`, no lock of a session,
//! and no `SET` except `SET LOCAL`.

mod at;
pub mod diagnostics;
mod error;
mod migrations;
mod postgres;
mod row;
mod sqlite;
mod words;

use std::path::Path;
use std::time::{Duration, Instant};

use ::metrics::{gauge, histogram};
use embedded_db::{DataFile, DirectoryLock};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tracing::{Instrument, Span};

pub use self::at::At;
pub(crate) use self::at::first_id_at;
pub use self::error::{DbError, OpenError};
pub use self::migrations::VERSION;
pub use self::postgres::Pg;
pub(crate) use self::row::{filled, on, row, statements};
pub(crate) use self::words::words;
use crate::metrics::{DATABASE_REACHABLE, DATABASE_TRANSACTION};

/// The names and the texts of a module's statements.
pub type Statements = &'static [(&'static str, &'static str)];

/// The file of an embedded database.
pub const PLATFORM_FILE: DataFile = DataFile { stem: "platform", table: "locations" };

/// The time limit of one statement. PostgreSQL enforces it too, so that an abandoned statement does not go on.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);
/// The time limit of a whole transaction, the wait for a connection included.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(10);
/// Between two attempts to reach the database at the start.
const START_PAUSE: Duration = Duration::from_millis(500);
/// Otherwise each statement would see a state of its own.
const BEGIN_READ: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '5s'";
const BEGIN_WRITE: &str = "BEGIN; SET LOCAL statement_timeout = '5s'";
/// How often a transaction is tried that PostgreSQL ended because it conflicted with another one.
const TRIES: u32 = 5;
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The database. Cheap to clone; open it once a process.
#[derive(Debug, Clone)]
pub enum Db {
    /// PostgreSQL.
    Pg(Pg),
    /// A SQLite file.
    Lite(Lite),
}

/// A SQLite file: one connection writes, others read.
#[derive(Debug, Clone)]
pub struct Lite {
    read: SqlitePool,
    write: SqlitePool,
    /// `None` for a tool that works beside the process that owns the directory.
    _lock: Option<DirectoryLock>,
}

/// A transaction. Its body must return the error of every statement that failed: PostgreSQL ends the transaction then, and
/// answers the commit as if it had succeeded.
pub enum Tx {
    /// In PostgreSQL.
    Pg(Transaction<'static, Postgres>),
    /// In a SQLite file.
    Lite(Transaction<'static, Sqlite>),
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// Repeats an attempt while the database is away, for as long as a start may wait: it may leave between two steps of a start as
/// well as before them.
///
/// # Errors
/// Returns the error of the last attempt.
pub async fn at_the_start<T, E: std::fmt::Display>(
    limit: Duration,
    is_transient: impl Fn(&E) -> bool,
    attempt: impl AsyncFn() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(error) if is_transient(&error) && began.elapsed() < limit => {
                tracing::warn!(%error, "the database cannot be reached yet; trying again");
                tokio::time::sleep(START_PAUSE).await;
            }
            ended => return ended,
        }
    }
}

impl Db {
    /// Connects to PostgreSQL and brings its tables up to date.
    ///
    /// # Errors
    /// Returns an error if it cannot be reached within `limit`, or its tables are of another version.
    pub async fn connect(url: &str, connections: u32, limit: Duration) -> Result<Self, OpenError> {
        let pg = Pg::new(Self::pool(url, connections)?);
        let migrate = async || {
            let migrating = tokio::time::timeout(limit.max(Duration::from_secs(1)), pg.migrate());
            migrating.await.unwrap_or_else(|_| Err(DbError::Slow.into()))
        };
        at_the_start(limit, OpenError::is_transient, migrate).await?;
        Ok(Self::Pg(pg))
    }

    /// The same without waiting for PostgreSQL: the first transaction that reaches it brings the tables up to date.
    ///
    /// # Errors
    /// Returns an error if the URL is malformed.
    pub fn connect_later(url: &str, connections: u32) -> Result<Self, OpenError> {
        Ok(Self::Pg(Pg::new(Self::pool(url, connections)?)))
    }

    fn pool(url: &str, connections: u32) -> Result<PgPool, OpenError> {
        let options: PgConnectOptions = url.parse().map_err(|_| OpenError::BadUrl)?;
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(STATEMENT_LIMIT);
        Ok(pool.connect_lazy_with(options.application_name("voltgate")))
    }

    /// Opens the file in this directory, which belongs to this process from now on, and brings its tables up to date.
    ///
    /// # Errors
    /// Returns an error if another process holds the directory, or the file cannot be used.
    pub async fn open(directory: &Path) -> Result<Self, OpenError> {
        let lock = DirectoryLock::take(directory, PLATFORM_FILE)?;
        Self::with_file(directory, true, Some(lock)).await
    }

    /// Opens the file that another process may own. The file must exist.
    ///
    /// # Errors
    /// Returns an error if the file does not exist, or is of another version.
    pub async fn open_beside(directory: &Path) -> Result<Self, OpenError> {
        Self::with_file(directory, false, None).await
    }

    async fn with_file(
        directory: &Path,
        create: bool,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let file = PLATFORM_FILE.within(directory);
        migrations::sqlite(sqlite::unlimited(&file, create).await?).await?;
        let (write, read) = (sqlite::writer(&file).await?, sqlite::readers(&file).await?);
        Ok(Self::Lite(Lite { read, write, _lock: lock }))
    }

    /// Runs `body` in a transaction that only reads. It sees one state of the database.
    ///
    /// # Errors
    /// Returns the error of `body`, or of the database.
    pub async fn read<T, E: TxError>(&self, body: impl AsyncFn(&mut Tx) -> Result<T, E>) -> Result<T, E> {
        self.run(Kind::Read, body).await
    }

    /// Runs `body` in a transaction and commits it if `body` returns `Ok`; otherwise rolls it back at once. `body` runs
    /// again if PostgreSQL ended the transaction because it conflicted with another one.
    ///
    /// # Errors
    /// Returns the error of `body`, or of the database.
    pub async fn write<T, E: TxError>(&self, body: impl AsyncFn(&mut Tx) -> Result<T, E>) -> Result<T, E> {
        self.run(Kind::Write, body).await
    }

    async fn run<T, E: TxError>(
        &self,
        kind: Kind,
        body: impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let ran = tokio::time::timeout(TRANSACTION_LIMIT, async {
            let mut tries = 0;
            loop {
                let mut tx = self.begin(kind).await?;
                let done = body(&mut tx).await;
                tries += 1;
                match tx.end(done).await {
                    Err(error) if tries < TRIES && error.database().is_some_and(DbError::is_conflict) => {}
                    done => return done,
                }
            }
        });
        let ran = ran.instrument(kind.span());
        let ran = ran.await.unwrap_or_else(|_| Err(DbError::Slow.into()));
        histogram!(DATABASE_TRANSACTION, "kind" => kind.name()).record(began.elapsed().as_secs_f64());
        ran
    }

    async fn begin(&self, kind: Kind) -> Result<Tx, DbError> {
        Ok(match (self, kind) {
            (Self::Pg(pg), Kind::Read) => Tx::Pg(pg.begin(BEGIN_READ).await?),
            (Self::Pg(pg), Kind::Write) => Tx::Pg(pg.begin(BEGIN_WRITE).await?),
            (Self::Lite(lite), Kind::Read) => Tx::Lite(lite.read.begin().await?),
            // A deferred transaction that reads first fails at once if another process has written meanwhile.
            (Self::Lite(lite), Kind::Write) => Tx::Lite(lite.write.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// Returns an error if it does not.
    pub async fn probe(&self) -> Result<(), DbError> {
        self.read(async |tx| {
            on!(tx, |c| sqlx::query("SELECT 1").execute(c).await.map(drop)).map_err(DbError::from)
        })
        .await
    }

    /// Updates the metrics of the database, until dropped.
    pub async fn watch(&self) {
        loop {
            let reached = self.probe().await.is_ok();
            gauge!(DATABASE_REACHABLE).set(f64::from(u8::from(reached)));
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// Empties the write-ahead log of an embedded database, in which deleted data would stay for a while. Does nothing while
    /// another transaction reads, and on PostgreSQL, which does this by itself.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used.
    pub async fn truncate_log(&self) -> Result<(), DbError> {
        if let Self::Lite(lite) = self {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&lite.write).await?;
        }
        Ok(())
    }

    /// Closes the connections. The file of an embedded database is complete from then on.
    pub async fn close(&self) {
        match self {
            Self::Pg(pg) => pg.pool.close().await,
            Self::Lite(lite) => {
                lite.read.close().await;
                lite.write.close().await;
            }
        }
    }
}

/// An error of a transaction's body.
pub trait TxError: From<DbError> {
    /// The database's error, if that is the cause.
    fn database(&self) -> Option<&DbError>;
}

impl Tx {
    /// Commits, or rolls back at once: other transactions wait for the rows that this one holds.
    async fn end<T, E: TxError>(self, done: Result<T, E>) -> Result<T, E> {
        match done {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    async fn commit(self) -> Result<(), DbError> {
        Ok(match self {
            Self::Pg(tx) => tx.commit().await,
            Self::Lite(tx) => tx.commit().await,
        }?)
    }

    async fn rollback(self) {
        let rolled_back = match self {
            Self::Pg(tx) => tx.rollback().await,
            Self::Lite(tx) => tx.rollback().await,
        };
        if let Err(error) = rolled_back {
            tracing::debug!(%error, "a transaction could not be rolled back; its connection is closed");
        }
    }
}

impl Kind {
    /// A part of the trace of a request; what runs by itself makes no traces.
    fn span(self) -> Span {
        match Span::current().is_none() {
            true => Span::none(),
            false => tracing::info_span!("transaction", kind = self.name()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}
