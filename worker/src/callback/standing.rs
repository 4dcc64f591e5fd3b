//! How a place that is called back stands with all workers, kept in the store: a breaker for each origin, and the URLs that
//! answered 410. Redis counts the times, so workers whose clocks differ agree.
//!
//! An origin that failed [`FAILURES`] times in a row is left alone for a while: its deliveries wait in the broker. Then one
//! of them, of one worker, is the probe. If that succeeds the breaker is closed, otherwise the next while is twice as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::callback_url::CallbackUrl;
use moka::sync::Cache;
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use store::{KeyedState, StoreError};

use super::{Answered, AttemptError};
use crate::config::CallbackConfig;

/// So many in a row, without one answer that is no failure between them, open the breaker.
const FAILURES: u32 = 10;
const FIRST_OPEN: Duration = Duration::from_secs(2);
const LONGEST_OPEN: Duration = Duration::from_secs(30);
/// How long the number of openings is remembered after the last of them.
const REMEMBERED: Duration = Duration::from_secs(120);
/// For so long a URL that answered 410 is not called.
const GONE_FOR: Duration = Duration::from_secs(300);
/// How old the knowledge may be that nothing is wrong with a URL. A look into the store for every callback would cost as
/// much as the record does.
const FRESH: Duration = Duration::from_secs(1);
/// What one worker remembers of, at most; beyond that the least used is forgotten.
const MOST_REMEMBERED: u64 = 10_000;

#[derive(Clone)]
pub(crate) struct Standings {
    shared: Arc<dyn KeyedState>,
    /// URLs with which nothing was wrong a moment ago.
    clear: Cache<String, ()>,
    /// Failures in a row, by origin, as this worker saw them.
    failures: Cache<String, Arc<AtomicU32>>,
    /// Until when the breakers are open of which this worker knows, for the metrics.
    open: Cache<String, Instant>,
    longest_open: Duration,
    probe_limit: Duration,
}

/// Whether a URL may be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Clear,
    /// The breaker is half open, and this attempt decides whether it closes.
    Probe {
        /// How often it has opened so far.
        openings: u32,
    },
    /// The breaker is open: wait for so long.
    Open(Duration),
    /// It answered 410 a short while ago.
    Gone,
}

impl Standings {
    pub(crate) fn new(shared: Arc<dyn KeyedState>, config: &CallbackConfig) -> Self {
        Self {
            shared,
            clear: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(FRESH).build(),
            failures: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_idle(REMEMBERED).build(),
            open: Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(LONGEST_OPEN + REMEMBERED)
                .build(),
            // A host that is back has to be noticed well inside the window.
            longest_open: LONGEST_OPEN.min(config.window / 4),
            probe_limit: config.timeout + Duration::from_secs(1),
        }
    }

    /// Asked before every attempt. A store that does not answer stops nobody: the bulkhead still holds.
    pub(crate) async fn of(&self, url: &CallbackUrl) -> Standing {
        let name = hashed(url);
        if self.clear.contains_key(&name) {
            return Standing::Clear;
        }
        let standing = self.look_up(url.origin(), &name).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the breakers cannot be read");
            Standing::Clear
        });
        if standing == Standing::Clear {
            self.clear.insert(name, ());
        }
        standing
    }

    async fn look_up(&self, origin: &str, name: &str) -> Result<Standing, StoreError> {
        let held = self.shared.get(&[&openings_key(origin), &gone_key(name)]).await?;
        let [openings, gone] = &held[..] else { return Ok(Standing::Clear) };
        if gone.is_some() {
            return Ok(Standing::Gone);
        }
        let Some(openings) = openings.as_ref().and_then(|number| number.parse().ok()) else {
            self.open.invalidate(origin);
            return Ok(Standing::Clear);
        };
        // Whoever holds this key first once it has expired is the probe.
        let held = self.shared.put_if_absent(&hold_key(origin), "probe", self.probe_limit).await?;
        if held.is_none() {
            return Ok(Standing::Probe { openings });
        }
        let open_for = self.open_for(openings);
        if !self.open.contains_key(origin) {
            // Another worker's. When it opened is not known: at the latest now.
            self.open.insert(origin.to_owned(), Instant::now() + open_for);
        }
        Ok(Standing::Open(open_for))
    }

    /// How many breakers this worker knows to be open, and how many of them wait for a probe.
    pub(crate) fn breakers(&self) -> (u32, u32) {
        let now = Instant::now();
        self.open.run_pending_tasks();
        self.open.iter().fold(
            (0, 0),
            |(open, half_open), (_, until)| {
                if until > now { (open + 1, half_open) } else { (open, half_open + 1) }
            },
        )
    }

    /// Told after every attempt.
    pub(crate) async fn after(
        &self,
        url: &CallbackUrl,
        standing: Standing,
        result: &Result<Answered, AttemptError>,
    ) {
        if let Err(error) = self.conclude(url, standing, result).await {
            tracing::warn!(%error, "a breaker could not be written");
        }
    }

    async fn conclude(
        &self,
        url: &CallbackUrl,
        standing: Standing,
        result: &Result<Answered, AttemptError>,
    ) -> Result<(), StoreError> {
        if matches!(result, Ok(answered) if answered.status == StatusCode::GONE) {
            let name = hashed(url);
            self.clear.invalidate(&name);
            self.shared.put(&gone_key(&name), "410", GONE_FOR).await?;
        }
        if is_failure(result) { self.failed(url, standing).await } else { self.worked(url, standing).await }
    }

    async fn worked(&self, url: &CallbackUrl, standing: Standing) -> Result<(), StoreError> {
        let origin = url.origin();
        self.failures.invalidate(origin);
        if let Standing::Probe { .. } = standing {
            self.shared.remove(&openings_key(origin)).await?;
            self.shared.remove(&hold_key(origin)).await?;
            self.open.invalidate(origin);
            tracing::info!(origin, "the breaker is closed");
        }
        Ok(())
    }

    /// Told instead of [`Standings::after`] where no attempt could be made: another delivery may be the probe.
    pub(crate) async fn not_tried(&self, url: &CallbackUrl, standing: Standing) {
        if let Standing::Probe { .. } = standing
            && let Err(error) = self.shared.remove(&hold_key(url.origin())).await
        {
            tracing::warn!(%error, "a breaker's probe could not be given back");
        }
    }

    async fn failed(&self, url: &CallbackUrl, standing: Standing) -> Result<(), StoreError> {
        let origin = url.origin();
        let openings = match standing {
            Standing::Probe { openings } => openings.saturating_add(1),
            _ if self.is_one_of_many(origin) => 1,
            _ => return Ok(()),
        };
        self.clear.invalidate(&hashed(url));
        let (open_for, key) = (self.open_for(openings), openings_key(origin));
        let (text, keep) = (openings.to_string(), open_for + REMEMBERED);
        if openings > 1 {
            self.shared.put(&key, &text, keep).await?;
        } else if self.shared.put_if_absent(&key, &text, keep).await?.is_some() {
            // It is open already, perhaps for the third time: an attempt that began before that says nothing new.
            return Ok(());
        }
        self.shared.put(&hold_key(origin), "open", open_for).await?;
        self.open.insert(origin.to_owned(), Instant::now() + open_for);
        tracing::warn!(origin, ?open_for, "the breaker is open");
        Ok(())
    }

    /// Counts a failure; whether there were enough of them in a row.
    fn is_one_of_many(&self, origin: &str) -> bool {
        let failures = self.failures.get_with(origin.to_owned(), Arc::default);
        let enough = failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES;
        if enough {
            failures.store(0, Ordering::Relaxed);
        }
        enough
    }

    fn open_for(&self, openings: u32) -> Duration {
        FIRST_OPEN.saturating_mul(2u32.saturating_pow(openings.saturating_sub(1))).min(self.longest_open)
    }
}

/// Whether the origin is to blame. 429 is not a failure: the host works and wants less.
fn is_failure(result: &Result<Answered, AttemptError>) -> bool {
    match result {
        Ok(answered) => answered.status.is_server_error(),
        Err(AttemptError::Refused(_) | AttemptError::Tls(_)) => false,
        Err(_) => true,
    }
}

/// A callback URL may hold secrets and be long. The query is not part of it: it may differ with every request.
fn hashed(url: &CallbackUrl) -> String {
    let mut sha = Sha256::new();
    sha.update(url.origin());
    sha.update(url.url().path());
    format!("{:x}", sha.finalize())
}

fn openings_key(origin: &str) -> String {
    format!("breaker:{origin}")
}

fn hold_key(origin: &str) -> String {
    format!("breaker-hold:{origin}")
}

fn gone_key(name: &str) -> String {
    format!("gone:{name}")
}
