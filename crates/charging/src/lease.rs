//! Leases: work that one process does at a time. A process that dies, or stands still, loses its lease when it runs out.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::db::{At, Db, DbError, Tx, on, statements};

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

    /// Releases the lease, so that another process need not wait until it runs out.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used.
    pub async fn release(self, tx: &mut Tx, name: &str) -> Result<(), DbError> {
        on!(tx, |c| sqlx::query(RELEASE).bind(name).bind(self.0).execute(c).await.map(drop))?;
        Ok(())
    }
}

/// How long a process waits before it asks again for a lease that another one holds.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long releasing a lease may take. If it fails, the lease runs out.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// A lease as a loop uses it, which asks for it before each step. Only some of the questions reach the database.
#[derive(Debug)]
pub struct Lease {
    terms: Terms,
    held_until: Option<Instant>,
    ask_at: Instant,
}

/// What a transaction needs. It is captured as a whole: a reference in it would keep the transaction's future from being
/// sent to another thread.
#[derive(Debug, Clone, Copy)]
struct Terms {
    name: &'static str,
    span: Duration,
    holder: Holder,
}

impl Lease {
    /// A lease that is not held yet. It is renewed when less than half of its span is left.
    pub fn new(name: &'static str, span: Duration) -> Self {
        let terms = Terms { name, span, holder: Holder::new() };
        Self { terms, held_until: None, ask_at: Instant::now() }
    }

    /// Whether this process holds the lease for at least half of its span from now.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used.
    pub async fn hold(&mut self, db: &Db) -> Result<bool, DbError> {
        let (now, terms) = (Instant::now(), self.terms);
        if self.held_until.is_some_and(|until| until > now + terms.span / 2) {
            return Ok(true);
        }
        if self.held_until.is_none() && now < self.ask_at {
            return Ok(false);
        }
        let taken = db.write(async move |tx| terms.take(tx).await).await?;
        self.held_until = taken.then_some(now + terms.span);
        self.ask_at = now + ASK_AGAIN;
        Ok(taken)
    }

    /// Releases the lease, if it is held. Another process then takes it within about a second.
    pub async fn release(&mut self, db: &Db) {
        if self.held_until.take().is_none() {
            return;
        }
        self.ask_at = Instant::now() + ASK_AGAIN * 2;
        let terms = self.terms;
        let releasing = db.write(async move |tx| terms.release(tx).await);
        let released = tokio::time::timeout(RELEASE_LIMIT, releasing).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::debug!(name = terms.name, "the lease could not be released; it runs out");
        }
    }
}

impl Terms {
    async fn take(self, tx: &mut Tx) -> Result<bool, DbError> {
        self.holder.take(tx, self.name, self.span).await
    }

    async fn release(self, tx: &mut Tx) -> Result<(), DbError> {
        self.holder.release(tx, self.name).await
    }
}
