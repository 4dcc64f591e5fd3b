//! `voltgate charger`: lists, shows and adopts chargers, and shows their messages. It works on the database itself, also beside
//! services that run.

mod args;

use std::process::ExitCode;

use charging::accounts::audit::{self, Act};
use charging::chargers::messages::{self, Filter as MessageFilter, Message};
use charging::chargers::{self, Charger, inbox};
use charging::core_sync::{self, Subject};
use charging::stations::charging_stations::named::{self, Filter};
use charging::stations::charging_stations::{self, Connector, Station};
use charging::stations::{ChargerName, StationDraft, StationError};
use charging::{DatabaseConfig, Db, DbError, Tx};
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use uuid::Uuid;

pub(crate) use self::args::ChargerArgs;
use self::args::ChargerCommand;
use crate::terminal;

/// How the audit trail names what this command does.
const ACTOR: &str = "voltgate charger";
const PAGE: i64 = 500;

/// Why a command on chargers failed.
#[derive(Debug, thiserror::Error)]
enum ChargerError {
    #[error("there is no charger {0}")]
    Unknown(String),
    #[error("the station {0} has another charger")]
    Taken(Uuid),
    #[error(transparent)]
    Station(#[from] StationError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl charging::db::TxError for ChargerError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Station(error) => error.database(),
            Self::Unknown(_) | Self::Taken(_) => None,
        }
    }
}

/// The chargers of a database.
struct Chargers<'a> {
    db: &'a Db,
    config: &'a DatabaseConfig,
    as_json: bool,
}

pub(crate) async fn run(settings: &Settings, args: ChargerArgs) -> Result<ExitCode, Failure> {
    let without =
        "there is no database: name the data directory of `voltgate up` with --data, or set DATABASE_URL";
    let config =
        DatabaseConfig::from_settings(settings)?.ok_or_else(|| Failure::Usage(without.to_owned()))?;
    // `voltgate up` may own the directory.
    let db = config.open_beside().await?;
    let done = Chargers { db: &db, config: &config, as_json: args.json }.run(args.command).await;
    db.close().await;
    done
}

impl Chargers<'_> {
    async fn run(&self, command: ChargerCommand) -> Result<ExitCode, Failure> {
        let done = match command {
            ChargerCommand::List { unknown: true, .. } => self.unknown().await,
            ChargerCommand::List { online, offline, begins, .. } => {
                let online = (online || offline).then_some(online);
                let prefix = begins.filter(|text| !text.is_empty());
                self.list(&Filter { prefix, online, places: None }).await
            }
            ChargerCommand::Show { charger } => self.show(&charger).await,
            ChargerCommand::Messages { charger, action, direction, from, limit } => {
                let filter = MessageFilter { action, direction, from };
                self.messages(&charger, &filter, i64::from(limit)).await
            }
            ChargerCommand::Adopt { charger, location, station } => {
                self.adopt(&charger, location, station).await
            }
        };
        done.map(|()| ExitCode::SUCCESS).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ChargerError) -> Failure {
        match error {
            ChargerError::Database(error) | ChargerError::Station(StationError::Database(error)) => {
                Failure::Unreachable {
                    what: "the database (DATABASE_URL)",
                    at: self.config.url().to_string(),
                    why: error.to_string(),
                }
            }
            refused => Failure::Refused(refused.to_string()),
        }
    }

    fn heading(&self, text: &str) {
        if !self.as_json {
            let bold = terminal::bold();
            terminal::line(&format!("{bold}{text}{bold:#}"));
        }
    }

    async fn list(&self, filter: &Filter) -> Result<(), ChargerError> {
        self.heading(&row("charger", "state", "last seen", "vendor, model"));
        let mut after = String::new();
        loop {
            let page = self.db.read(async |tx| named::list(tx, filter, &after, PAGE).await).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.row.charger.clone().unwrap_or_default();
            for Station { row: station, .. } in page {
                let line = if self.as_json {
                    in_short(&station).to_string()
                } else {
                    let seen = station.last_seen.map(|at| at.to_string()).unwrap_or_default();
                    let kind = [station.vendor, station.model].into_iter().flatten().collect::<Vec<_>>();
                    let state = if station.online { "online" } else { "offline" };
                    row(&station.charger.unwrap_or_default(), state, &seen, &kind.join(", "))
                };
                if !terminal::line(&line) {
                    return Ok(());
                }
            }
        }
    }

    async fn unknown(&self) -> Result<(), ChargerError> {
        self.heading(&row("charger", "tries", "last seen", "address"));
        let mut after = String::new();
        loop {
            let page = self.db.read(async |tx| inbox::list(tx, &after, PAGE).await).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.name);
            for one in page {
                let (attempts, seen) = (one.attempts.to_string(), one.last_seen.to_string());
                let address = one.address.unwrap_or_default();
                let line = if self.as_json {
                    let object = json!({"charger": one.name, "attempts": one.attempts, "address": address,
                        "user_agent": one.user_agent, "subprotocols": one.subprotocols,
                        "first_seen": one.first_seen, "last_seen": one.last_seen});
                    object.to_string()
                } else {
                    row(&one.name, &attempts, &seen, &address)
                };
                if !terminal::line(&line) {
                    return Ok(());
                }
            }
        }
    }

    async fn show(&self, charger: &ChargerName) -> Result<(), ChargerError> {
        let found = self.db.read(async |tx| {
            let station = find(tx, charger).await?;
            let charger = chargers::find(tx, station.row.id).await?;
            Ok::<_, ChargerError>((station, charger))
        });
        let (station, charger) = found.await?;
        let object = in_full(&station, charger.as_ref());
        terminal::line(&if self.as_json { object.to_string() } else { format!("{object:#}") });
        Ok(())
    }

    async fn messages(
        &self,
        charger: &ChargerName,
        filter: &MessageFilter,
        limit: i64,
    ) -> Result<(), ChargerError> {
        let found = self.db.read(async |tx| {
            let station = find(tx, charger).await?;
            Ok::<_, ChargerError>(messages::list(tx, station.row.id, filter, Uuid::max(), limit).await?)
        });
        let found: Vec<Message> = found.await?;
        for one in found {
            let action = one.action.as_deref().unwrap_or("-");
            let line = if self.as_json {
                let object = json!({"id": one.id, "at": one.at, "direction": one.direction, "action": one.action,
                    "epoch": one.epoch, "size": one.size, "text": one.body});
                object.to_string()
            } else {
                format!("{} {:<3} {action} {}", one.at, one.direction.as_str(), one.body)
            };
            if !terminal::line(&line) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn adopt(
        &self,
        name: &ChargerName,
        location_id: Option<Uuid>,
        station: Option<Uuid>,
    ) -> Result<(), ChargerError> {
        let adopted = self.db.write(async |tx| {
            let existing = match station {
                Some(id) => charging_stations::find(tx, id).await?,
                None => None,
            };
            let charger = Some(name.clone());
            let adopted = match existing {
                Some(found) if found.row.charger.is_some() => return Err(ChargerError::Taken(found.row.id)),
                Some(found) => {
                    let location_id = location_id.or(found.row.location_id);
                    let draft = StationDraft { charger, location_id, ..found.draft() };
                    charging_stations::update(tx, found.row.id, found.row.version, &draft).await?
                }
                None => {
                    let draft = StationDraft {
                        id: station,
                        location_id,
                        charger,
                        name: None,
                        access: None,
                        tariff_id: None,
                        evses: None,
                    };
                    charging_stations::create(tx, &draft).await?
                }
            };
            let (id, data) = (adopted.row.id, json!({}));
            let act = Act {
                actor: ACTOR,
                action: "charger.adopted",
                subject: "station",
                subject_id: id,
                reason: None,
                data,
            };
            audit::write(tx, &act).await?;
            core_sync::attribute(tx, Subject::Station(id), ACTOR).await?;
            Ok::<_, ChargerError>(id)
        });
        let id = adopted.await?;
        terminal::line(&if self.as_json {
            json!({"charger": name, "station_id": id}).to_string()
        } else {
            format!("{} is adopted; its station is {id}", name.as_str())
        });
        Ok(())
    }
}

async fn find(tx: &mut Tx, charger: &ChargerName) -> Result<Station, ChargerError> {
    let found = charging_stations::by_charger(tx, charger.as_str()).await?;
    found.ok_or_else(|| ChargerError::Unknown(charger.as_str().to_owned()))
}

fn in_short(station: &charging_stations::StationRow) -> Value {
    json!({
        "charger": station.charger,
        "station_id": station.id,
        "location_id": station.location_id,
        "online": station.online,
        "last_seen": station.last_seen,
        "vendor": station.vendor,
        "model": station.model,
        "firmware": station.firmware,
    })
}

fn in_full(station: &Station, charger: Option<&Charger>) -> Value {
    let mut object = in_short(&station.row);
    object["terms"] = json!(charger.map(Charger::terms).unwrap_or_default());
    if let Some(charger) = charger {
        object["has_password"] = json!(charger.has_password);
        object["connected_at"] = json!(charger.connected_at);
        object["disconnected_at"] = json!(charger.disconnected_at);
        object["disconnect_reason"] = json!(charger.disconnect_reason);
        object["subprotocol"] = json!(charger.subprotocol);
        object["node"] = json!(charger.node_id);
        object["epoch"] = json!(charger.epoch);
        object["booted_at"] = json!(charger.booted_at);
        object["serial"] = json!(charger.charge_point_serial);
        object["clock_skew_ms"] = json!(charger.clock_skew_ms);
        object["leniencies"] = json!(charger.leniencies.0);
    }
    let connectors = station.evses.iter().flat_map(|evse| &evse.connectors);
    object["connectors"] = connectors.map(connector).collect();
    object
}

fn connector(connector: &Connector) -> Value {
    json!({"number": connector.number, "status": connector.status, "status_at": connector.status_at})
}

fn row(charger: &str, state: &str, seen: &str, more: &str) -> String {
    format!("{charger:<24} {state:<8} {seen:<24} {more}")
}
