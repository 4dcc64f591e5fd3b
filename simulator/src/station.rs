//! A charger without its connection: what it sends next, how it answers, what its user does. It has no clock of its own
//! and does no I/O.

mod answers;
mod lists;
mod operations;
mod registration;
pub mod sessions;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use self::lists::LocalList;
use self::operations::Profile;
use self::registration::BOOT_RETRY;
use self::sessions::Connector;
use crate::clock::Clock;
use crate::configuration::Configuration;
use crate::event::Event;
use crate::message::Message;
use crate::misbehaviour::Misbehaviour;
use crate::outbox::{Entry, Outbox, Purpose, Retries};
use crate::shape;

/// What a charger is.
#[derive(Debug, Clone)]
pub struct Model {
    /// The number of its connectors, from 1.
    pub connectors: u32,
    /// The power of each in W.
    pub power_w: u32,
    /// How many times faster than real time energy is counted and meter values are sent.
    pub speed: u32,
    /// What everything random comes from.
    pub seed: u64,
    /// What it does wrong.
    pub misbehaviours: Vec<Misbehaviour>,
}

impl Default for Model {
    fn default() -> Self {
        Self { connectors: 1, power_w: 11_000, speed: 1, seed: 0, misbehaviours: Vec::new() }
    }
}

/// A reset that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Everything is sent and answered before it restarts.
    Soft,
    /// It restarts at once; what is not answered is sent afterwards.
    Hard,
}

/// What happens at a certain time.
#[derive(Debug, Clone, PartialEq)]
enum Timer {
    Boot,
    Heartbeat,
    Sample {
        connector: u32,
    },
    /// The cable was not plugged in time.
    PlugTimeout {
        connector: u32,
    },
    /// A message that reports progress.
    Report(Message),
    /// An image was installed.
    Restart,
    ReservationEnd {
        id: i64,
    },
}

/// A charger.
#[derive(Debug)]
pub struct Station {
    name: String,
    model: Model,
    clock: Clock,
    rng: StdRng,
    configuration: Configuration,
    connectors: Vec<Connector>,
    outbox: Outbox,
    timers: Vec<(Instant, Timer)>,
    events: Vec<Event>,
    online: bool,
    accepted: bool,
    reset: Option<Reset>,
    /// CALLs that are to be sent at once.
    flood: usize,
    transactions: u64,
    local_list: LocalList,
    /// Answers of the central system by tag in upper case: whether it was accepted.
    cache: BTreeMap<String, bool>,
    profiles: Vec<Profile>,
    certificates: Vec<operations::Certificate>,
}

/// The answer to a CALL: the payload as JSON, or an error code with its text.
pub type Answer = Result<String, (&'static str, String)>;

impl Station {
    /// A charger that was just switched on.
    #[must_use]
    pub fn new(name: &str, model: Model, now: Instant) -> Self {
        let mut rng = StdRng::seed_from_u64(model.seed);
        let wrong = model.misbehaviours.contains(&Misbehaviour::WrongClock);
        let connectors = (1..=model.connectors)
            .map(|number| Connector::new(number, now, rng.random_range(0..1_000_000), model.speed.max(1)));
        Self {
            name: name.to_owned(),
            clock: if wrong { Clock::wrong(now) } else { Clock::right(now) },
            connectors: connectors.collect(),
            configuration: Configuration::new(model.connectors),
            rng,
            outbox: Outbox::default(),
            timers: vec![(now, Timer::Boot)],
            events: Vec::new(),
            online: false,
            accepted: false,
            reset: None,
            flood: 0,
            transactions: 0,
            local_list: LocalList::default(),
            cache: BTreeMap::new(),
            profiles: Vec::new(),
            certificates: Vec::new(),
            model,
        }
    }

    /// Its configuration.
    pub fn configuration(&mut self) -> &mut Configuration {
        &mut self.configuration
    }

    /// What its clock shows.
    #[must_use]
    pub fn time(&self, now: Instant) -> String {
        self.clock.text(now)
    }

    /// Lets its clock jump forward, or back. The central system's time sets it right again.
    pub fn jump(&mut self, now: Instant, by: time::Duration) {
        self.clock.jump(now, by);
    }

    /// Whether it does this wrong.
    #[must_use]
    pub fn misbehaves(&self, misbehaviour: Misbehaviour) -> bool {
        self.model.misbehaviours.contains(&misbehaviour)
    }

    /// The misbehaviours of this charger.
    #[must_use]
    pub fn misbehaviours(&self) -> &[Misbehaviour] {
        &self.model.misbehaviours
    }

    /// Whether its boot was accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether nothing waits to be sent or answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Transaction messages that are not answered yet.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.outbox.transaction_messages()
    }

    /// The reset that the charger has to carry out.
    #[must_use]
    pub fn reset(&self) -> Option<Reset> {
        self.reset
    }

    /// How many CALLs are to be sent at once, beside the one that may be out.
    pub fn take_flood(&mut self) -> usize {
        std::mem::take(&mut self.flood)
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Records an event of the connection among those of the charger.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// A new message id.
    pub fn new_id(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    /// A random number below this one.
    pub fn dice(&mut self, below: u32) -> u32 {
        self.rng.random_range(0..below)
    }

    /// The connection is open.
    pub fn connected(&mut self, now: Instant) {
        self.online = true;
        self.note(Event::Connected);
        if self.accepted {
            self.report_all_statuses(now);
        }
        self.tick(now);
    }

    /// The connection ended; a reset that was under way is carried out by it.
    pub fn disconnected(&mut self, now: Instant, why: String) {
        self.online = false;
        self.note(Event::Disconnected { why });
        for entry in self.outbox.disconnected() {
            if let Purpose::Tap { connector, id_tag } = entry.purpose {
                self.decide_offline(connector, id_tag, now);
            }
            if entry.message.action() == "BootNotification" {
                self.at(now, Timer::Boot);
            }
        }
        if self.reset.take().is_some() {
            self.restart(now);
        }
    }

    fn restart(&mut self, now: Instant) {
        self.accepted = false;
        self.timers.retain(|(_, timer)| matches!(timer, Timer::Report(_)));
        self.at(now, Timer::Boot);
    }

    /// The next CALL, as id, action and payload; it is out from here on.
    pub fn next_call(&mut self, now: Instant) -> Option<(String, &'static str, String)> {
        if !self.online {
            return None;
        }
        let minus_one = self.misbehaves(Misbehaviour::MinusOneStop);
        let Entry { id, message, .. } = self.outbox.next(now, self.accepted)?;
        let mut message = message.clone();
        if let (Message::StopTransaction { transaction_id, .. }, true) = (&mut message, minus_one) {
            *transaction_id = -1;
        }
        Some((id.clone(), message.action(), message.to_json()))
    }

    /// The action of the CALL that is out under this id.
    #[must_use]
    pub fn action_of(&self, id: &str) -> Option<&'static str> {
        self.outbox.out().filter(|entry| entry.id == id).map(|entry| entry.message.action())
    }

    /// Takes the answer to the CALL that is out: a payload, or an error code. `false` if the id is not that of the CALL.
    pub fn answered(&mut self, id: &str, answer: Result<&Value, &str>, now: Instant) -> bool {
        let Some(entry) = self.outbox.answered(id) else { return false };
        let action = entry.message.action();
        match answer {
            Ok(payload) => match shape::check_answer(action, payload) {
                Ok(()) => self.accept(&entry, payload, now),
                Err(violation) => {
                    self.events
                        .push(Event::Violation { action: action.to_owned(), what: violation.to_string() });
                    self.fail(entry, "an answer that is not valid", now);
                }
            },
            Err(code) => self.fail(entry, code, now),
        }
        true
    }

    /// The CALL that is out was not answered in time.
    pub fn timed_out(&mut self, id: &str, now: Instant) {
        if let Some(entry) = self.outbox.answered(id) {
            self.events.push(Event::NoAnswer { action: entry.message.action().to_owned() });
            self.fail(entry, "no answer", now);
        }
    }

    fn fail(&mut self, entry: Entry, why: &str, now: Instant) {
        let interval = self.configuration.number("TransactionMessageRetryInterval").into();
        let retries = Retries {
            attempts: self.configuration.number("TransactionMessageAttempts"),
            interval: Duration::from_secs(interval),
        };
        let Some(entry) = self.outbox.failed(entry, now, retries) else { return };
        match entry.purpose {
            Purpose::Boot => self.at(now + BOOT_RETRY, Timer::Boot),
            Purpose::Tap { connector, .. } => self.tapped(connector, why.to_owned()),
            Purpose::Transaction(key) => {
                if matches!(entry.message, Message::StopTransaction { .. }) {
                    self.outbox.forget(key);
                }
                self.events.push(Event::GivenUp { action: entry.message.action().to_owned() });
            }
            Purpose::Plain | Purpose::Duplicate(_) => {}
        }
    }

    fn accept(&mut self, entry: &Entry, payload: &Value, now: Instant) {
        if let Some(shown) =
            date(&payload["currentTime"]).filter(|_| !self.misbehaves(Misbehaviour::WrongClock))
        {
            self.clock.set(now, shown);
        }
        match &entry.purpose {
            Purpose::Boot => self.booted(payload, now),
            Purpose::Tap { connector, id_tag } => {
                let status = payload["idTagInfo"]["status"].as_str().unwrap_or_default().to_owned();
                self.authorized(*connector, id_tag, &status, now);
            }
            Purpose::Transaction(key) => self.transaction_answered(*key, entry, payload, now),
            Purpose::Duplicate(first) if payload["transactionId"].as_i64() != Some(*first) => {
                let what = format!("a start that was repeated has another id than {first}");
                self.events.push(Event::Violation { action: entry.message.action().to_owned(), what });
            }
            Purpose::Duplicate(_) | Purpose::Plain => {}
        }
    }

    /// Puts a message that is no part of a transaction behind the others.
    pub fn send(&mut self, message: Message) {
        self.push(message, Purpose::Plain);
    }

    fn push(&mut self, message: Message, purpose: Purpose) {
        let id = self.new_id();
        self.outbox.push(id, message, purpose);
    }

    fn at(&mut self, at: Instant, timer: Timer) {
        self.timers.push((at, timer));
    }
}

fn date(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}
