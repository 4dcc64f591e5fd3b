//! A cache of recently verified keys, so that a request costs no round trip to the store.
//!
//! A key is verified again after [`FRESH`], which is how long a revoked key may still be admitted. While the store is
//! unavailable, no key can be revoked either, and a verified key stays valid for [`STALE`]: a restart of the store must
//! not reject requests whose acceptance does not need it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::api_key::{ApiKey, KeyId, Scopes, SecretHash};
use common::clock;
use common::key_store::{KeyRecord, KeyStore, KeyStoreError};
use moka::sync::Cache;

use crate::config::StaticKey;
use crate::rate_limit::{Bucket, Rate};

/// Documented in docs/api-keys.md.
const FRESH: Duration = Duration::from_secs(5);
const STALE: Duration = Duration::from_secs(600);
const MAX_CACHED: u64 = 10_000;
/// Minimum interval between writes of a key's last use.
const USED_EVERY_MS: u64 = 60_000;

pub(crate) struct VerifiedKeys {
    store: Option<Arc<dyn KeyStore>>,
    statics: Vec<(StaticKey, Option<Arc<Bucket>>)>,
    cache: Cache<KeyId, Known>,
    per_key: Option<Rate>,
}

/// The properties of a verified key.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    /// `None` without a limit.
    pub(crate) bucket: Option<Arc<Bucket>>,
}

#[derive(Clone)]
struct Known {
    record: Arc<KeyRecord>,
    bucket: Option<Arc<Bucket>>,
    /// When the store confirmed the key.
    read: Instant,
    /// When the store was last asked, even without success.
    asked: Instant,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotVerified {
    #[error("unknown, expired or revoked")]
    Wrong,
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

impl VerifiedKeys {
    pub(crate) fn none() -> Self {
        Self { store: None, statics: Vec::new(), cache: Cache::new(0), per_key: None }
    }

    pub(crate) fn new(store: Arc<dyn KeyStore>, statics: Vec<StaticKey>, per_key: Option<Rate>) -> Self {
        let bucket = || per_key.map(|rate| Arc::new(Bucket::new(rate)));
        let with_bucket = |key: StaticKey| if key.limited { (key, bucket()) } else { (key, None) };
        Self {
            store: Some(store),
            statics: statics.into_iter().map(with_bucket).collect(),
            cache: Cache::builder().max_capacity(MAX_CACHED).time_to_live(STALE).build(),
            per_key,
        }
    }

    /// The cached result for the key, without a request to the store.
    pub(crate) fn cached(&self, key: &ApiKey) -> Option<Verified> {
        let hash = key.hash();
        self.fixed(key.id(), hash).or_else(|| {
            let known = self.cache.get(key.id()).filter(|known| known.asked.elapsed() < FRESH)?;
            known.verified(hash)
        })
    }

    /// Verifies the key in the store.
    pub(crate) async fn look_up(&self, key: &ApiKey) -> Result<Verified, NotVerified> {
        let before = self.cache.get(key.id());
        let found = match &self.store {
            Some(store) => store.find(key.id()).await,
            None => Ok(None),
        };
        let now = Instant::now();
        let known = match (found, before) {
            (Ok(Some(record)), before) => {
                let bucket = before.and_then(|before| before.bucket);
                let bucket = bucket.or_else(|| self.per_key.map(|rate| Arc::new(Bucket::new(rate))));
                Known { record: Arc::new(record), bucket, read: now, asked: now }
            }
            (Ok(None), _) => {
                self.cache.invalidate(key.id());
                return Err(NotVerified::Wrong);
            }
            (Err(_), Some(before)) if before.read.elapsed() < STALE => Known { asked: now, ..before },
            (Err(error), _) => return Err(error.into()),
        };
        self.cache.insert(key.id().clone(), known.clone());
        let verified = known.verified(key.hash()).ok_or(NotVerified::Wrong)?;
        self.note_use(&known.record).await;
        Ok(verified)
    }

    fn fixed(&self, id: &KeyId, hash: SecretHash) -> Option<Verified> {
        let found = self.statics.iter().find(|(key, _)| key.id == *id && key.hash == hash);
        found.map(|(key, bucket)| Verified {
            name: key.name.to_owned(),
            scopes: key.scopes.clone(),
            bucket: bucket.clone(),
        })
    }

    /// Costs one request a minute one more round trip. Nothing depends on it.
    async fn note_use(&self, record: &KeyRecord) {
        let now = now_ms();
        let due = record.last_used_ms.is_none_or(|last| now.saturating_sub(last) >= USED_EVERY_MS);
        let Some(store) = self.store.as_ref().filter(|_| due) else { return };
        if let Err(error) = store.used(&record.id, now).await {
            tracing::debug!(key = %record.id, %error, "a key's last use could not be recorded");
        }
    }
}

impl Known {
    fn verified(&self, presented: SecretHash) -> Option<Verified> {
        let good = self.record.hash == presented && self.record.is_good_at(now_ms());
        let (name, scopes) = (self.record.name.clone(), self.record.scopes.clone());
        good.then(|| Verified { name, scopes, bucket: self.bucket.clone() })
    }
}

fn now_ms() -> u64 {
    clock::now() / 1_000_000
}
