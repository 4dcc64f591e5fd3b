//! The bulkhead: how many callbacks may be in flight to one origin. The limit grows and shrinks as TCP's window does: it
//! starts at an eighth of the worker's slots, each success adds one, up to half of the slots, and each failure halves it. A
//! delivery waits a short time for a host that is merely busy, and not at all for one that is slow or failing, so that such a
//! host takes few slots. Deliveries without a permit wait in the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A failing host keeps this many, so that its recovery is noticed.
const MIN_PERMITS: usize = 4;
/// A host counts as slow when an attempt takes this many times as long as usual, within the two bounds below. A delivery
/// waits equally long for a permit of a busy host.
const SLOW_FACTOR: u32 = 4;
/// Also the limit for a host that has not answered yet.
const MIN_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_millis(250);
/// For a host that usually answers within this, any number of deliveries may wait.
const QUICK: Duration = Duration::from_millis(10);
/// How long the pace and the failures of an unused host are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The pace assumed of a host that has not answered yet.
const UNKNOWN_PACE: Duration = Duration::from_secs(1);
/// Window over which rejected deliveries are counted.
const REJECTED_WITHIN: Duration = Duration::from_secs(15);
/// Beyond this many origins, those with nothing in flight are forgotten. More cannot be in flight at once:
/// `WORKER_CONCURRENCY` does not admit as many slots.
const MAX_ORIGINS: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct OriginLimits {
    initial: usize,
    max: usize,
    /// For all origins together, beyond the few that each may have anyway.
    max_of_all: usize,
    /// The longest that an attempt may take.
    attempt: Duration,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    origins: HashMap<String, Origin>,
    /// Of all origins together.
    in_flight: usize,
}

#[derive(Debug)]
struct Origin {
    /// When each attempt in flight began, the oldest first.
    in_flight: Vec<Instant>,
    /// How many deliveries wait for a permit; each keeps a slot meanwhile.
    waiting: usize,
    limit: usize,
    /// A failure lowered the limit, and it has not recovered yet.
    failing: bool,
    /// How long answered attempts take: a moving average.
    pace: Option<Duration>,
    /// Deliveries rejected lately, and since when they are counted.
    rejected: (u32, Instant),
    last_used: Instant,
    /// Notified when a permit becomes free.
    freed: Arc<Notify>,
}

/// A permit for one attempt, released when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limits: OriginLimits,
    origin: String,
    began: Instant,
    answered: Option<bool>,
    /// See [`Permit::is_healthy`].
    healthy: bool,
}

/// The most callbacks that one origin may have in flight: half of a worker's slots.
pub(crate) fn max_per_origin(concurrency: u16) -> usize {
    usize::from(concurrency / 2).max(1)
}

/// Whether an attempt may begin.
enum Admission {
    Permit(Permit),
    /// All permits are taken, and one is expected back within this time.
    Soon(Arc<Notify>, Duration),
    Full,
}

/// A delivery that asks for a permit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiter {
    New,
    /// It waits already, and goes before any that comes later.
    Queued,
}

impl OriginLimits {
    pub(crate) fn new(concurrency: u16, attempt: Duration) -> Self {
        let slots = usize::from(concurrency);
        let max = max_per_origin(concurrency);
        let initial = (max / 4).max(MIN_PERMITS).min(max);
        Self { initial, max, max_of_all: (slots * 3).div_ceil(4), attempt, table: Arc::default() }
    }

    /// How long a delivery that gets no permit is deferred: the minimum and the maximum. The more of them there are, the
    /// longer, since each that returns too early costs as much as one that gets a permit.
    pub(crate) fn back_off(&self, origin: &str) -> (Duration, Duration) {
        let (mut table, now) = (self.table(), Instant::now());
        let Some(held) = table.origins.get_mut(origin) else { return (self.attempt / 2, self.attempt) };
        if now - held.rejected.1 > REJECTED_WITHIN {
            held.rejected = (0, now);
        }
        held.rejected.0 += 1;
        let oldest = held.in_flight.first().map_or(Duration::ZERO, |oldest| now - *oldest);
        let attempt = held.pace.unwrap_or(UNKNOWN_PACE).max(oldest).min(self.attempt);
        let permits = u32::try_from(held.limit).unwrap_or(u32::MAX).max(1);
        (attempt / 2, attempt.saturating_mul(1 + held.rejected.0.div_ceil(permits)))
    }

    /// A permit for this origin; `None` if all are taken and none is expected back soon.
    pub(crate) async fn enter(&self, origin: &str) -> Option<Permit> {
        let (freed, wait) = match self.admit(origin, Waiter::New) {
            Admission::Permit(permit) => return Some(permit),
            Admission::Soon(freed, wait) => (freed, wait),
            Admission::Full => return None,
        };
        let _waiting = WaitingGuard::begin(self, origin);
        let until = tokio::time::Instant::now() + wait;
        while tokio::time::timeout_at(until, freed.notified()).await.is_ok() {
            match self.admit(origin, Waiter::Queued) {
                Admission::Permit(permit) => return Some(permit),
                Admission::Soon(..) => {}
                Admission::Full => return None,
            }
        }
        None
    }

    fn admit(&self, origin: &str, waiter: Waiter) -> Admission {
        let (mut table, now) = (self.table(), Instant::now());
        if table.origins.len() >= MAX_ORIGINS {
            table.origins.retain(|_, origin| origin.is_in_use());
        }
        let total = table.in_flight;
        let held = table.origins.entry(origin.to_owned()).or_insert_with(|| self.unknown(now));
        if !held.is_in_use() && now - held.last_used > REMEMBERED {
            *held = self.unknown(now);
        }
        held.last_used = now;
        let slow = held.in_flight.first().is_some_and(|oldest| now - *oldest >= held.slow_after());
        let healthy = !slow && !held.failing;
        let taken = held.in_flight.len() + if waiter == Waiter::New { held.waiting } else { 0 };
        if taken < held.limit && (taken < MIN_PERMITS || total < self.max_of_all) {
            let healthy = healthy && taken < MIN_PERMITS;
            held.in_flight.push(now);
            table.in_flight += 1;
            let (limits, origin) = (self.clone(), origin.to_owned());
            return Admission::Permit(Permit { limits, origin, began: now, answered: None, healthy });
        }
        let room = waiter == Waiter::Queued || held.waiting < held.max_waiting();
        if healthy && room {
            Admission::Soon(Arc::clone(&held.freed), held.slow_after())
        } else {
            Admission::Full
        }
    }

    fn unknown(&self, now: Instant) -> Origin {
        Origin {
            in_flight: Vec::new(),
            waiting: 0,
            limit: self.initial,
            failing: false,
            pace: None,
            rejected: (0, now),
            last_used: now,
            freed: Arc::default(),
        }
    }

    fn leave(&self, permit: &Permit) {
        let mut table = self.table();
        table.in_flight -= 1;
        let Some(held) = table.origins.get_mut(&permit.origin) else { return };
        if let Some(index) = held.in_flight.iter().position(|began| *began == permit.began) {
            held.in_flight.remove(index);
        }
        match permit.answered {
            Some(true) => {
                held.limit = (held.limit + 1).min(self.max);
                held.failing &= held.limit < self.initial;
                // Two permits are free: this one, and the one that the success added.
                held.freed.notify_one();
                let took = permit.began.elapsed();
                held.pace = Some(held.pace.map_or(took, |pace| (pace * 7 + took) / 8));
            }
            Some(false) => {
                held.limit = (held.limit / 2).max(MIN_PERMITS.min(self.max));
                held.failing = true;
            }
            None => {}
        }
        held.freed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    fn is_in_use(&self) -> bool {
        !self.in_flight.is_empty() || self.waiting > 0
    }

    fn slow_after(&self) -> Duration {
        self.pace.map_or(MIN_WAIT, |pace| (pace * SLOW_FACTOR).clamp(MIN_WAIT, MAX_WAIT))
    }

    /// Waiting deliveries keep slots from other origins. For a host that is not quick, at most half as many may wait as it
    /// has permits.
    fn max_waiting(&self) -> usize {
        match self.pace {
            Some(pace) if pace > QUICK => self.limit / 2,
            _ => usize::MAX,
        }
    }
}

/// Counts a waiting delivery until dropped.
struct WaitingGuard<'a> {
    limits: &'a OriginLimits,
    origin: &'a str,
}

impl<'a> WaitingGuard<'a> {
    fn begin(limits: &'a OriginLimits, origin: &'a str) -> Self {
        if let Some(held) = limits.table().origins.get_mut(origin) {
            held.waiting += 1;
        }
        Self { limits, origin }
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.limits.table().origins.get_mut(self.origin) {
            held.waiting = held.waiting.saturating_sub(1);
            // It may have been notified of a permit that another delivery can use.
            held.freed.notify_one();
        }
    }
}

impl Permit {
    /// Whether its origin has little in flight and none of it for long. Such an origin is preferred at a crowded address.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// The attempt is over; `answered` says whether the host answered at all.
    pub(crate) fn finish(mut self, answered: bool) {
        self.answered = Some(answered);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.leave(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(60);
    const ATTEMPT: Duration = Duration::from_secs(5);

    async fn permits(limits: &OriginLimits, origin: &str) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Admission::Permit(permit) = limits.admit(origin, Waiter::New) {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test]
    async fn a_host_earns_up_to_half_of_the_slots() {
        let limits = OriginLimits::new(64, ATTEMPT);
        let taken = permits(&limits, "http://a").await;
        assert_eq!(taken.len(), 8);
        assert!(limits.enter("http://a").await.is_none(), "no permit is returned, so the host is slow");
        assert!(limits.enter("http://b").await.is_some());
        drop(taken);
        let _held = limits.enter("http://a").await;
        for _ in 0..40 {
            limits.enter("http://a").await.unwrap().finish(true);
        }
        assert_eq!(permits(&limits, "http://a").await.len() + 1, 32);
    }

    #[tokio::test]
    async fn a_busy_host_is_waited_for() {
        let limits = OriginLimits::new(4, ATTEMPT);
        let mut taken = permits(&limits, "http://a").await;
        let waiting = tokio::spawn({
            let limits = limits.clone();
            async move { limits.enter("http://a").await }
        });
        taken.pop().unwrap().finish(true);
        let permit = tokio::time::timeout(NEVER, waiting).await.unwrap().unwrap();
        assert!(permit.is_some());
    }

    #[tokio::test]
    async fn a_failing_host_keeps_a_few_permits_and_regains_the_rest() {
        let limits = OriginLimits::new(80, ATTEMPT);
        for _ in 0..5 {
            limits.enter("http://a").await.unwrap().finish(false);
        }
        let taken = permits(&limits, "http://a").await;
        assert_eq!(taken.len(), 4);
        assert!(
            matches!(limits.admit("http://a", Waiter::New), Admission::Full),
            "a failing host is not waited for"
        );
        taken.into_iter().for_each(|permit| permit.finish(true));
        assert_eq!(permits(&limits, "http://a").await.len(), 8);
    }

    #[tokio::test]
    async fn deliveries_that_wait_for_a_slow_host_leave_slots_to_others() {
        let limits = OriginLimits::new(16, ATTEMPT);
        let held = limits.enter("http://a").await.unwrap();
        limits.table().origins.get_mut("http://a").unwrap().pace = Some(Duration::from_millis(200));
        let taken = permits(&limits, "http://a").await;
        assert_eq!(taken.len() + 1, 4);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let limits = limits.clone();
                tokio::spawn(async move { limits.enter("http://a").await })
            })
            .collect();
        while limits.table().origins["http://a"].waiting < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(limits.admit("http://a", Waiter::New), Admission::Full));
        drop((held, taken));
        assert!(
            !matches!(limits.admit("http://a", Waiter::New), Admission::Full),
            "permits that no delivery waits for are free"
        );
        for waiter in waiting {
            assert!(waiter.await.unwrap().is_some());
        }
        assert_eq!(limits.table().origins["http://a"].waiting, 0);
    }

    #[tokio::test]
    async fn hanging_hosts_leave_a_few_permits_for_each_other_host() {
        let limits = OriginLimits::new(64, ATTEMPT);
        let mut hanging = Vec::new();
        for number in 0..6 {
            hanging.extend(permits(&limits, &format!("http://{number}")).await);
        }
        assert_eq!(hanging.len(), 48, "three quarters of the slots");
        hanging.extend(permits(&limits, "http://7").await);
        assert_eq!(hanging.len(), 48 + MIN_PERMITS);
        assert!(limits.enter("http://other").await.is_some());
    }

    #[tokio::test]
    async fn the_more_deliveries_are_rejected_the_longer_they_are_deferred() {
        let limits = OriginLimits::new(20, ATTEMPT);
        let mut taken = permits(&limits, "http://a").await;
        assert_eq!(limits.back_off("http://a"), (UNKNOWN_PACE / 2, 2 * UNKNOWN_PACE));
        for _ in 0..98 {
            limits.back_off("http://a");
        }
        assert_eq!(limits.back_off("http://a").1, 26 * UNKNOWN_PACE, "a hundred for four permits");
        // A host that answers quickly is free again soon.
        let _held = taken.pop();
        taken.into_iter().for_each(|permit| permit.finish(true));
        let _taken = permits(&limits, "http://a").await;
        assert!(limits.back_off("http://a").1 < UNKNOWN_PACE);
    }

    #[tokio::test]
    async fn the_table_of_origins_is_bounded() {
        let limits = OriginLimits::new(2, ATTEMPT);
        for number in 0..2 * MAX_ORIGINS + 1 {
            limits.enter(&format!("http://{number}")).await.unwrap().finish(number % 2 == 0);
        }
        assert!(limits.table().origins.len() <= MAX_ORIGINS);
    }
}
