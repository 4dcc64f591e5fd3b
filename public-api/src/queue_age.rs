//! The age of the queue. A request that waits in it for longer than the deadline would only be decided `unknown`, so no
//! requests are accepted then. This process measures the age by its own requests and its own clock, without help from a
//! worker: a few of the requests are samples, and the oldest sample that no worker has taken is as old as the queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use authorization::AuthorizationQueue;
use common::ids::RequestId;
use store::Store;

/// The number of samples within the time limit.
const SAMPLES: u32 = 16;
const CLOSEST: Duration = Duration::from_millis(50);
const FARTHEST: Duration = Duration::from_secs(1);
/// How long after one of Voltgate's workers has opened or decided a request such workers are assumed to be running. A
/// fleet of Python workers opens none.
const OURS_FOR: Duration = Duration::from_secs(600);
/// If the broker or the store does not answer within this, nothing changes.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct QueueAge {
    limit: Duration,
    spacing: Duration,
    /// Whether the samples can be trusted: only if Voltgate's workers open requests, or if there is no consumer at all.
    telling: AtomicBool,
    published: Mutex<PublishedRequests>,
}

#[derive(Debug, Default)]
struct PublishedRequests {
    count: u64,
    /// The samples, oldest first. They are bounded, because no more requests are published once the first sample is too
    /// old.
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    request: RequestId,
    at: Instant,
    /// The number of requests that this process had published by then, this one included.
    count: u64,
}

impl QueueAge {
    /// `limit` is how long a request may wait: from the client's call to its deadline.
    pub(crate) fn new(limit: Duration) -> Self {
        let spacing = (limit / SAMPLES).clamp(CLOSEST, FARTHEST);
        Self { limit, spacing, telling: AtomicBool::new(false), published: Mutex::default() }
    }

    /// Whether a worker would probably take a request that is published now only after its deadline.
    pub(crate) fn is_over_limit(&self) -> bool {
        let oldest = self.published().samples.front().copied();
        self.telling.load(Ordering::Relaxed)
            && oldest.is_some_and(|sample| sample.at.elapsed() > self.limit + self.spacing)
    }

    /// How long the oldest request has been waiting that, as far as this process knows, no worker has taken.
    pub(crate) fn oldest(&self) -> Duration {
        self.published().samples.front().map_or(Duration::ZERO, |sample| sample.at.elapsed())
    }

    /// Adds a request. Call it for every request that the broker has confirmed.
    pub(crate) fn add(&self, request: RequestId) {
        let mut published = self.published();
        published.count += 1;
        let at = Instant::now();
        if published.samples.back().is_none_or(|last| at - last.at >= self.spacing) {
            let count = published.count;
            published.samples.push_back(Sample { request, at, count });
        }
    }

    /// Checks the samples, until dropped.
    pub(crate) async fn watch(&self, queue: &AuthorizationQueue, store: &Store) {
        let mut last_open = None;
        loop {
            tokio::time::sleep(self.spacing).await;
            let samples: Vec<Sample> = self.published().samples.iter().copied().collect();
            let waits = samples.first().is_some_and(|oldest| oldest.at.elapsed() >= self.spacing);
            // Requests would pile up at a broker that reads nothing, and no requests are accepted then anyway.
            if !waits || !queue.broker().is_ready() {
                continue;
            }
            let (broker, requests) = (queue.broker(), queue.requests());
            let (open, waiting) = tokio::join!(
                tokio::time::timeout(LOOK_LIMIT, newest_open(&samples, store)),
                limited(broker.depth(requests)),
            );
            if let Ok(Some(open)) = open {
                last_open = Some(Instant::now());
                self.forget_up_to(open.count);
            }
            if let Some(waiting) = waiting {
                // Only the last `waiting` requests can still wait, so earlier samples have been taken. This is how progress
                // is seen where Python workers run the tasks.
                let count = self.published().count;
                self.forget_up_to(count.saturating_sub(waiting));
            }
            let ours = last_open.is_some_and(|at: Instant| at.elapsed() < OURS_FOR);
            let telling = ours || limited(broker.consumers(requests)).await == Some(0);
            self.telling.store(telling, Ordering::Relaxed);
        }
    }

    fn published(&self) -> MutexGuard<'_, PublishedRequests> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_up_to(&self, count: u64) {
        self.published().samples.retain(|sample| sample.count > count);
    }
}

/// The newest sample that a worker has opened or decided. They are taken in order, so half of them need no check.
async fn newest_open(samples: &[Sample], store: &Store) -> Option<Sample> {
    let (mut from, mut to, mut open) = (0, samples.len(), None);
    while from < to {
        let middle = usize::midpoint(from, to);
        if matches!(store.records().is_open(samples[middle].request).await, Ok(true)) {
            open = Some(samples[middle]);
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    open
}

/// Returns `None` if there is no answer in time.
async fn limited<T, E>(asking: impl Future<Output = Result<T, E>>) -> Option<T> {
    tokio::time::timeout(LOOK_LIMIT, asking).await.ok()?.ok()
}
