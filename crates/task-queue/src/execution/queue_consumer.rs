//! Consumes one queue. Tasks are received in order, and begin in order as slots become free, or in turn if they have a
//! rate limit.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::job::{Job, OpenedDelivery};
use super::pool::{Slot, Slots};
use crate::broker::{Deliveries, Delivery};

/// The consumer of one queue.
#[derive(Clone)]
pub(super) struct QueueConsumer {
    pub(super) job: Job,
    /// Bounds the running tasks. The prefetch bounds only one connection: after a reconnect, tasks of the old one are
    /// still in flight.
    pub(super) slots: Arc<Slots>,
    pub(super) stop: CancellationToken,
    pub(super) in_flight: TaskTracker,
}

impl QueueConsumer {
    /// Consumes messages until the broker delivers no more, which is once it was asked to stop. Deliveries that still
    /// wait are then requeued.
    pub(super) async fn take(self, mut deliveries: Deliveries) {
        let mut waiting = VecDeque::new();
        loop {
            tokio::select! {
                delivery = deliveries.recv() => match delivery {
                    Some(delivery) => self.receive(delivery, &mut waiting).await,
                    None => break,
                },
                slot = self.slots.acquire(), if !waiting.is_empty() && !self.stop.is_cancelled() => {
                    if let Some(next) = waiting.pop_front() {
                        self.begin(next, slot);
                    }
                }
                () = self.stop.cancelled(), if !waiting.is_empty() => self.requeue(&mut waiting).await,
            }
        }
        self.requeue(&mut waiting).await;
    }

    async fn receive(&self, delivery: Delivery, waiting: &mut VecDeque<OpenedDelivery>) {
        if self.stop.is_cancelled() {
            let _ = delivery.requeue().await;
            return;
        }
        // Waiting deliveries of a lost connection are delivered again, so they must not pile up here.
        while let Some(opened) = waiting.pop_front_if(|opened| opened.is_stale()) {
            self.job.leave(&opened);
        }
        waiting.push_back(self.job.open(delivery));
    }

    fn begin(&self, opened: OpenedDelivery, slot: Slot) {
        // The connection may have been lost while it waited for a slot. It is then delivered again, and must not run
        // twice.
        if opened.is_stale() {
            return self.job.leave(&opened);
        }
        let limited = opened.name().is_some_and(|name| self.job.limits.rate(name).is_some());
        if limited {
            // It waits without a slot, so that it does not block other tasks. The prefetch bounds how many wait.
            self.in_flight.spawn(self.clone().wait_for_turn(opened));
            return;
        }
        let job = self.job.clone();
        self.in_flight.spawn(async move {
            job.handle(opened).await;
            drop(slot);
        });
    }

    async fn wait_for_turn(self, opened: OpenedDelivery) {
        let turn = async {
            self.job.limits.turn(opened.name().unwrap_or_default()).await;
            self.slots.acquire().await
        };
        let slot = tokio::select! {
            slot = turn => slot,
            () = opened.stale() => return self.job.leave(&opened),
            () = self.stop.cancelled() => return self.job.requeue(opened).await,
        };
        self.job.handle(opened).await;
        drop(slot);
    }

    async fn requeue(&self, waiting: &mut VecDeque<OpenedDelivery>) {
        for opened in waiting.drain(..) {
            self.job.requeue(opened).await;
        }
    }
}
