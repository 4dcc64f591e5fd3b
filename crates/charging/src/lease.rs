//! Leases: work that one process does at a time. A process that dies, or stands still, loses its lease when it runs out.

use std::time::Duration;

use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, statements};

statements! {
    TAKE = "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) \
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
            WHERE leases.holder = excluded.holder OR leases.until < $4";
    RELEASE = "DELETE FROM leases WHERE name = $1 AND holder = $2";
}

/// A process that takes leases.
#[derive(Debug, Clone, Copy)]
pub struct Holder(Uuid);

impl Holder {
    /// A new one, for a process that starts.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Takes the lease, or renews it. Returns whether this process holds it until `span` from now.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used.
    pub async fn take(self, tx: &mut Tx, name: &str, span: Duration) -> Result<bool, DbError> {
        let now = At::now();
        let taken = on!(tx, |c| {
            let query = sqlx::query(TAKE).bind(name).bind(self.0).bind(now.plus(span)).bind(now);
            query.execute(c).await.map(|done| done.rows_affected())
        })?;
        Ok(taken > 0)
    }

    /// Gives the lease up, so that another process need not wait until it runs out.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used.
    pub async fn release(self, tx: &mut Tx, name: &str) -> Result<(), DbError> {
        on!(tx, |c| sqlx::query(RELEASE).bind(name).bind(self.0).execute(c).await.map(drop))?;
        Ok(())
    }
}
