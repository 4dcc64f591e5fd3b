//! Simulated chargers whose every transaction message is noted, and an oracle that compares the notes with the store.

pub mod ledger;
pub mod oracle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use charging::{Db, DbError, Tx};
use serde_json::json;
use simulator::charger::{Charger, Settings, Situation};
use simulator::event::Event;
use simulator::link::Dial;
use simulator::misbehaviour::Misbehaviour;
use simulator::station::Model;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::PATIENCE;
use ledger::Ledger;

/// The events of one charger that are not noted yet. A charger has one CALL out at a time.
const EVENTS: usize = 4_096;
/// So often that no message is given up in a run.
const ATTEMPTS: u32 = 1_000_000;

/// A charger, its notes, and the station that it is.
#[derive(Debug)]
pub struct Noted {
    /// Its name.
    pub name: String,
    /// Its station.
    pub station: Uuid,
    settings: Settings,
    notes: Arc<Mutex<Ledger>>,
    /// `None` only while it is replaced.
    running: Option<(Charger, JoinHandle<()>)>,
}

impl Noted {
    /// The settings of a charger that keeps trying, fast.
    pub fn settings(url: &str, name: &str, seed: u64) -> Settings {
        let url = format!("{url}/ocpp").parse().expect("the URL of a gateway");
        let dial = Dial { url, charger: name.to_owned(), password: None, source: None, tls: None };
        let model = Model { seed, speed: 3600, ..Model::default() };
        Settings {
            model,
            answer_limit: Duration::from_secs(5),
            backoff: Duration::from_millis(200),
            configuration: vec![
                ("TransactionMessageAttempts", ATTEMPTS.to_string()),
                ("TransactionMessageRetryInterval", "1".to_owned()),
                ("AllowOfflineTxForUnknownId", "true".to_owned()),
            ],
            ..Settings::new(dial)
        }
    }

    /// Switches a charger on.
    pub fn start(station: Uuid, settings: Settings) -> Self {
        let name = settings.dial.charger.clone();
        let wrong_clock = settings.model.misbehaviours.contains(&Misbehaviour::WrongClock);
        let mut noted = Self { name, station, settings, notes: Arc::default(), running: None };
        noted.notes().wrong_clock = wrong_clock;
        noted.switch_on();
        noted
    }

    fn switch_on(&mut self) {
        let (observer, events) = mpsc::channel(EVENTS);
        let charger = Charger::start(self.settings.clone(), Some(observer), &CancellationToken::new());
        self.running = Some((charger, tokio::spawn(note(events, Arc::clone(&self.notes)))));
    }

    /// The charger itself.
    pub fn charger(&self) -> &Charger {
        &self.running.as_ref().expect("it is replaced only with `&mut`").0
    }

    /// Loses its memory and its meters, as a charger that was exchanged.
    pub async fn replace(&mut self) {
        self.switch_off().await;
        self.notes().forget();
        // Another meter, and other message ids.
        self.settings.model.seed = self.settings.model.seed.wrapping_add(1_000_000);
        self.switch_on();
    }

    /// Switches it off, and returns when everything is noted.
    pub async fn switch_off(&mut self) {
        let Some((charger, noting)) = self.running.take() else { return };
        charger.stop().await;
        noting.await.expect("noting does not fail");
    }

    /// What it does wrong.
    pub fn misbehaves(&self, misbehaviour: Misbehaviour) -> bool {
        self.settings.model.misbehaviours.contains(&misbehaviour)
    }

    /// How it connects.
    pub fn dial(&self) -> &Dial {
        &self.settings.dial
    }

    /// Its notes.
    pub fn notes(&self) -> MutexGuard<'_, Ledger> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugs a car in and holds a card to the reader.
    pub async fn plug_and_tap(&self, tag: &str) {
        let tag = tag.to_owned();
        let acting = self.charger().with(move |station, now| {
            // A car that is there already charges on.
            let _ = station.plug(1, now);
            let _ = station.tap(1, &tag, now);
        });
        acting.await.expect("the charger runs");
    }

    /// Unplugs the car, if there is one.
    pub async fn unplug(&self) {
        let acting = self.charger().with(|station, now| station.unplug(1, now));
        // It is no error where there is none.
        let _ = acting.await.expect("the charger runs");
    }

    /// Waits for a situation; fails with `what` if it does not come.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Situation) -> bool) {
        let waiting = self.charger().until(wanted);
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{}: waited in vain for {what}", self.name)).expect("it runs");
    }
}

async fn note(mut events: mpsc::Receiver<Event>, notes: Arc<Mutex<Ledger>>) {
    while let Some(event) = events.recv().await {
        notes.lock().unwrap_or_else(PoisonError::into_inner).note(event, Instant::now());
    }
}

/// Creates a station for each name.
pub async fn adopt(db: &Db, names: &[String]) -> Vec<Uuid> {
    let adopted: Result<Vec<Uuid>, charging::stations::StationError> = db
        .write(async |tx: &mut Tx| {
            let mut stations = Vec::new();
            for name in names {
                let draft = serde_json::from_value(json!({"charger": name})).expect("a station");
                let created = charging::stations::charging_stations::create(tx, &draft).await?;
                stations.push(created.row.id);
            }
            Ok(stations)
        })
        .await;
    adopted.expect("the stations are created")
}

/// The connected chargers, with the number of their connections and the node that holds them.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn online(db: &Db) -> Result<Vec<(Uuid, i64, Option<Uuid>)>, DbError> {
    db.read(async |tx| {
        let Tx::Pg(tx) = tx else { panic!("it is PostgreSQL") };
        let query = "SELECT c.station_id, c.epoch, c.node_id FROM chargers c JOIN stations s ON s.id = c.station_id \
                     WHERE s.online";
        Ok(sqlx::query_as(query).fetch_all(&mut **tx).await?)
    })
    .await
}
