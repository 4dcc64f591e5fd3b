//! Unacked deliveries and their acknowledgements, which are sent in batches: RabbitMQ's quorum queue writes one log
//! entry for each acknowledgement, however many messages it covers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::broker::{BrokerError, Settled};

/// How long an acknowledgement waits for others. If the process is killed meanwhile, the message is delivered again.
const FLUSH_AFTER: Duration = Duration::from_millis(5);
/// The part of the prefetch that may wait to be acknowledged while the broker could deliver more.
const PART_OF_PREFETCH: u16 = 2;
/// How many flushes an acknowledgement waits for an older delivery that is still in flight, to be sent with it.
const MAX_SKIPPED: u32 = 6;
/// More than sending the acknowledgements of a prefetch takes.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// An unacked delivery of RabbitMQ: its tag, and the channel to settle it on.
#[derive(Debug)]
pub(in crate::broker) struct AckTag {
    pub(super) tag: u64,
    pub(super) acks: Arc<AckChannel>,
}

/// The channel that deliveries came by. Each unacked delivery holds it: lapin closes a channel that is no longer held,
/// and RabbitMQ then requeues what is unacked on it.
#[derive(Debug)]
pub(super) struct AckChannel {
    pending: Arc<PendingAcks>,
    /// Sends the last acknowledgements when the channel is no longer held.
    _flush_on_drop: DropGuard,
}

#[derive(Debug)]
struct PendingAcks {
    channel: Channel,
    /// Cancelled once deliveries of the channel can no longer be settled.
    lost: CancellationToken,
    tags: Mutex<Tags>,
    /// Notified by the first acknowledgement since the last flush.
    begin: Notify,
    /// Notified once there are enough acknowledgements to flush at once.
    enough: Notify,
}

/// The tasks that send the acknowledgements, one for each channel.
#[derive(Debug, Clone, Default)]
pub(super) struct AckFlusher {
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl AckFlusher {
    /// The last acknowledgements are sent when the returned channel is dropped.
    pub(super) fn channel(&self, channel: Channel, lost: CancellationToken) -> AckChannel {
        let tags = Mutex::default();
        let pending = Arc::new(PendingAcks {
            channel,
            lost,
            tags,
            begin: Notify::default(),
            enough: Notify::default(),
        });
        let last = self.closing.child_token();
        self.tasks.spawn(flush(Arc::clone(&pending), last.clone()));
        AckChannel { pending, _flush_on_drop: last.drop_guard() }
    }

    /// Sends what is pending, before the connection is closed.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(FLUSH_LIMIT, self.tasks.wait()).await;
    }
}

impl AckChannel {
    /// Cancelled once deliveries of the channel can no longer be settled.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.pending.lost
    }

    /// How many messages the broker delivers at most before some are acknowledged.
    pub(super) fn set_prefetch(&self, prefetch: u16) {
        self.pending.tags().bound = usize::from((prefetch / PART_OF_PREFETCH).max(1));
    }

    /// Records a delivery; called in the order of the tags.
    pub(super) fn delivered(&self, tag: u64) {
        self.pending.tags().deliver(tag);
    }
}

impl AckTag {
    /// The acknowledgement is sent a few milliseconds later.
    pub(in crate::broker) fn ack(self) -> Settled {
        let pending = &self.acks.pending;
        if pending.lost.is_cancelled() {
            return Settled::Stale;
        }
        let (first, enough) = pending.tags().acknowledge(self.tag);
        if first {
            pending.begin.notify_one();
        }
        if enough {
            pending.enough.notify_one();
        }
        Settled::Done
    }

    /// For tasks that must not begin before the broker has received the acknowledgement.
    pub(in crate::broker) async fn ack_at_once(self) -> Result<Settled, BrokerError> {
        self.settle(async |channel, tag| channel.basic_ack(tag, BasicAckOptions::default()).await).await
    }

    pub(in crate::broker) async fn requeue(self) -> Result<Settled, BrokerError> {
        let requeue = BasicNackOptions { requeue: true, multiple: false };
        self.settle(async |channel, tag| channel.basic_nack(tag, requeue).await).await
    }

    pub(in crate::broker) fn lost(&self) -> &CancellationToken {
        &self.acks.pending.lost
    }

    async fn settle(
        self,
        send: impl AsyncFnOnce(&Channel, u64) -> lapin::Result<()>,
    ) -> Result<Settled, BrokerError> {
        let pending = &self.acks.pending;
        if pending.lost.is_cancelled() {
            return Ok(Settled::Stale);
        }
        send(&pending.channel, self.tag).await.map_err(BrokerError::unreachable)?;
        // Not before: an acknowledgement of a later tag and all before it must not overtake this one.
        pending.tags().settled(self.tag);
        Ok(Settled::Done)
    }
}

impl PendingAcks {
    fn tags(&self) -> std::sync::MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, all: bool) -> lapin::Result<()> {
        let due = self.tags().due(all);
        let together = due.up_to.map(|last| (last, true)).into_iter();
        let acks = together.chain(due.singly.into_iter().map(|tag| (tag, false)));
        // Each waits until it is written, so they are sent concurrently to be written together.
        try_join_all(acks.map(|(tag, multiple)| self.channel.basic_ack(tag, BasicAckOptions { multiple })))
            .await?;
        Ok(())
    }
}

/// Sends acknowledgements until the channel is lost or dropped.
async fn flush(pending: Arc<PendingAcks>, last: CancellationToken) {
    let flushing = async {
        while !last.is_cancelled() {
            if !pending.tags().any_acknowledged() {
                tokio::select! {
                    () = pending.begin.notified() => {}
                    () = last.cancelled() => break,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(FLUSH_AFTER) => {}
                () = pending.enough.notified() => {}
                () = last.cancelled() => break,
            }
            pending.send(false).await?;
        }
        pending.send(true).await
    };
    let flushed: lapin::Result<()> = tokio::select! {
        flushed = flushing => flushed,
        () = pending.lost.cancelled() => return,
    };
    if let Err(error) = flushed {
        tracing::info!(%error, "finished tasks could not be acknowledged; they are delivered again");
        pending.lost.cancel();
    }
}

/// The deliveries of a channel that the broker counts as unacked, by tag, and whether they are acknowledged here. Never
/// more than the prefetch.
#[derive(Debug, Default)]
struct Tags {
    unacked: BTreeMap<u64, bool>,
    acknowledged: usize,
    /// The number of acknowledgements that triggers a flush.
    bound: usize,
    /// How many flushes in a row left out acknowledgements that wait for an older one.
    skipped: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct DueAcks {
    /// Acknowledges this tag and all before it.
    up_to: Option<u64>,
    singly: Vec<u64>,
}

impl Tags {
    fn deliver(&mut self, tag: u64) {
        self.unacked.insert(tag, false);
    }

    /// Returns whether it is the first pending acknowledgement, and whether there are enough for a flush.
    fn acknowledge(&mut self, tag: u64) -> (bool, bool) {
        if let Some(acknowledged) = self.unacked.get_mut(&tag) {
            *acknowledged = true;
            self.acknowledged += 1;
        }
        (self.acknowledged == 1, self.acknowledged >= self.bound)
    }

    fn settled(&mut self, tag: u64) {
        self.unacked.remove(&tag);
    }

    fn any_acknowledged(&self) -> bool {
        self.acknowledged > 0
    }

    /// The acknowledgements to send now, which are counted as sent.
    fn due(&mut self, all: bool) -> DueAcks {
        let mut due = DueAcks::default();
        while let Some(oldest) = self.unacked.first_entry().filter(|oldest| *oldest.get()) {
            due.up_to = Some(*oldest.key());
            oldest.remove();
            self.acknowledged -= 1;
        }
        self.skipped = if self.acknowledged == 0 { 0 } else { self.skipped + 1 };
        if all || self.skipped > MAX_SKIPPED || self.acknowledged >= self.bound {
            due.singly =
                self.unacked.extract_if(.., |_, acknowledged| *acknowledged).map(|(tag, _)| tag).collect();
            (self.acknowledged, self.skipped) = (0, 0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(tags: std::ops::RangeInclusive<u64>) -> Tags {
        let mut delivered = Tags { bound: 100, ..Tags::default() };
        tags.for_each(|tag| delivered.deliver(tag));
        delivered
    }

    #[test]
    fn acks_in_order_are_sent_at_once() {
        let mut tags = delivered(1..=4);
        assert_eq!(tags.acknowledge(2), (true, false));
        assert_eq!(tags.acknowledge(1), (false, false));
        assert_eq!(tags.due(false), DueAcks { up_to: Some(2), singly: vec![] });
        assert!(!tags.any_acknowledged());
        tags.acknowledge(3);
        tags.acknowledge(4);
        assert_eq!(tags.due(false).up_to, Some(4));
        tags.deliver(5);
        tags.acknowledge(5);
        assert_eq!(tags.due(false).up_to, Some(5));
    }

    #[test]
    fn a_delivery_in_flight_is_never_acknowledged_with_others() {
        let mut tags = delivered(1..=3);
        tags.acknowledge(2);
        tags.acknowledge(3);
        for _ in 0..MAX_SKIPPED {
            assert_eq!(tags.due(false), DueAcks::default());
        }
        assert_eq!(tags.due(false), DueAcks { up_to: None, singly: vec![2, 3] });
        tags.acknowledge(1);
        // The broker no longer knows the other tags, and would close the channel over an unknown tag.
        assert_eq!(tags.due(false), DueAcks { up_to: Some(1), singly: vec![] });
    }

    #[test]
    fn a_requeued_delivery_is_skipped() {
        let mut tags = delivered(1..=3);
        tags.settled(2);
        tags.acknowledge(3);
        tags.acknowledge(1);
        assert_eq!(tags.due(false).up_to, Some(3));
    }

    #[test]
    fn enough_acks_do_not_wait() {
        let mut tags = delivered(1..=3);
        tags.bound = 2;
        assert_eq!(tags.acknowledge(3), (true, false));
        assert_eq!(tags.acknowledge(2), (false, true));
        assert_eq!(tags.due(false).singly, [2, 3]);
    }

    proptest::proptest! {
        #[test]
        fn each_ack_is_sent_once_and_none_before_its_task_is_done(order in proptest::collection::vec(0u64..24, 0..96)) {
            let mut tags = delivered(1..=24);
            tags.bound = 5;
            let (mut done, mut sent) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
            for (step, tag) in order.iter().map(|tag| tag + 1).enumerate() {
                if done.insert(tag) {
                    tags.acknowledge(tag);
                }
                let due = tags.due(step % 7 == 6);
                let together = due.up_to.map(|last| (1..=last).filter(|tag| !sent.contains(tag)).collect());
                let together: Vec<u64> = together.unwrap_or_default();
                proptest::prop_assert!(due.up_to.is_none_or(|last| together.contains(&last)));
                for tag in together.into_iter().chain(due.singly) {
                    proptest::prop_assert!(done.contains(&tag) && sent.insert(tag));
                }
            }
            let rest = tags.due(true);
            sent.extend(rest.singly);
            sent.extend(1..=rest.up_to.unwrap_or_default());
            proptest::prop_assert_eq!(done, sent);
        }
    }
}
