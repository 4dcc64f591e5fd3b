//! What a charger still has to send: one CALL at a time, transaction messages in order and until they are answered.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::Message;

/// Messages that are neither sent nor part of a transaction; the oldest leaves when there are more.
const MAX_WAITING: usize = 256;

/// A transaction of the charger, before and after the central system has named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// Why a message is sent, which decides what its answer does.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// Its answer changes nothing.
    Plain,
    /// A boot.
    Boot,
    /// A card at the reader of this connector.
    Tap {
        /// The connector.
        connector: u32,
        /// The tag.
        id_tag: String,
    },
    /// Part of a transaction: kept, also over connections, until it is answered.
    Transaction(Key),
    /// A start once more, which has to be answered with this id again.
    Duplicate(i64),
}

/// A message with what is known of its sending.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message id, the same in each attempt.
    pub id: String,
    /// The message.
    pub message: Message,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Attempts that were refused or not answered; a lost connection is none.
    attempts: u32,
    not_before: Option<Instant>,
}

/// How often, and how far apart, a transaction message is tried: `TransactionMessageAttempts` and
/// `TransactionMessageRetryInterval`.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts in all.
    pub attempts: u32,
    /// The wait after the first failure; it grows by itself with each further one.
    pub interval: Duration,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Entry>,
    out: Option<Entry>,
    /// The ids that were answered to the starts.
    ids: HashMap<Key, i64>,
}

impl Outbox {
    /// Puts a message behind the others.
    pub fn push(&mut self, id: String, message: Message, purpose: Purpose) {
        let passing = |entry: &Entry| !matches!(entry.purpose, Purpose::Transaction(_));
        if self.waiting.iter().filter(|entry| passing(entry)).count() >= MAX_WAITING
            && let Some(oldest) = self.waiting.iter().position(passing)
        {
            self.waiting.remove(oldest);
        }
        self.waiting.push_back(Entry { id, message, purpose, attempts: 0, not_before: None });
    }

    /// Puts a boot before all others.
    pub fn push_boot(&mut self, id: String, message: Message) {
        self.waiting.retain(|entry| entry.purpose != Purpose::Boot);
        let boot = Entry { id, message, purpose: Purpose::Boot, attempts: 0, not_before: None };
        self.waiting.push_front(boot);
    }

    /// The next message to send, which is out from here on. A transaction message that waits for its next attempt holds
    /// back those behind it, and no others. Before the boot was accepted, only boots are sent.
    pub fn next(&mut self, now: Instant, booted: bool) -> Option<&Entry> {
        if self.out.is_some() {
            return None;
        }
        let mut held_back = false;
        let place = self.waiting.iter().position(|entry| {
            let early = entry.not_before.is_some_and(|at| now < at);
            match entry.purpose {
                Purpose::Boot => true,
                Purpose::Transaction(_) => {
                    let sent = booted && !held_back && !early;
                    held_back = true;
                    sent
                }
                _ => booted,
            }
        })?;
        let mut entry = self.waiting.remove(place)?;
        if let Purpose::Transaction(key) = entry.purpose {
            self.name(key, &mut entry.message);
        }
        self.out = Some(entry);
        self.out.as_ref()
    }

    /// Writes the answered id into a message of its transaction; -1 into a stop whose start was never answered.
    fn name(&self, key: Key, message: &mut Message) {
        let known = self.ids.get(&key).copied();
        match message {
            Message::MeterValues { transaction_id, .. } => *transaction_id = known,
            Message::StopTransaction { transaction_id, .. } => *transaction_id = known.unwrap_or(-1),
            _ => {}
        }
    }

    /// The message that is out.
    #[must_use]
    pub fn out(&self) -> Option<&Entry> {
        self.out.as_ref()
    }

    /// Takes the message that is out, if this is its id.
    pub fn answered(&mut self, id: &str) -> Option<Entry> {
        self.out.take_if(|entry| entry.id == id)
    }

    /// Keeps the id that a start was answered with.
    pub fn named(&mut self, key: Key, transaction_id: i64) {
        self.ids.insert(key, transaction_id);
    }

    /// The id that a start was answered with.
    #[must_use]
    pub fn id_of(&self, key: Key) -> Option<i64> {
        self.ids.get(&key).copied()
    }

    /// Forgets a transaction that is stopped and answered.
    pub fn forget(&mut self, key: Key) {
        self.ids.remove(&key);
    }

    /// After a refusal or a time limit: a transaction message is tried again, with the same id, until its attempts are
    /// used up. Returns what is given up.
    pub fn failed(&mut self, mut entry: Entry, now: Instant, retries: Retries) -> Option<Entry> {
        entry.attempts += 1;
        if !matches!(entry.purpose, Purpose::Transaction(_)) || entry.attempts >= retries.attempts.max(1) {
            return Some(entry);
        }
        entry.not_before = Some(now + retries.interval * entry.attempts);
        self.waiting.push_front(entry);
        None
    }

    /// After the connection was lost: the message that was out goes first again if it belongs to a transaction, and
    /// nothing else is kept. Returns what is not kept.
    pub fn disconnected(&mut self) -> Vec<Entry> {
        let all = self.out.take().into_iter().chain(self.waiting.drain(..));
        let (kept, lost): (Vec<_>, Vec<_>) =
            all.partition(|entry| matches!(entry.purpose, Purpose::Transaction(_)));
        self.waiting = kept.into();
        lost
    }

    /// Transaction messages that are not answered yet.
    #[must_use]
    pub fn transaction_messages(&self) -> usize {
        let all = self.waiting.iter().chain(&self.out);
        all.filter(|entry| matches!(entry.purpose, Purpose::Transaction(_))).count()
    }

    /// Whether nothing waits and nothing is out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_none()
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        self.waiting.iter().find(|entry| matches!(entry.purpose, Purpose::Transaction(_)))?.not_before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RETRIES: Retries = Retries { attempts: 3, interval: Duration::from_secs(10) };

    fn start() -> Message {
        Message::StartTransaction {
            connector_id: 1,
            id_tag: "TAG".to_owned(),
            meter_start: 0,
            reservation_id: None,
            timestamp: String::new(),
        }
    }

    fn stop() -> Message {
        let (timestamp, reason) = (String::new(), "Local");
        Message::StopTransaction { id_tag: None, meter_stop: 1, timestamp, transaction_id: 0, reason }
    }

    fn meter() -> Message {
        Message::MeterValues { connector_id: 1, transaction_id: None, meter_value: Vec::new() }
    }

    #[test]
    fn a_stop_that_was_queued_before_its_start_was_answered_has_the_id_of_the_answer() {
        let (mut outbox, now, key) = (Outbox::default(), Instant::now(), Key(1));
        outbox.push("a".to_owned(), start(), Purpose::Transaction(key));
        outbox.push("b".to_owned(), stop(), Purpose::Transaction(key));
        assert_eq!(outbox.next(now, true).unwrap().id, "a");
        assert!(outbox.next(now, true).is_none(), "one at a time");
        outbox.answered("a").unwrap();
        outbox.named(key, 42);
        let Message::StopTransaction { transaction_id, .. } = outbox.next(now, true).unwrap().message else {
            panic!("the stop is next");
        };
        assert_eq!(transaction_id, 42);
    }

    #[test]
    fn a_refused_transaction_message_is_tried_again_with_its_id_and_holds_back_only_its_like() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.push("a".to_owned(), start(), Purpose::Transaction(Key(1)));
        outbox.push("b".to_owned(), stop(), Purpose::Transaction(Key(1)));
        outbox.push("c".to_owned(), Message::Heartbeat {}, Purpose::Plain);
        outbox.next(now, true).unwrap();
        let entry = outbox.answered("a").unwrap();
        assert!(outbox.failed(entry, now, RETRIES).is_none());
        assert_eq!(outbox.next(now, true).unwrap().id, "c");
        outbox.answered("c").unwrap();
        assert!(outbox.next(now, true).is_none());
        let mut later = now + RETRIES.interval;
        assert_eq!(outbox.next(later, true).unwrap().id, "a");
        let entry = outbox.answered("a").unwrap();
        assert!(outbox.failed(entry, later, RETRIES).is_none());
        later += RETRIES.interval * 2;
        assert_eq!(outbox.next(later, true).unwrap().id, "a");
        let entry = outbox.answered("a").unwrap();
        assert_eq!(outbox.failed(entry, later, RETRIES).unwrap().id, "a", "three attempts");
    }

    proptest! {
        /// Cuts, answers and refusals in any order: each transaction message is answered in its turn.
        #[test]
        fn transaction_messages_keep_their_order_whatever_happens(steps in prop::collection::vec(0_u8..4, 1..200)) {
            let (mut outbox, mut now) = (Outbox::default(), Instant::now());
            let retries = Retries { attempts: u32::MAX, ..RETRIES };
            let (mut pushed, mut answered) = (0_u32, Vec::new());
            for step in steps {
                now += Duration::from_secs(100_000);
                match step {
                    0 => {
                        outbox.push(pushed.to_string(), meter(), Purpose::Transaction(Key(1)));
                        pushed += 1;
                    }
                    1 => drop(outbox.disconnected()),
                    _ => {
                        let Some(id) = outbox.next(now, true).map(|entry| entry.id.clone()) else { continue };
                        let entry = outbox.answered(&id).unwrap();
                        if step == 2 {
                            answered.push(id);
                        } else {
                            prop_assert!(outbox.failed(entry, now, retries).is_none());
                        }
                    }
                }
            }
            let expected: Vec<String> = (0..pushed).map(|n| n.to_string()).take(answered.len()).collect();
            prop_assert_eq!(&answered, &expected);
            prop_assert_eq!(outbox.transaction_messages() + answered.len(), pushed as usize);
        }
    }
}
