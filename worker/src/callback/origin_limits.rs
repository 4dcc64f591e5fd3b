//! The bulkhead: how many callbacks may be under way to one origin at once. A host that answers gets up to half of the
//! worker's slots; each failure halves that, each success gives one back (additive increase, multiplicative decrease, as
//! TCP does it). A host that is merely busy is waited for a moment; one that is slow or failing is not, so that it takes a
//! few slots and never those of the others. What does not fit waits in the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A failing host keeps so many, to be noticed when it heals.
const LEAST: usize = 4;
/// An attempt that takes longer than this makes its host a slow one.
const SLOW: Duration = Duration::from_millis(250);
/// Beyond so many origins, those with nothing under way are forgotten. More can only be under way at once with more
/// slots than `WORKER_CONCURRENCY` admits.
const MOST_ORIGINS: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct OriginLimits {
    most: usize,
    origins: Arc<Mutex<HashMap<String, Origin>>>,
}

#[derive(Debug)]
struct Origin {
    /// When each attempt that is under way began, the oldest first.
    under_way: Vec<Instant>,
    limit: usize,
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
}

/// What an origin has to offer.
enum Offer {
    Place(Place),
    /// All are taken, by a host that gives them back soon.
    Soon(Arc<Notify>),
    Full,
}

impl OriginLimits {
    pub(crate) fn new(concurrency: u16) -> Self {
        Self { most: (usize::from(concurrency) / 2).max(1), origins: Arc::default() }
    }

    /// A place at this origin; nothing when all that it may have are taken and it is slow to give them back.
    pub(crate) async fn enter(&self, origin: &str) -> Option<Place> {
        loop {
            match self.offer(origin) {
                Offer::Place(place) => return Some(place),
                // Whatever comes first: a free place, or the host being slow.
                Offer::Soon(freed) => drop(tokio::time::timeout(SLOW, freed.notified()).await),
                Offer::Full => return None,
            }
        }
    }

    fn offer(&self, origin: &str) -> Offer {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= MOST_ORIGINS {
            origins.retain(|_, origin| !origin.under_way.is_empty());
        }
        let new = || Origin { under_way: Vec::new(), limit: self.most, freed: Arc::default() };
        let held = origins.entry(origin.to_owned()).or_insert_with(new);
        let began = Instant::now();
        if held.under_way.len() < held.limit {
            held.under_way.push(began);
            return Offer::Place(Place {
                limits: self.clone(),
                origin: origin.to_owned(),
                began,
                answered: None,
            });
        }
        let slow = held.under_way.first().is_some_and(|oldest| began - *oldest >= SLOW);
        if slow || held.limit < self.most { Offer::Full } else { Offer::Soon(Arc::clone(&held.freed)) }
    }

    fn leave(&self, place: &Place) {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = origins.get_mut(&place.origin) else { return };
        if let Some(index) = held.under_way.iter().position(|began| *began == place.began) {
            held.under_way.remove(index);
        }
        match place.answered {
            Some(true) => held.limit = (held.limit + 1).min(self.most),
            Some(false) => held.limit = (held.limit / 2).max(LEAST.min(self.most)),
            None => {}
        }
        held.freed.notify_one();
        if held.under_way.is_empty() && held.limit == self.most {
            origins.remove(&place.origin);
        }
    }
}

impl Place {
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

    async fn places(limits: &OriginLimits, origin: &str) -> Vec<Place> {
        let mut places = Vec::new();
        while let Offer::Place(place) = limits.offer(origin) {
            places.push(place);
        }
        places
    }

    #[tokio::test]
    async fn a_host_takes_half_of_the_slots_at_most_and_others_are_not_touched() {
        let limits = OriginLimits::new(20);
        let taken = places(&limits, "http://a").await;
        assert_eq!(taken.len(), 10);
        assert!(limits.enter("http://a").await.is_none(), "nothing comes back, so the host is slow");
        assert!(limits.enter("http://b").await.is_some());
        drop(taken);
        assert!(limits.enter("http://a").await.is_some());
    }

    #[tokio::test]
    async fn a_busy_host_is_waited_for() {
        let limits = OriginLimits::new(4);
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
        let limits = OriginLimits::new(40);
        for _ in 0..5 {
            limits.enter("http://a").await.unwrap().finish(false);
        }
        let taken = places(&limits, "http://a").await;
        assert_eq!(taken.len(), 4);
        assert!(matches!(limits.offer("http://a"), Offer::Full), "a failing host is not waited for");
        taken.into_iter().for_each(|place| place.finish(true));
        assert_eq!(places(&limits, "http://a").await.len(), 8);
    }

    #[tokio::test]
    async fn the_table_of_origins_is_bounded() {
        let limits = OriginLimits::new(2);
        for number in 0..2 * MOST_ORIGINS + 1 {
            limits.enter(&format!("http://{number}")).await.unwrap().finish(number % 2 == 0);
        }
        assert!(limits.origins.lock().unwrap().len() <= MOST_ORIGINS);
        let healthy = OriginLimits::new(2);
        healthy.enter("http://a").await.unwrap().finish(true);
        assert!(healthy.origins.lock().unwrap().is_empty());
    }
}
