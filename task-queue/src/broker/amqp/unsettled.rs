//! Deliveries in hand and their acknowledgements, which are gathered: RabbitMQ's quorum queue writes an entry of its log for
//! each acknowledgement, however many messages it is about.

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

/// How long an acknowledgement waits for others. A process that is killed within it is given the message again.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// Of the prefetch, the part that may wait to be acknowledged while the broker could hand out more.
const PART_OF_PREFETCH: u16 = 2;
/// How many gatherings an acknowledgement waits for an older delivery that is still in hand, to be told with it.
const PATIENCE: u32 = 6;
/// More than the acknowledgements of a prefetch take.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// A delivery that RabbitMQ waits for an answer about.
#[derive(Debug)]
pub(in crate::broker) struct Unsettled {
    pub(super) tag: u64,
    pub(super) way: Arc<Way>,
}

/// The channel that deliveries came by. Each delivery in hand holds it: lapin closes a channel that nobody holds any
/// more, and what is unsettled on it then comes again.
#[derive(Debug)]
pub(super) struct Way {
    ledger: Arc<Ledger>,
    /// Has the last acknowledgements sent when nobody holds the channel any more.
    _last_of_all: DropGuard,
}

#[derive(Debug)]
struct Ledger {
    channel: Channel,
    /// Cancelled when nothing can be settled over it any more.
    lost: CancellationToken,
    tags: Mutex<Tags>,
    /// The first acknowledgement since the broker was told.
    begin: Notify,
    /// There are so many that none is to wait.
    enough: Notify,
}

/// Who sends the acknowledgements of each channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Tellers {
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Tellers {
    /// What is gathered last is sent when its last holder is gone.
    pub(super) fn way(&self, channel: Channel, lost: CancellationToken) -> Way {
        let tags = Mutex::default();
        let ledger =
            Arc::new(Ledger { channel, lost, tags, begin: Notify::default(), enough: Notify::default() });
        let last = self.closing.child_token();
        self.tasks.spawn(tell(Arc::clone(&ledger), last.clone()));
        Way { ledger, _last_of_all: last.drop_guard() }
    }

    /// Sends what is gathered, before the connection is closed.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(TOLD_WITHIN, self.tasks.wait()).await;
    }
}

impl Way {
    /// Cancelled when nothing can be settled over it any more.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.ledger.lost
    }

    /// How many the broker hands out at most before it is told of some.
    pub(super) fn set_prefetch(&self, prefetch: u16) {
        self.ledger.tags().bound = usize::from((prefetch / PART_OF_PREFETCH).max(1));
    }

    /// In the order in which they came.
    pub(super) fn handed_out(&self, tag: u64) {
        self.ledger.tags().hand_out(tag);
    }
}

impl Unsettled {
    /// The broker is told a few milliseconds later.
    pub(in crate::broker) fn ack(self) -> Settled {
        let ledger = &self.way.ledger;
        if ledger.lost.is_cancelled() {
            return Settled::Stale;
        }
        let (first, enough) = ledger.tags().acknowledge(self.tag);
        if first {
            ledger.begin.notify_one();
        }
        if enough {
            ledger.enough.notify_one();
        }
        Settled::Done
    }

    /// For whoever must not go on before the broker is told.
    pub(in crate::broker) async fn ack_at_once(self) -> Result<Settled, BrokerError> {
        self.settle(async |channel, tag| channel.basic_ack(tag, BasicAckOptions::default()).await).await
    }

    pub(in crate::broker) async fn give_back(self) -> Result<Settled, BrokerError> {
        let requeue = BasicNackOptions { requeue: true, multiple: false };
        self.settle(async |channel, tag| channel.basic_nack(tag, requeue).await).await
    }

    pub(in crate::broker) fn lost(&self) -> &CancellationToken {
        &self.way.ledger.lost
    }

    async fn settle(
        self,
        tell: impl AsyncFnOnce(&Channel, u64) -> lapin::Result<()>,
    ) -> Result<Settled, BrokerError> {
        let ledger = &self.way.ledger;
        if ledger.lost.is_cancelled() {
            return Ok(Settled::Stale);
        }
        tell(&ledger.channel, self.tag).await.map_err(|error| BrokerError::Unreachable(error.to_string()))?;
        // Only now: an acknowledgement of all up to a later one must not go before it.
        ledger.tags().told(self.tag);
        Ok(Settled::Done)
    }
}

impl Ledger {
    fn tags(&self) -> std::sync::MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, all: bool) -> lapin::Result<()> {
        let due = self.tags().due(all);
        let together = due.up_to.map(|last| (last, true)).into_iter();
        let acks = together.chain(due.singly.into_iter().map(|tag| (tag, false)));
        // Each waits until it is written: side by side, they are written at once.
        try_join_all(acks.map(|(tag, multiple)| self.channel.basic_ack(tag, BasicAckOptions { multiple })))
            .await?;
        Ok(())
    }
}

/// Tells the broker what is acknowledged until the channel is lost or nobody holds it any more.
async fn tell(ledger: Arc<Ledger>, last: CancellationToken) {
    let telling = async {
        while !last.is_cancelled() {
            if !ledger.tags().any_acknowledged() {
                tokio::select! {
                    () = ledger.begin.notified() => {}
                    () = last.cancelled() => break,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(GATHERED_FOR) => {}
                () = ledger.enough.notified() => {}
                () = last.cancelled() => break,
            }
            ledger.tell(false).await?;
        }
        ledger.tell(true).await
    };
    let told: lapin::Result<()> = tokio::select! {
        told = telling => told,
        () = ledger.lost.cancelled() => return,
    };
    if let Err(error) = told {
        tracing::info!(%error, "what was done could not be acknowledged; it comes again");
        ledger.lost.cancel();
    }
}

/// The deliveries of a channel of which the broker has not been told, by tag, and whether they are acknowledged. No more
/// than its prefetch.
#[derive(Debug, Default)]
struct Tags {
    untold: BTreeMap<u64, bool>,
    acknowledged: usize,
    /// So many acknowledgements are not kept waiting.
    bound: usize,
    /// How often some were left waiting for an older one.
    left: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    /// This one and all before it.
    up_to: Option<u64>,
    singly: Vec<u64>,
}

impl Tags {
    fn hand_out(&mut self, tag: u64) {
        self.untold.insert(tag, false);
    }

    /// Whether it is the first one to be told of, and whether there are enough of them.
    fn acknowledge(&mut self, tag: u64) -> (bool, bool) {
        if let Some(acknowledged) = self.untold.get_mut(&tag) {
            *acknowledged = true;
            self.acknowledged += 1;
        }
        (self.acknowledged == 1, self.acknowledged >= self.bound)
    }

    fn told(&mut self, tag: u64) {
        self.untold.remove(&tag);
    }

    fn any_acknowledged(&self) -> bool {
        self.acknowledged > 0
    }

    /// What the broker is to be told now; it counts as told.
    fn due(&mut self, all: bool) -> Due {
        let mut due = Due::default();
        while let Some(oldest) = self.untold.first_entry().filter(|oldest| *oldest.get()) {
            due.up_to = Some(*oldest.key());
            oldest.remove();
            self.acknowledged -= 1;
        }
        self.left = if self.acknowledged == 0 { 0 } else { self.left + 1 };
        if all || self.left > PATIENCE || self.acknowledged >= self.bound {
            due.singly =
                self.untold.extract_if(.., |_, acknowledged| *acknowledged).map(|(tag, _)| tag).collect();
            (self.acknowledged, self.left) = (0, 0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_out(tags: std::ops::RangeInclusive<u64>) -> Tags {
        let mut handed_out = Tags { bound: 100, ..Tags::default() };
        tags.for_each(|tag| handed_out.hand_out(tag));
        handed_out
    }

    #[test]
    fn what_is_done_in_order_is_told_at_once() {
        let mut tags = handed_out(1..=4);
        assert_eq!(tags.acknowledge(2), (true, false));
        assert_eq!(tags.acknowledge(1), (false, false));
        assert_eq!(tags.due(false), Due { up_to: Some(2), singly: vec![] });
        assert!(!tags.any_acknowledged());
        tags.acknowledge(3);
        tags.acknowledge(4);
        assert_eq!(tags.due(false).up_to, Some(4));
        tags.hand_out(5);
        tags.acknowledge(5);
        assert_eq!(tags.due(false).up_to, Some(5));
    }

    #[test]
    fn what_is_in_hand_is_never_acknowledged_with_others() {
        let mut tags = handed_out(1..=3);
        tags.acknowledge(2);
        tags.acknowledge(3);
        for _ in 0..PATIENCE {
            assert_eq!(tags.due(false), Due::default());
        }
        assert_eq!(tags.due(false), Due { up_to: None, singly: vec![2, 3] });
        tags.acknowledge(1);
        // The broker knows the others no longer, and would close the channel over a tag that it does not know.
        assert_eq!(tags.due(false), Due { up_to: Some(1), singly: vec![] });
    }

    #[test]
    fn what_was_given_back_is_passed_over() {
        let mut tags = handed_out(1..=3);
        tags.told(2);
        tags.acknowledge(3);
        tags.acknowledge(1);
        assert_eq!(tags.due(false).up_to, Some(3));
    }

    #[test]
    fn enough_of_them_wait_no_longer() {
        let mut tags = handed_out(1..=3);
        tags.bound = 2;
        assert_eq!(tags.acknowledge(3), (true, false));
        assert_eq!(tags.acknowledge(2), (false, true));
        assert_eq!(tags.due(false).singly, [2, 3]);
    }

    proptest::proptest! {
        #[test]
        fn each_is_told_of_once_and_none_before_it_is_done(order in proptest::collection::vec(0u64..24, 0..96)) {
            let mut tags = handed_out(1..=24);
            tags.bound = 5;
            let (mut done, mut told) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
            for (step, tag) in order.iter().map(|tag| tag + 1).enumerate() {
                if done.insert(tag) {
                    tags.acknowledge(tag);
                }
                let due = tags.due(step % 7 == 6);
                let together = due.up_to.map(|last| (1..=last).filter(|tag| !told.contains(tag)).collect());
                let together: Vec<u64> = together.unwrap_or_default();
                proptest::prop_assert!(due.up_to.is_none_or(|last| together.contains(&last)));
                for tag in together.into_iter().chain(due.singly) {
                    proptest::prop_assert!(done.contains(&tag) && told.insert(tag));
                }
            }
            let rest = tags.due(true);
            told.extend(rest.singly);
            told.extend(1..=rest.up_to.unwrap_or_default());
            proptest::prop_assert_eq!(done, told);
        }
    }
}
