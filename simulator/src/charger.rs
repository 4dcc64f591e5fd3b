//! A running charger: a [`Station`] on a WebSocket that is opened again whenever it ends.

mod conversation;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::conversation::End;
use crate::event::{Event, Journal};
use crate::link::{Dial, Link, LinkError};
use crate::station::{Model, Station};

/// Waits between two attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Requests that wait while the charger writes.
const REQUESTS: usize = 64;

/// How a charger connects and what it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where and as whom it connects.
    pub dial: Dial,
    /// What it is.
    pub model: Model,
    /// Configuration keys that it starts with, instead of the usual values.
    pub configuration: Vec<(&'static str, String)>,
    /// How long it waits for an answer.
    pub answer_limit: Duration,
    /// How long the answers of a charger that answers late take.
    pub lateness: Duration,
    /// The wait before it connects again; it doubles up to 30 seconds.
    pub backoff: Duration,
    /// Where its events are written.
    pub journal: Journal,
}

impl Settings {
    /// The settings of a plain charger.
    #[must_use]
    pub fn new(dial: Dial) -> Self {
        Self {
            dial,
            model: Model::default(),
            configuration: Vec::new(),
            answer_limit: Duration::from_secs(30),
            lateness: Duration::from_secs(45),
            backoff: BACKOFF.0,
            journal: Journal::none(),
        }
    }
}

/// The charger has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the charger has ended")]
pub struct Ended;

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Situation {
    /// The WebSocket is open.
    pub connected: bool,
    /// The last boot was accepted.
    pub accepted: bool,
    /// Nothing waits to be sent or answered.
    pub idle: bool,
    /// Transaction messages that are not answered yet.
    pub unanswered: usize,
}

/// What is done at the charger.
type Act = Box<dyn FnOnce(&mut Station, Instant) + Send>;

enum Request {
    Use(Act),
    Cut,
}

/// A running charger. Dropping it ends it.
#[derive(Debug)]
pub struct Charger {
    requests: mpsc::Sender<Request>,
    situation: watch::Receiver<Situation>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Charger {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Charger {
    /// Switches a charger on. Its events go to the observer too; one that does not keep up loses some.
    #[must_use]
    pub fn start(
        settings: Settings,
        observer: Option<mpsc::Sender<Event>>,
        stop: &CancellationToken,
    ) -> Self {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let (sender, situation) = watch::channel(Situation::default());
        let stop = stop.child_token();
        let mut station = Station::new(&settings.dial.charger, settings.model.clone(), Instant::now());
        for (key, value) in &settings.configuration {
            station.configuration().set(key, value);
        }
        let life =
            Life { station, settings, requests: receiver, situation: sender, observer, stop: stop.clone() };
        Self { requests, situation, stop, task: tokio::spawn(life.run()) }
    }

    /// Does something at the charger, such as plugging a car in.
    ///
    /// # Errors
    /// Returns an error if the charger has ended.
    pub async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Station, Instant) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, answered) = oneshot::channel();
        let act = move |station: &mut Station, now| drop(answer.send(act(station, now)));
        self.requests.send(Request::Use(Box::new(act))).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }

    /// Cuts the connection as a lost network does. The charger connects again.
    ///
    /// # Errors
    /// Returns an error if the charger has ended.
    pub async fn cut(&self) -> Result<(), Ended> {
        self.requests.send(Request::Cut).await.map_err(|_| Ended)
    }

    /// Waits until the charger is in such a situation.
    ///
    /// # Errors
    /// Returns an error if the charger has ended.
    pub async fn until(&self, wanted: impl FnMut(&Situation) -> bool) -> Result<(), Ended> {
        self.situation.clone().wait_for(wanted).await.map(drop).map_err(|_| Ended)
    }

    /// The situation now.
    #[must_use]
    pub fn situation(&self) -> Situation {
        *self.situation.borrow()
    }

    /// Closes the connection and waits for the end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic of the task was reported already.
        let _ = (&mut self.task).await;
    }
}

struct Life {
    station: Station,
    settings: Settings,
    requests: mpsc::Receiver<Request>,
    situation: watch::Sender<Situation>,
    observer: Option<mpsc::Sender<Event>>,
    stop: CancellationToken,
}

impl Life {
    async fn run(mut self) {
        let mut backoff = self.settings.backoff;
        loop {
            let dial = Arc::new(self.dial());
            let Some(connected) = self.offline(async move { dial.connect().await }).await else { break };
            match connected {
                Ok(link) => {
                    self.station.connected(Instant::now());
                    let end = self.converse(link).await;
                    if self.station.is_accepted() {
                        backoff = self.settings.backoff;
                    }
                    self.station.disconnected(Instant::now(), end.to_string());
                    if matches!(end, End::Stopped) {
                        break;
                    }
                }
                Err(error) => self.not_connected(&error),
            }
            self.publish(false);
            // Spread, so that a thousand chargers do not come back in one moment.
            let wait = backoff.mul_f64(1.0 + f64::from(self.station.dice(500)) / 1000.0);
            if self.offline(sleep(wait)).await.is_none() {
                break;
            }
            backoff = (backoff * 2).min(BACKOFF.1.max(self.settings.backoff));
        }
        self.publish(false);
    }

    /// The password is the `AuthorizationKey` once the central system has set one: hex digits are its bytes.
    fn dial(&mut self) -> Dial {
        let mut dial = self.settings.dial.clone();
        let key = self.station.configuration().text("AuthorizationKey");
        if !key.is_empty() {
            dial.password = Some(hex(key).unwrap_or_else(|| key.as_bytes().to_vec()));
        }
        dial
    }

    fn not_connected(&mut self, error: &LinkError) {
        self.station.note(Event::NotConnected { why: error.to_string() });
    }

    /// Waits for something while there is no connection; `None` if the charger is to end.
    async fn offline<T>(&mut self, awaited: impl Future<Output = T>) -> Option<T> {
        let mut awaited = std::pin::pin!(awaited);
        loop {
            self.publish(false);
            let wake = self.station.wake();
            tokio::select! {
                done = &mut awaited => return Some(done),
                request = self.requests.recv() => match request? {
                    Request::Use(act) => act(&mut self.station, Instant::now()),
                    Request::Cut => {}
                },
                () = until(wake) => self.station.tick(Instant::now()),
                () = self.stop.cancelled() => return None,
            }
        }
    }

    /// Hands on what happened, and the situation.
    fn publish(&mut self, connected: bool) {
        let events = self.station.take_events();
        if !events.is_empty() {
            let at = self.station.time(Instant::now());
            for event in events {
                self.settings.journal.write(&at, &self.settings.dial.charger, &event);
                if let Some(observer) = &self.observer {
                    let _ = observer.try_send(event);
                }
            }
        }
        let situation = Situation {
            connected,
            accepted: self.station.is_accepted(),
            idle: self.station.is_idle(),
            unanswered: self.station.unanswered(),
        };
        self.situation.send_if_modified(|current| std::mem::replace(current, situation) != situation);
    }

    async fn converse(&mut self, link: Link) -> End {
        conversation::Conversation::new(self, link).run().await
    }
}

/// Waits until then, or for ever. A timer that is overdue still leaves its turn to the other branches.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The bytes of 32 to 40 hex digits.
fn hex(text: &str) -> Option<Vec<u8>> {
    if !(32..=40).contains(&text.len()) || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
