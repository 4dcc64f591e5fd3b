//! The bulkhead: how many callbacks may be under way to one origin at once. A host has to earn its places, as TCP does it:
//! it begins with an eighth of the worker's slots, each success gives one more, up to half of them, and each failure halves
//! what it has. A host that is merely busy is waited for a moment; one that is slow or failing is not, so that it takes a
//! few slots and never those of the others. What does not fit waits in the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A failing host keeps so many, to be noticed when it heals.
const LEAST: usize = 4;
/// How much longer than its usual attempts one may take before a host counts as slow, within the two bounds below; for so
/// long somebody waits for a place of a busy host.
const PATIENCE: u32 = 4;
/// Nobody is called slow sooner, and that is all that a host gets which has not answered yet.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);
const MOST_PATIENCE: Duration = Duration::from_millis(250);
/// A host that usually answers within this has a place for everybody who waits for it.
const QUICK: Duration = Duration::from_millis(10);
/// How long the pace and the failures of a host are remembered that nobody calls.
const REMEMBERED: Duration = Duration::from_secs(60);
/// What is expected of a host that has not answered yet.
const UNKNOWN_PACE: Duration = Duration::from_secs(1);
/// How far back those are counted that found no place.
const COUNTED_FOR: Duration = Duration::from_secs(15);
/// Beyond so many origins, those with nothing under way are forgotten. More can only be under way at once with more
/// slots than `WORKER_CONCURRENCY` admits.
const MOST_ORIGINS: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct OriginLimits {
    first: usize,
    most: usize,
    /// For all origins together, beyond the few that each may have in any case.
    most_of_all: usize,
    /// The longest that an attempt may take.
    attempt: Duration,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    origins: HashMap<String, Origin>,
    /// Of all origins together.
    under_way: usize,
}

#[derive(Debug)]
struct Origin {
    /// When each attempt that is under way began, the oldest first.
    under_way: Vec<Instant>,
    /// How many wait for a place, and keep a slot meanwhile.
    waiting: usize,
    limit: usize,
    /// A failure cost it places that it has not won back.
    failing: bool,
    /// How long its attempts take, as far as they were answered: a moving average.
    pace: Option<Duration>,
    /// How many found no place lately, and since when that is counted.
    turned_away: (u32, Instant),
    last_used: Instant,
    /// Told when a place becomes free.
    freed: Arc<Notify>,
}

/// A place for one attempt. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limits: OriginLimits,
    origin: String,
    began: Instant,
    answered: Option<bool>,
    /// See [`Place::is_well`].
    well: bool,
}

/// How many callbacks one origin may have under way at most: half of a worker's slots.
pub(crate) fn most_of_one(concurrency: u16) -> usize {
    usize::from(concurrency / 2).max(1)
}

/// What an origin has to offer.
enum Offer {
    Place(Place),
    /// All are taken, by a host that gives one back within this time.
    Soon(Arc<Notify>, Duration),
    Full,
}

/// Who asks for a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Newcomer,
    /// It waits already: nobody who comes later goes before it.
    Waiter,
}

impl OriginLimits {
    pub(crate) fn new(concurrency: u16, attempt: Duration) -> Self {
        let slots = usize::from(concurrency);
        let most = most_of_one(concurrency);
        let first = (most / 4).max(LEAST).min(most);
        Self { first, most, most_of_all: (slots * 3).div_ceil(4), attempt, table: Arc::default() }
    }

    /// For how long a delivery that finds no place at this origin stays away, at the earliest and at the latest. The more
    /// of them there are, the longer: what comes back to no place costs as much as what comes back to one.
    pub(crate) fn turn_away(&self, origin: &str) -> (Duration, Duration) {
        let (mut table, now) = (self.table(), Instant::now());
        let Some(held) = table.origins.get_mut(origin) else { return (self.attempt / 2, self.attempt) };
        if now - held.turned_away.1 > COUNTED_FOR {
            held.turned_away = (0, now);
        }
        held.turned_away.0 += 1;
        let oldest = held.under_way.first().map_or(Duration::ZERO, |oldest| now - *oldest);
        let attempt = held.pace.unwrap_or(UNKNOWN_PACE).max(oldest).min(self.attempt);
        let places = u32::try_from(held.limit).unwrap_or(u32::MAX).max(1);
        (attempt / 2, attempt.saturating_mul(1 + held.turned_away.0.div_ceil(places)))
    }

    /// A place at this origin; nothing when all that it may have are taken and none comes back soon.
    pub(crate) async fn enter(&self, origin: &str) -> Option<Place> {
        let (freed, patience) = match self.offer(origin, Asker::Newcomer) {
            Offer::Place(place) => return Some(place),
            Offer::Soon(freed, patience) => (freed, patience),
            Offer::Full => return None,
        };
        let _waiting = Waiting::begin(self, origin);
        let until = tokio::time::Instant::now() + patience;
        while tokio::time::timeout_at(until, freed.notified()).await.is_ok() {
            match self.offer(origin, Asker::Waiter) {
                Offer::Place(place) => return Some(place),
                Offer::Soon(..) => {}
                Offer::Full => return None,
            }
        }
        None
    }

    fn offer(&self, origin: &str, asker: Asker) -> Offer {
        let (mut table, now) = (self.table(), Instant::now());
        if table.origins.len() >= MOST_ORIGINS {
            table.origins.retain(|_, origin| origin.is_in_use());
        }
        let total = table.under_way;
        let held = table.origins.entry(origin.to_owned()).or_insert_with(|| self.unknown(now));
        if !held.is_in_use() && now - held.last_used > REMEMBERED {
            *held = self.unknown(now);
        }
        held.last_used = now;
        let slow = held.under_way.first().is_some_and(|oldest| now - *oldest >= held.patience());
        let well = !slow && !held.failing;
        let taken = held.under_way.len() + if asker == Asker::Newcomer { held.waiting } else { 0 };
        if taken < held.limit && (taken < LEAST || total < self.most_of_all) {
            let well = well && taken < LEAST;
            held.under_way.push(now);
            table.under_way += 1;
            let (limits, origin) = (self.clone(), origin.to_owned());
            return Offer::Place(Place { limits, origin, began: now, answered: None, well });
        }
        let room = asker == Asker::Waiter || held.waiting < held.most_waiting();
        if well && room { Offer::Soon(Arc::clone(&held.freed), held.patience()) } else { Offer::Full }
    }

    fn unknown(&self, now: Instant) -> Origin {
        Origin {
            under_way: Vec::new(),
            waiting: 0,
            limit: self.first,
            failing: false,
            pace: None,
            turned_away: (0, now),
            last_used: now,
            freed: Arc::default(),
        }
    }

    fn leave(&self, place: &Place) {
        let mut table = self.table();
        table.under_way -= 1;
        let Some(held) = table.origins.get_mut(&place.origin) else { return };
        if let Some(index) = held.under_way.iter().position(|began| *began == place.began) {
            held.under_way.remove(index);
        }
        match place.answered {
            Some(true) => {
                held.limit = (held.limit + 1).min(self.most);
                held.failing &= held.limit < self.first;
                // Of two places: the one that was its own, and the one that it has earned.
                held.freed.notify_one();
                let took = place.began.elapsed();
                held.pace = Some(held.pace.map_or(took, |pace| (pace * 7 + took) / 8));
            }
            Some(false) => {
                held.limit = (held.limit / 2).max(LEAST.min(self.most));
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
        !self.under_way.is_empty() || self.waiting > 0
    }

    fn patience(&self) -> Duration {
        self.pace.map_or(LEAST_PATIENCE, |pace| (pace * PATIENCE).clamp(LEAST_PATIENCE, MOST_PATIENCE))
    }

    /// Those who wait keep slots from other origins: at a host that takes its time, not more than half as many as it
    /// has places.
    fn most_waiting(&self) -> usize {
        match self.pace {
            Some(pace) if pace > QUICK => self.limit / 2,
            _ => usize::MAX,
        }
    }
}

/// Counts somebody who waits for a place, until dropped.
struct Waiting<'a> {
    limits: &'a OriginLimits,
    origin: &'a str,
}

impl<'a> Waiting<'a> {
    fn begin(limits: &'a OriginLimits, origin: &'a str) -> Self {
        if let Some(held) = limits.table().origins.get_mut(origin) {
            held.waiting += 1;
        }
        Self { limits, origin }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.limits.table().origins.get_mut(self.origin) {
            held.waiting = held.waiting.saturating_sub(1);
            // A place that it was told of may be another's now.
            held.freed.notify_one();
        }
    }
}

impl Place {
    /// Whether its origin has little under way and none of it for long: a good neighbour at an address that is crowded.
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }

    /// The attempt is over; whether the host answered at all.
    pub(crate) fn finish(mut self, answered: bool) {
        self.answered = Some(answered);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limits.leave(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(60);
    const ATTEMPT: Duration = Duration::from_secs(5);

    async fn places(limits: &OriginLimits, origin: &str) -> Vec<Place> {
        let mut places = Vec::new();
        while let Offer::Place(place) = limits.offer(origin, Asker::Newcomer) {
            places.push(place);
        }
        places
    }

    #[tokio::test]
    async fn a_host_earns_up_to_half_of_the_slots_and_others_are_not_touched() {
        let limits = OriginLimits::new(64, ATTEMPT);
        let taken = places(&limits, "http://a").await;
        assert_eq!(taken.len(), 8);
        assert!(limits.enter("http://a").await.is_none(), "nothing comes back, so the host is slow");
        assert!(limits.enter("http://b").await.is_some());
        drop(taken);
        let _held = limits.enter("http://a").await;
        for _ in 0..40 {
            limits.enter("http://a").await.unwrap().finish(true);
        }
        assert_eq!(places(&limits, "http://a").await.len() + 1, 32);
    }

    #[tokio::test]
    async fn a_busy_host_is_waited_for() {
        let limits = OriginLimits::new(4, ATTEMPT);
        let mut taken = places(&limits, "http://a").await;
        let waiting = tokio::spawn({
            let limits = limits.clone();
            async move { limits.enter("http://a").await }
        });
        taken.pop().unwrap().finish(true);
        let place = tokio::time::timeout(NEVER, waiting).await.unwrap().unwrap();
        assert!(place.is_some());
    }

    #[tokio::test]
    async fn a_failing_host_is_left_a_few_places_and_wins_them_back_one_by_one() {
        let limits = OriginLimits::new(80, ATTEMPT);
        for _ in 0..5 {
            limits.enter("http://a").await.unwrap().finish(false);
        }
        let taken = places(&limits, "http://a").await;
        assert_eq!(taken.len(), 4);
        assert!(
            matches!(limits.offer("http://a", Asker::Newcomer), Offer::Full),
            "a failing host is not waited for"
        );
        taken.into_iter().for_each(|place| place.finish(true));
        assert_eq!(places(&limits, "http://a").await.len(), 8);
    }

    #[tokio::test]
    async fn those_who_wait_for_a_host_that_takes_its_time_leave_slots_to_others() {
        let limits = OriginLimits::new(16, ATTEMPT);
        let held = limits.enter("http://a").await.unwrap();
        limits.table().origins.get_mut("http://a").unwrap().pace = Some(Duration::from_millis(200));
        let taken = places(&limits, "http://a").await;
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
        assert!(matches!(limits.offer("http://a", Asker::Newcomer), Offer::Full));
        drop((held, taken));
        assert!(
            !matches!(limits.offer("http://a", Asker::Newcomer), Offer::Full),
            "places that nobody waits for are anybody's"
        );
        for waiter in waiting {
            assert!(waiter.await.unwrap().is_some());
        }
        assert_eq!(limits.table().origins["http://a"].waiting, 0);
    }

    #[tokio::test]
    async fn hosts_that_hang_together_leave_a_few_places_for_each_other_host() {
        let limits = OriginLimits::new(64, ATTEMPT);
        let mut hanging = Vec::new();
        for number in 0..6 {
            hanging.extend(places(&limits, &format!("http://{number}")).await);
        }
        assert_eq!(hanging.len(), 48, "three quarters of the slots");
        hanging.extend(places(&limits, "http://7").await);
        assert_eq!(hanging.len(), 48 + LEAST);
        assert!(limits.enter("http://other").await.is_some());
    }

    #[tokio::test]
    async fn the_more_are_turned_away_the_longer_they_stay_away() {
        let limits = OriginLimits::new(20, ATTEMPT);
        let mut taken = places(&limits, "http://a").await;
        assert_eq!(limits.turn_away("http://a"), (UNKNOWN_PACE / 2, 2 * UNKNOWN_PACE));
        for _ in 0..98 {
            limits.turn_away("http://a");
        }
        assert_eq!(limits.turn_away("http://a").1, 26 * UNKNOWN_PACE, "a hundred for four places");
        // A host that answers quickly is free again soon.
        let _held = taken.pop();
        taken.into_iter().for_each(|place| place.finish(true));
        let _taken = places(&limits, "http://a").await;
        assert!(limits.turn_away("http://a").1 < UNKNOWN_PACE);
    }

    #[tokio::test]
    async fn the_table_of_origins_is_bounded() {
        let limits = OriginLimits::new(2, ATTEMPT);
        for number in 0..2 * MOST_ORIGINS + 1 {
            limits.enter(&format!("http://{number}")).await.unwrap().finish(number % 2 == 0);
        }
        assert!(limits.table().origins.len() <= MOST_ORIGINS);
    }
}
