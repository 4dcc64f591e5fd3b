//! How a command is sent: it is stored, and the gateway that holds the charger's socket takes it. Its end may be waited for.

use std::time::Duration;

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev};
use charging::chargers::commands::{self, Command, NewCommand};
use charging::idempotency;
use charging::stations::charging_stations::Station;
use charging::{Db, Tx};
use http_server::{Problem, body, caller};
use ocpp::v16::to_charger::ToCharger;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use uuid::Uuid;

use super::view::{AcceptedCommand, EndedCommand};
use crate::auth::MAX_BODY;
use crate::chargers::reached;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::permissions::{self, Reach, actor};
use crate::{answer, idempotent};

/// A request may wait for an answer this long, and then some.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(45);
const MAX_WAIT_SEC: u32 = 30;
const MAX_WAIT_FOR_CHARGER_SEC: u32 = 86_400;
const MAX_TIMEOUT_SEC: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A body that requests something of a charger.
pub(super) trait Operation: DeserializeOwned {
    /// What is sent.
    type Request: ToCharger;

    /// How long what is waited for.
    fn options(&self) -> Result<Options, Problem>;

    /// The request for this charger.
    async fn request(&self, tx: &mut Tx, station: &Station) -> Result<Self::Request, ApiError>;
}

/// How long what is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// How long the charger may take.
    limit: Duration,
    /// How long a charger that is not connected is waited for.
    for_charger: Option<Duration>,
    /// How long the request waits for the result.
    pub(super) for_result: Option<Duration>,
}

/// A request that sends a command.
pub(crate) struct Sending {
    db: Data<Db>,
    live: Data<Live>,
    request: HttpRequest,
    body: Bytes,
}

/// What became of a command while its request waited.
pub(super) enum Sent {
    /// It has ended.
    Ended(Box<Command>),
    /// It goes on; this is the answer to its request.
    GoesOn(idempotency::Answer),
}

impl Options {
    pub(super) fn of(
        timeout_sec: Option<u32>,
        wait_for_charger_sec: Option<u32>,
        wait_sec: Option<u32>,
    ) -> Result<Self, Problem> {
        let within = |name: &'static str, given: Option<u32>, least, most| match given {
            Some(given) if !(least..=most).contains(&given) => {
                Err(Problem::invalid(name, format!("expected {least} to {most}")))
            }
            given => Ok(given.map(|given| Duration::from_secs(given.into()))),
        };
        Ok(Self {
            limit: within("timeout_sec", timeout_sec, 1, MAX_TIMEOUT_SEC)?.unwrap_or(Duration::from_secs(30)),
            for_charger: within("wait_for_charger_sec", wait_for_charger_sec, 0, MAX_WAIT_FOR_CHARGER_SEC)?
                .filter(|wait| !wait.is_zero()),
            for_result: within("wait_sec", wait_sec, 0, MAX_WAIT_SEC)?,
        })
    }
}

impl Sending {
    /// Reads the request.
    pub(super) async fn of(request: HttpRequest, payload: Payload) -> Result<Self, ApiError> {
        let none = &mut dev::Payload::None;
        let missing = |_| Problem::internal("the service is not complete");
        let db = Data::<Db>::from_request(&request, none).await.map_err(missing)?;
        let live = Data::<Live>::from_request(&request, none).await.map_err(missing)?;
        let body = body::read(&request, payload, MAX_BODY).await?;
        Ok(Self { db, live, request, body })
    }

    /// Sends it, and answers.
    pub(super) async fn answer<O: Operation>(self, route: &'static str) -> Answer {
        Ok(match self.send::<O>(route).await? {
            Sent::Ended(command) => HttpResponse::Ok().json(EndedCommand::from(*command)),
            Sent::GoesOn(accepted) => answer::repeat(&accepted),
        })
    }

    /// Stores the command once for each idempotency key, and waits for its end if that is wanted.
    pub(super) async fn send<O: Operation>(&self, route: &'static str) -> Result<Sent, ApiError> {
        let parsed = body::document::<O>(&self.body);
        let parsed = parsed.and_then(|operation| Ok((operation.options()?, operation)));
        let charger = self.request.match_info().query("charger");
        // One key is of one charger.
        let distinct = [charger.as_bytes(), b"\n", &self.body[..]].concat();
        let caller = caller(&self.request);
        let (reach, actor) = (Reach::of(&caller, permissions::COMMAND_CHARGERS), actor(&caller));
        let stored =
            idempotent::answered(&self.db, &self.live, &self.request, route, &distinct, async |tx| {
                let station = reached(tx, charger, &reach).await?;
                let (options, operation) = parsed.as_ref().map_err(Clone::clone)?;
                let request = operation.request(tx, &station).await?;
                store(tx, &station, &request, options, &actor).await
            });
        let accepted = stored.await?;
        let wait = parsed.ok().and_then(|(options, _)| options.for_result);
        let (Some(wait), Some(id)) = (wait, command_id(&accepted)) else { return Ok(Sent::GoesOn(accepted)) };
        Ok(match ended(&self.db, id, wait).await? {
            Some(command) => Sent::Ended(Box::new(command)),
            None => Sent::GoesOn(accepted),
        })
    }
}

async fn store<T: ToCharger>(
    tx: &mut Tx,
    station: &Station,
    request: &T,
    options: &Options,
    actor: &str,
) -> Result<idempotency::Answer, ApiError> {
    if !station.row.online && options.for_charger.is_none() {
        return Err(Problem::charger_offline().into());
    }
    let command = NewCommand {
        station_id: station.row.id,
        charger: station.row.charger.as_deref().unwrap_or_default(),
        action: T::ACTION,
        payload: serde_json::to_value(request).unwrap_or_default(),
        limit: options.limit,
        wait: options.for_charger,
        actor: Some(actor),
    };
    let command_id = commands::create(tx, &command).await?;
    let message = format!("{} is sent to the charger", T::ACTION);
    let accepted = AcceptedCommand { status: "accepted", message, command_id };
    Ok(idempotency::Answer {
        status: 202,
        headers: serde_json::json!({"location": format!("/api/v1/commands/{command_id}")}),
        body: serde_json::to_string(&accepted).unwrap_or_default(),
    })
}

/// The id in an answer that may be a repeat.
fn command_id(accepted: &idempotency::Answer) -> Option<Uuid> {
    accepted.headers.get("location")?.as_str()?.rsplit('/').next()?.parse().ok()
}

/// The command once it has ended; `None` if it goes on for longer than this.
async fn ended(db: &Db, id: Uuid, limit: Duration) -> Result<Option<Command>, ApiError> {
    let until = Instant::now() + limit;
    loop {
        let command = db.read(async |tx| commands::find(tx, id).await).await?;
        match command {
            Some(command) if command.ended_at.is_some() => return Ok(Some(command)),
            Some(_) if Instant::now() < until => tokio::time::sleep(LOOK_EVERY).await,
            _ => return Ok(None),
        }
    }
}
