//! How many tasks run at once: each queue has its own slots, whose number may change at any time.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::registry::Registry;

/// How often the load is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest number of slots that an operator can set.
pub(crate) const MAX_SLOTS: usize = 10_000;

/// Bounds of a number of slots that follows the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoscale {
    /// The maximum.
    pub max: usize,
    /// The minimum.
    pub min: usize,
    /// How long the load must have been lower before slots are removed.
    pub keepalive: Duration,
}

impl Autoscale {
    /// Celery's default.
    pub const KEEPALIVE: Duration = Duration::from_secs(30);

    /// These bounds, with Celery's keep-alive.
    pub fn between(min: usize, max: usize) -> Self {
        Self { max, min, keepalive: Self::KEEPALIVE }
    }
}

/// All slots of a worker.
#[derive(Debug)]
pub(crate) struct Pool {
    inner: Mutex<Inner>,
    /// The largest configured number of slots of a queue. The other queues keep their difference to it.
    base: usize,
    /// How many messages may be in flight for each slot.
    multiplier: usize,
}

#[derive(Debug)]
struct Inner {
    size: usize,
    autoscale: Option<Autoscale>,
    queues: Vec<Weak<Slots>>,
}

impl Pool {
    pub(crate) fn new(base: usize, multiplier: usize, autoscale: Option<Autoscale>) -> Self {
        let autoscale = autoscale.map(|bounds| {
            let max = bounds.max.clamp(1, MAX_SLOTS);
            Autoscale { max, min: bounds.min.min(max), ..bounds }
        });
        let size = autoscale.map_or(base, |bounds| bounds.min.max(1));
        Self { inner: Mutex::new(Inner { size, autoscale, queues: Vec::new() }), base, multiplier }
    }

    /// Slots for one queue.
    pub(crate) fn slots(&self, configured: usize) -> Arc<Slots> {
        self.with(|inner| {
            let slots = Arc::new(Slots::new(self.base.saturating_sub(configured), self.multiplier));
            slots.resize(inner.size, inner.most());
            inner.queues.retain(|slots| slots.strong_count() > 0);
            inner.queues.push(Arc::downgrade(&slots));
            slots
        })
    }

    pub(crate) fn base(&self) -> usize {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.with(|inner| inner.size)
    }

    pub(crate) fn autoscale(&self) -> Option<Autoscale> {
        self.with(|inner| inner.autoscale)
    }

    /// How many messages of the queue with most slots may be in flight.
    pub(crate) fn prefetch(&self) -> usize {
        self.with(|inner| inner.most()) * self.multiplier
    }

    /// Adds this many slots, or removes them if negative.
    pub(crate) fn grow_by(&self, difference: i64) {
        self.with(|inner| {
            let wanted = i64::try_from(inner.size).unwrap_or(i64::MAX).saturating_add(difference);
            inner.resize(usize::try_from(wanted).unwrap_or(0));
        });
    }

    /// Sets the bounds, to which the number of slots adapts at once. Returns the bounds now in force.
    pub(crate) fn set_autoscale(&self, max: Option<usize>, min: Option<usize>) -> Option<Autoscale> {
        self.with(|inner| {
            let bounds = inner.autoscale?;
            let max = max.unwrap_or(bounds.max).clamp(1, MAX_SLOTS);
            let bounds = Autoscale { max, min: min.unwrap_or(bounds.min).min(max), ..bounds };
            inner.autoscale = Some(bounds);
            inner.resize(inner.size.clamp(bounds.min, bounds.max));
            Some(bounds)
        })
    }

    /// Lets the number of slots follow the load until `stop`: it grows at once and shrinks only after a while.
    pub(crate) async fn follow(&self, registry: &Registry, stop: &CancellationToken) {
        let mut needed_at = Instant::now();
        while tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_err() {
            let Some(bounds) = self.autoscale() else { return };
            let demand = registry.demand();
            let (size, wanted) = (self.size(), demand.clamp(bounds.min.max(1), bounds.max));
            if demand >= size {
                needed_at = Instant::now();
            }
            if wanted > size || (wanted < size && needed_at.elapsed() > bounds.keepalive) {
                tracing::info!(from = size, to = wanted, "scaling");
                self.with(|inner| inner.resize(wanted));
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn resize(&mut self, size: usize) {
        self.size = size.clamp(1, MAX_SLOTS);
        let (size, most) = (self.size, self.most());
        self.queues.iter().filter_map(Weak::upgrade).for_each(|slots| slots.resize(size, most));
    }

    /// Tasks that wait for a slot show that more are needed, so the prefetch is computed from the most slots that there
    /// may be.
    fn most(&self) -> usize {
        self.autoscale.map_or(self.size, |bounds| bounds.max.max(self.size))
    }
}

/// The slots of one queue.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    state: Mutex<State>,
    /// How many slots fewer than the queue with most slots it has.
    fewer: usize,
    multiplier: usize,
    prefetch: watch::Sender<u16>,
}

#[derive(Debug, Default)]
struct State {
    size: usize,
    /// Slots to remove as soon as they are free.
    owed: usize,
}

/// A slot in use.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    fn new(fewer: usize, multiplier: usize) -> Self {
        let (free, prefetch) = (Arc::new(Semaphore::new(0)), watch::channel(1).0);
        Self { free, state: Mutex::default(), fewer, multiplier, prefetch }
    }

    /// Waits for a slot, in order of arrival.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Slot {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        Slot { slots: Arc::clone(self), permit }
    }

    /// How many messages may be in flight.
    pub(crate) fn prefetch(&self) -> watch::Receiver<u16> {
        self.prefetch.subscribe()
    }

    fn resize(&self, size: usize, most: usize) {
        let size = size.saturating_sub(self.fewer).max(1);
        let prefetch = most.saturating_sub(self.fewer).max(size).saturating_mul(self.multiplier);
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if size > state.size {
            let more = size - state.size;
            let kept = more.min(state.owed);
            state.owed -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = state.size - size;
            state.owed += fewer - self.free.forget_permits(fewer);
        }
        state.size = size;
        self.prefetch.send_if_modified(|present| std::mem::replace(present, prefetch) != prefetch);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn slots_that_are_in_use_go_when_they_are_free() {
        let pool = Pool::new(3, 1, None);
        let (slots, fewer) = (pool.slots(3), pool.slots(1));
        let mut used = vec![slots.acquire().await, slots.acquire().await, slots.acquire().await];
        assert!(slots.acquire().now_or_never().is_none());
        pool.grow_by(-2);
        used.truncate(1);
        assert!(slots.acquire().now_or_never().is_none(), "the one that is left is in use");
        pool.grow_by(1);
        used.push(slots.acquire().await);
        assert!(slots.acquire().now_or_never().is_none());
        assert_eq!((pool.size(), *slots.prefetch().borrow(), *fewer.prefetch().borrow()), (2, 2, 1));
        pool.grow_by(-10);
        used.clear();
        let last = slots.acquire().now_or_never();
        assert!(last.is_some() && slots.acquire().now_or_never().is_none(), "there is always one");
        pool.grow_by(100_000);
        assert_eq!(pool.size(), MAX_SLOTS);
    }

    #[tokio::test]
    async fn bounds_hold_at_once_and_let_in_what_more_slots_could_take() {
        assert_eq!(Pool::new(3, 1, None).set_autoscale(Some(5), None), None);
        let odd = Pool::new(3, 1, Some(Autoscale::between(5, 0))).autoscale();
        assert_eq!(odd, Some(Autoscale::between(1, 1)));
        let pool = Pool::new(3, 1, Some(Autoscale::between(2, 8)));
        let slots = pool.slots(3);
        assert_eq!((pool.size(), *slots.prefetch().borrow()), (2, 8));
        assert_eq!(pool.set_autoscale(Some(10), Some(4)), Some(Autoscale::between(4, 10)));
        assert_eq!((pool.size(), *slots.prefetch().borrow()), (4, 10));
        assert_eq!(pool.set_autoscale(Some(3), None), Some(Autoscale::between(3, 3)));
        assert_eq!(pool.size(), 3);
    }
}
