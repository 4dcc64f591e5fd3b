//! What is known of id tags: their entries, and the last answers about them. Bounded, and kept while the database is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use charging::tokens::{self, IdTag, Token};
use charging::{Db, DbError};
use moka::sync::Cache;
use uuid::Uuid;

/// How long an entry counts without a look at the database. A change is heard of earlier.
const FRESH: Duration = Duration::from_secs(60);
/// How long an entry is of use while the database is away.
const KEPT: Duration = Duration::from_secs(86_400);
const MAX_TAGS: u64 = 100_000;
const MAX_ANSWERS: u64 = 200_000;
/// How long a look at the database may take, of the time in which a driver waits.
const LOOK_LIMIT: Duration = Duration::from_millis(1000);

/// What the last decision about a tag at a charger was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastAnswer {
    pub(crate) allowed: bool,
    pub(crate) at: Instant,
}

#[derive(Clone)]
struct Entry {
    /// `None` if there is no such tag.
    token: Option<Arc<Token>>,
    read_at: Instant,
    /// The generation before it was read.
    generation: u64,
}

/// The tags.
pub(crate) struct Tags {
    db: Db,
    /// Raised by each change of a tag. An entry of an earlier one is of use only while the database is away.
    generation: AtomicU64,
    entries: Cache<String, Entry>,
    answers: Cache<(Uuid, String), LastAnswer>,
}

impl Tags {
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            generation: AtomicU64::new(0),
            entries: Cache::builder().max_capacity(MAX_TAGS).time_to_live(KEPT).build(),
            answers: Cache::builder()
                .max_capacity(MAX_ANSWERS)
                .time_to_live(KEPT)
                .support_invalidation_closures()
                .build(),
        }
    }

    /// The token of a tag; `None` if there is none. While the database is away, what was last known of it.
    pub(crate) async fn find(&self, tag: &IdTag) -> Result<Option<Arc<Token>>, DbError> {
        // Before the look at the database: a change that comes meanwhile must not be missed.
        let generation = self.generation.load(Ordering::Acquire);
        let known = self.entries.get(&tag.key());
        let is_fresh = |known: &&Entry| known.generation == generation && known.read_at.elapsed() < FRESH;
        if let Some(known) = known.as_ref().filter(is_fresh) {
            return Ok(known.token.clone());
        }
        let reading = self.db.read(async |tx| tokens::by_id_tag(tx, tag).await);
        let read = tokio::time::timeout(LOOK_LIMIT, reading).await.unwrap_or(Err(DbError::Slow));
        match (read, known) {
            (Ok(token), _) => {
                let token = token.map(Arc::new);
                let entry = Entry { token: token.clone(), read_at: Instant::now(), generation };
                self.entries.insert(tag.key(), entry);
                Ok(token)
            }
            (Err(_), Some(known)) => Ok(known.token),
            (Err(error), None) => Err(error),
        }
    }

    /// What was last decided about a tag at this station.
    pub(crate) fn last_answer(&self, station: Uuid, tag: &IdTag) -> Option<LastAnswer> {
        self.answers.get(&(station, tag.key()))
    }

    /// Remembers a decision.
    pub(crate) fn remember(&self, station: Uuid, tag: &IdTag, allowed: bool) {
        self.answers.insert((station, tag.key()), LastAnswer { allowed, at: Instant::now() });
    }

    /// Looks tags up again: one of them was created. Answers stay: there was none about it.
    pub(crate) fn look_again(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Looks tags up again, and forgets positive answers: one of them has changed. Answers that refuse stay: a tag is asked for
    /// again anyway, and while that is not possible, no one is accepted whom the last answer refused.
    pub(crate) fn forget(&self) {
        self.look_again();
        // It fails only for a cache without support for it.
        let _ = self.answers.invalidate_entries_if(|_, answer| answer.allowed);
    }
}
