//! The connections to PostgreSQL. A pool tries to connect for as long as a request may wait for it; so while the server is
//! away, every request would wait for that long. Here they learn it within two seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::sync::{Mutex, OnceCell};

use super::{DbError, OpenError, migrations};

/// How long a connection may take before the server is looked at. It may only be busy.
const LOOK_AFTER: Duration = Duration::from_millis(300);
/// How long a new connection may take.
const CONNECT_LIMIT: Duration = Duration::from_millis(1500);
/// How long a look counts, for all requests. So one of them looks, and the others do not.
const COUNTS_FOR: Duration = Duration::from_millis(500);

/// PostgreSQL.
#[derive(Debug, Clone)]
pub struct Pg {
    pub(super) pool: PgPool,
    looked: Arc<Mutex<Option<Look>>>,
    /// Whether the tables are up to date.
    migrated: Arc<OnceCell<()>>,
}

/// A look at the server.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    away: bool,
}

impl Pg {
    /// Brings the tables up to date before the first transaction.
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, looked: Arc::default(), migrated: Arc::default() }
    }

    /// Brings the tables up to date, unless that was done before.
    pub(super) async fn migrate(&self) -> Result<(), OpenError> {
        self.migrated.get_or_try_init(|| migrations::postgres(&self.pool)).await.copied()
    }

    /// Begins a transaction, unless the server is away.
    pub(super) async fn begin(
        &self,
        statement: &'static str,
    ) -> Result<Transaction<'static, Postgres>, DbError> {
        tokio::select! {
            biased;
            begun = self.try_begin(statement) => {
                let begun = begun?;
                self.is_back();
                Ok(begun)
            }
            () = self.away() => Err(DbError::Away),
        }
    }

    async fn try_begin(&self, statement: &'static str) -> Result<Transaction<'static, Postgres>, DbError> {
        if !self.migrated.initialized() {
            // On the heap: it happens once.
            Box::pin(self.migrate()).await.map_err(DbError::from)?;
        }
        Ok(self.pool.begin_with(statement.into_sql_str()).await?)
    }

    /// A look that found it away counts no longer.
    fn is_back(&self) {
        if let Ok(mut looked) = self.looked.try_lock() {
            *looked = None;
        }
    }

    /// Returns when the server turns out to be away.
    async fn away(&self) {
        let known =
            self.looked.try_lock().is_ok_and(|look| look.is_some_and(|look| look.away && look.counts()));
        if known {
            return;
        }
        tokio::time::sleep(LOOK_AFTER).await;
        while !self.look().await {
            tokio::time::sleep(COUNTS_FOR).await;
        }
    }

    /// Whether the server is away, by the last look if it still counts.
    async fn look(&self) -> bool {
        let mut looked = self.looked.lock().await;
        if let Some(look) = looked.filter(Look::counts) {
            return look.away;
        }
        let away = cannot_be_reached(&self.pool.connect_options()).await;
        *looked = Some(Look { at: Instant::now(), away });
        away
    }
}

impl Look {
    fn counts(&self) -> bool {
        self.at.elapsed() < COUNTS_FOR
    }
}

async fn cannot_be_reached(options: &PgConnectOptions) -> bool {
    match tokio::time::timeout(CONNECT_LIMIT, options.connect()).await {
        Ok(Ok(connection)) => {
            // Nothing depends on a goodbye.
            let _ = tokio::time::timeout(CONNECT_LIMIT, connection.close()).await;
            false
        }
        // It starts, or stops. A server that is full can be reached, and the pool waits for its turn.
        Ok(Err(sqlx::Error::Database(refused))) => refused.code().is_some_and(|code| code.starts_with("57P")),
        Ok(Err(_)) | Err(_) => true,
    }
}
