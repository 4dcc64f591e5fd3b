//! Circuit breakers that all workers share, in the store: one for each origin, and the URLs that answered 410. Redis measures
//! the times, so workers whose clocks differ agree.
//!
//! [`FAILURES`] failures in a row open the breaker of an origin: its deliveries wait in the broker. Then one delivery of one
//! worker is the probe. If it succeeds the breaker closes; otherwise it opens for twice as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::callback_url::CallbackUrl;
use moka::sync::Cache;
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use store::{KeyValue, StoreError};

use super::{Answered, AttemptError};
use crate::config::CallbackConfig;

/// Failures in a row that open the breaker.
const FAILURES: u32 = 10;
const MIN_OPEN: Duration = Duration::from_secs(2);
const MAX_OPEN: Duration = Duration::from_secs(30);
/// How long the number of openings is remembered after the last of them.
const REMEMBERED: Duration = Duration::from_secs(120);
/// How long a URL that answered 410 is not called.
const GONE_FOR: Duration = Duration::from_secs(300);
/// How long a URL is called without asking the store again. Asking for every callback would cost as much as writing its
/// record.
const FRESH: Duration = Duration::from_secs(1);
/// The maximum number of entries that one worker remembers; beyond that the least used are dropped.
const MAX_REMEMBERED: u64 = 10_000;

#[derive(Clone)]
pub(crate) struct Breakers {
    shared: Arc<dyn KeyValue>,
    /// URLs whose breaker was closed a moment ago.
    closed: Cache<String, ()>,
    /// Failures in a row, by origin, as seen by this worker.
    failures: Cache<String, Arc<AtomicU32>>,
    /// When the open breakers known to this worker become half open, for the metrics.
    open: Cache<String, Instant>,
    max_open: Duration,
    probe_limit: Duration,
}

/// Whether a URL may be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    Closed,
    /// This attempt is the probe: it decides whether the breaker closes.
    HalfOpen {
        /// How often it has opened so far.
        openings: u32,
    },
    /// It is not called for this long.
    Open(Duration),
    /// It answered 410 a short while ago.
    Gone,
}

impl Breakers {
    pub(crate) fn new(shared: Arc<dyn KeyValue>, config: &CallbackConfig) -> Self {
        Self {
            shared,
            closed: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(FRESH).build(),
            failures: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_idle(REMEMBERED).build(),
            open: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(MAX_OPEN + REMEMBERED).build(),
            // A host that has recovered must be noticed well within the window.
            max_open: MAX_OPEN.min(config.window / 4),
            probe_limit: config.timeout + Duration::from_secs(1),
        }
    }

    /// Called before every attempt. If the store does not answer, the attempt goes ahead: the bulkhead still holds.
    pub(crate) async fn admit(&self, url: &CallbackUrl) -> Breaker {
        let name = hashed(url);
        if self.closed.contains_key(&name) {
            return Breaker::Closed;
        }
        let breaker = self.look_up(url.origin(), &name).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the breakers cannot be read");
            Breaker::Closed
        });
        if breaker == Breaker::Closed {
            self.closed.insert(name, ());
        }
        breaker
    }

    async fn look_up(&self, origin: &str, name: &str) -> Result<Breaker, StoreError> {
        let values = self.shared.get(&[&openings_key(origin), &gone_key(name)]).await?;
        let [openings, gone] = &values[..] else { return Ok(Breaker::Closed) };
        if gone.is_some() {
            return Ok(Breaker::Gone);
        }
        let Some(openings) = openings.as_ref().and_then(|number| number.parse().ok()) else {
            self.open.invalidate(origin);
            return Ok(Breaker::Closed);
        };
        // The first delivery that takes this key once it has expired is the probe.
        let probing = self.shared.put_if_absent(&hold_key(origin), "probe", self.probe_limit).await?;
        if probing.is_none() {
            return Ok(Breaker::HalfOpen { openings });
        }
        let open_for = self.open_for(openings);
        if !self.open.contains_key(origin) {
            // Another worker opened it, at the latest now.
            self.open.insert(origin.to_owned(), Instant::now() + open_for);
        }
        Ok(Breaker::Open(open_for))
    }

    /// How many breakers this worker knows to be open, and how many are half open.
    pub(crate) fn count(&self) -> (u32, u32) {
        let now = Instant::now();
        self.open.run_pending_tasks();
        self.open.iter().fold(
            (0, 0),
            |(open, half_open), (_, until)| {
                if until > now { (open + 1, half_open) } else { (open, half_open + 1) }
            },
        )
    }

    /// Called after every attempt.
    pub(crate) async fn report(
        &self,
        url: &CallbackUrl,
        breaker: Breaker,
        result: &Result<Answered, AttemptError>,
    ) {
        if let Err(error) = self.conclude(url, breaker, result).await {
            tracing::warn!(%error, "a breaker could not be written");
        }
    }

    async fn conclude(
        &self,
        url: &CallbackUrl,
        breaker: Breaker,
        result: &Result<Answered, AttemptError>,
    ) -> Result<(), StoreError> {
        if matches!(result, Ok(answered) if answered.status == StatusCode::GONE) {
            let name = hashed(url);
            self.closed.invalidate(&name);
            self.shared.put(&gone_key(&name), "410", GONE_FOR).await?;
        }
        if is_failure(result) { self.failed(url, breaker).await } else { self.worked(url, breaker).await }
    }

    async fn worked(&self, url: &CallbackUrl, breaker: Breaker) -> Result<(), StoreError> {
        let origin = url.origin();
        self.failures.invalidate(origin);
        if let Breaker::HalfOpen { .. } = breaker {
            self.shared.remove(&openings_key(origin)).await?;
            self.shared.remove(&hold_key(origin)).await?;
            self.open.invalidate(origin);
            tracing::info!(origin, "the breaker is closed");
        }
        Ok(())
    }

    /// Called instead of [`Breakers::report`] if no attempt could be made: another delivery may be the probe.
    pub(crate) async fn release(&self, url: &CallbackUrl, breaker: Breaker) {
        if let Breaker::HalfOpen { .. } = breaker
            && let Err(error) = self.shared.remove(&hold_key(url.origin())).await
        {
            tracing::warn!(%error, "a breaker's probe could not be released");
        }
    }

    async fn failed(&self, url: &CallbackUrl, breaker: Breaker) -> Result<(), StoreError> {
        let origin = url.origin();
        let openings = match breaker {
            Breaker::HalfOpen { openings } => openings.saturating_add(1),
            _ if self.count_failure(origin) => 1,
            _ => return Ok(()),
        };
        self.closed.invalidate(&hashed(url));
        let (open_for, key) = (self.open_for(openings), openings_key(origin));
        let (text, keep) = (openings.to_string(), open_for + REMEMBERED);
        if openings > 1 {
            self.shared.put(&key, &text, keep).await?;
        } else if self.shared.put_if_absent(&key, &text, keep).await?.is_some() {
            // It is open already, perhaps for the third time. An attempt that began before that provides no new
            // information.
            return Ok(());
        }
        self.shared.put(&hold_key(origin), "open", open_for).await?;
        self.open.insert(origin.to_owned(), Instant::now() + open_for);
        tracing::warn!(origin, ?open_for, "the breaker is open");
        Ok(())
    }

    /// Counts a failure; returns whether it opens the breaker.
    fn count_failure(&self, origin: &str) -> bool {
        let failures = self.failures.get_with(origin.to_owned(), Arc::default);
        let enough = failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES;
        if enough {
            failures.store(0, Ordering::Relaxed);
        }
        enough
    }

    fn open_for(&self, openings: u32) -> Duration {
        MIN_OPEN.saturating_mul(2u32.saturating_pow(openings.saturating_sub(1))).min(self.max_open)
    }
}

/// Whether the origin failed. 429 is not a failure: the host works and wants fewer calls.
fn is_failure(result: &Result<Answered, AttemptError>) -> bool {
    match result {
        Ok(answered) => answered.status.is_server_error(),
        Err(AttemptError::Refused(_) | AttemptError::Tls(_)) => false,
        Err(_) => true,
    }
}

/// Hashed, because a callback URL may hold secrets and be long. Without the query, which may differ with every request.
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
