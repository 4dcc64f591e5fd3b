//! The end of the demonstration: a simulated charger boots, asks for its driver, charges for an hour within a second, and
//! stops.

use std::net::SocketAddr;
use std::time::Duration;

use charging::Db;
use charging::sessions::{self, Session};
use charging::stations::{StationDraft, StationError, charging_stations};
use charging::tokens::{self, TokenDraft};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use simulator::charger::{Charger, Settings};
use simulator::event::Event;
use simulator::link::Dial;
use simulator::station::Station;
use simulator::station::sessions::NotPossible;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{ADMITTED, LIMIT, STATION, Stage};
use crate::terminal;

const CHARGER: &str = "CP-1";
const CARD: &str = "CARD-1";
/// An hour of charging takes a second.
const SPEED: u32 = 3600;
/// Between two meter values, by the charger's time.
const SAMPLE_SECS: u32 = 900;
const SAMPLES: usize = 4;
/// What the charger does from its boot to its stop is far less.
const EVENTS: usize = 1024;

/// The simulated charger, and what it says and hears.
struct Simulated {
    charger: Charger,
    events: mpsc::Receiver<Event>,
}

impl Stage {
    /// Charges at the station of the decisions, with a card of the driver who was admitted.
    pub(super) async fn charge(&mut self, db: &Db, gateway: SocketAddr) -> Result<(), Failure> {
        let began = Instant::now();
        adopt(db).await?;
        self.tell("adopt a charger for the station, and a card for the driver", began.elapsed());
        self.note(&format!("charger {CHARGER}; card {CARD}, accepted also while acl-service is away"));
        let mut simulated = Simulated::start(gateway)?;
        let charged = self.session(&mut simulated, db).await;
        simulated.charger.stop().await;
        charged
    }

    async fn session(&mut self, simulated: &mut Simulated, db: &Db) -> Result<(), Failure> {
        let (boot, took) = simulated.answer("BootNotification").await?;
        self.tell("the charger connects to ocpp-gateway: BootNotification", took);
        let registration = boot["status"].as_str().unwrap_or_default();
        self.note(&format!("{registration}, a heartbeat every {} s", boot["interval"]));
        simulated.with(|station, now| station.plug(1, now)).await?;
        simulated.with(|station, now| station.tap(1, CARD, now)).await?;
        let (decided, took) = simulated.answer("Authorize").await?;
        self.tell(&format!("the driver plugs in and taps {CARD}: Authorize"), took);
        self.note("acl-service is still stopped: the card decides, within the time limit");
        accepted(&decided)?;
        let charging = Instant::now();
        let (started, took) = simulated.answer("StartTransaction").await?;
        accepted(&started)?;
        let number = started["transactionId"].as_i64().ok_or_else(|| unexpected(&started))?;
        self.tell("it charges: StartTransaction", took);
        self.note(&format!("transaction {number}, stored before it was answered"));
        for _ in 0..SAMPLES {
            simulated.answer("MeterValues").await?;
        }
        self.tell(
            &format!("an hour at {SPEED} times the speed: {SAMPLES} × MeterValues"),
            charging.elapsed(),
        );
        simulated.with(|station, now| station.unplug(1, now)).await?;
        let (_, took) = simulated.answer("StopTransaction").await?;
        self.tell("the driver unplugs: StopTransaction", took);
        let session = db.read(async |tx| sessions::by_number(tx, number).await).await;
        let session = session.map_err(Failure::broken)?;
        let session =
            session.ok_or_else(|| Failure::broken(format!("transaction {number} is not on record")))?;
        self.on_record(&session)
    }

    fn on_record(&self, session: &Session) -> Result<(), Failure> {
        let energy = session.energy_wh.filter(|_| session.ended_at.is_some() && session.anomalies.is_empty());
        let energy = energy.ok_or_else(|| {
            Failure::broken(format!("transaction {} has not ended as it should", session.number))
        })?;
        let (good, state) = (terminal::good(), session.state.as_str());
        println!("      on record: {good}{state}, {}.{:02} kWh{good:#}", energy / 1000, energy % 1000 / 10);
        self.note(&format!("in a running system: GET /api/v1/transactions/{}", session.id));
        Ok(())
    }
}

impl Simulated {
    fn start(gateway: SocketAddr) -> Result<Self, Failure> {
        let url = format!("ws://{gateway}/ocpp").parse().map_err(Failure::broken)?;
        let mut settings =
            Settings::new(Dial { url, charger: CHARGER.to_owned(), password: None, source: None, tls: None });
        settings.model.speed = SPEED;
        settings.configuration = vec![("MeterValueSampleInterval", SAMPLE_SECS.to_string())];
        let (observer, events) = mpsc::channel(EVENTS);
        let charger = Charger::start(settings, Some(observer), &CancellationToken::new());
        Ok(Self { charger, events })
    }

    async fn with(
        &self,
        act: impl FnOnce(&mut Station, Instant) -> Result<(), NotPossible> + Send + 'static,
    ) -> Result<(), Failure> {
        self.charger.with(act).await.map_err(Failure::broken)?.map_err(Failure::broken)
    }

    /// The next answer to such a message, and how long it took.
    async fn answer(&mut self, wanted: &str) -> Result<(Value, Duration), Failure> {
        let answered = timeout(LIMIT, self.next_answer(wanted)).await;
        answered.unwrap_or_else(|_| Err(Failure::broken(format!("no answer to {wanted} within {LIMIT:?}"))))
    }

    async fn next_answer(&mut self, wanted: &str) -> Result<(Value, Duration), Failure> {
        loop {
            match self.events.recv().await {
                Some(Event::Received { action, kind, payload, took_us: Some(took) }) if action == wanted => {
                    return match kind.as_str() {
                        "result" => Ok((payload, Duration::from_micros(took))),
                        _ => Err(Failure::broken(format!("{action} was answered {kind}: this is a defect"))),
                    };
                }
                Some(Event::NotConnected { why } | Event::Disconnected { why }) => {
                    return Err(Failure::broken(format!("the charger has no connection: {why}")));
                }
                Some(_) => {}
                None => return Err(Failure::broken("the charger has ended")),
            }
        }
    }
}

fn accepted(answer: &Value) -> Result<(), Failure> {
    if answer["idTagInfo"]["status"] == "Accepted" { Ok(()) } else { Err(unexpected(answer)) }
}

fn unexpected(answer: &Value) -> Failure {
    Failure::broken(format!("the charger was answered {answer}: this is a defect"))
}

async fn adopt(db: &Db) -> Result<(), Failure> {
    let station: StationDraft = draft(json!({"id": STATION, "charger": CHARGER}))?;
    let created: Result<_, StationError> =
        db.write(async |tx| charging_stations::create(tx, &station).await).await;
    created.map_err(Failure::broken)?;
    let card: TokenDraft =
        draft(json!({"id_tag": CARD, "driver_token": ADMITTED, "whitelist": "allowed_offline"}))?;
    let created = db.write(async |tx| tokens::create(tx, &card, None).await).await;
    created.map_err(Failure::broken)?;
    Ok(())
}

fn draft<T: DeserializeOwned>(document: Value) -> Result<T, Failure> {
    serde_json::from_value(document).map_err(Failure::broken)
}
