//! `voltgate demo`: runs the whole system in a temporary directory, sends one request for each of the four decisions, and
//! lets a charger charge.

mod charger;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use authorization::settings::BROKER_URL;
use charging::settings::DATABASE_URL;
use common::decision::Decision;
use ocpp_gateway::settings::{OCPP_AUTHORIZE_TIMEOUT_SEC, OCPP_PORT};
use platform_api::settings::PLATFORM_API_PORT;
use public_api::settings::{AUTHORIZATION_TIMEOUT_SEC, PUBLIC_API_PORT};
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use service_runtime::settings::{AUTHORIZATION_SERVICE_PORT, SHUTDOWN_GRACE_SEC, Settings};
use store::settings::REDIS_URL;
use tokio_util::sync::CancellationToken;

use crate::callback_receiver::CallbackReceiver;
use crate::client::Service;
use crate::places::embedded;
use crate::terminal;
use crate::up::System;

const STATION: &str = "123e4567-e89b-12d3-a456-426614174000";
const ADMITTED: &str = "sample-driver-token-0001";
const STRANGER: &str = "sample-driver-token-0002";
const MALFORMED: &str = "short";
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let directory =
        tempfile::tempdir().map_err(|error| Failure::broken(format!("no temporary directory: {error}")))?;
    let started = Instant::now();
    // It ignores the machine's own settings: the demonstration is the same everywhere.
    let place = embedded(directory.path())?;
    let settings = settings.only_logging().with([
        (&BROKER_URL, place.clone()),
        (&REDIS_URL, place.clone()),
        (&DATABASE_URL, place),
        (&PLATFORM_API_PORT, "0".to_owned()),
        (&OCPP_PORT, "0".to_owned()),
        (&PUBLIC_API_PORT, "0".to_owned()),
        (&AUTHORIZATION_SERVICE_PORT, "0".to_owned()),
        (&AUTHORIZATION_TIMEOUT_SEC, "1".to_owned()),
        (&OCPP_AUTHORIZE_TIMEOUT_SEC, "1".to_owned()),
        // Less than a second: acl-service closes connections at once when it is stopped.
        (&SHUTDOWN_GRACE_SEC, "0.9".to_owned()),
    ]);
    let system = System::build(&settings).await?;
    let mut stage = Stage {
        api: Service::public_api(&settings, Some(&format!("http://{}", system.api_address())))?,
        acl: Service::acl(&settings, Some(&format!("http://{}", system.acl_address())))?,
        acl_port: system.acl_address().port(),
        receiver: CallbackReceiver::start(Ipv4Addr::LOCALHOST.into())?,
        step: 0,
    };
    let (db, gateway) = (system.db().clone(), system.gateway_address());
    let (shutdown, acl_stops) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(system.run_with_acl_until(shutdown.clone(), acl_stops.clone()));
    let shown = stage.show(started, acl_stops, directory.path()).await;
    let shown = match shown {
        Ok(()) => stage.charge(&db, gateway).await,
        Err(failure) => Err(failure),
    };
    if shown.is_ok() {
        conclude();
    }
    shutdown.cancel();
    let stopped = running.await.map_err(Failure::broken)?;
    // Last, so that late callbacks are still answered.
    stage.receiver.stop().await;
    shown.and(stopped)
}

/// The parts that the demonstration uses.
struct Stage {
    api: Service,
    acl: Service,
    acl_port: u16,
    receiver: CallbackReceiver,
    step: u32,
}

impl Stage {
    async fn show(
        &mut self,
        started: Instant,
        acl_stops: CancellationToken,
        directory: &std::path::Path,
    ) -> Result<(), Failure> {
        println!("Voltgate: may this driver charge at this station?\n");
        let place = directory.display();
        self.tell("start all five services in one process", started.elapsed());
        self.note(&format!("no server needed: queue, store and database are SQLite files in {place}"));
        self.admit().await?;
        self.ask("the driver who was admitted", ADMITTED, Decision::Allowed).await?;
        self.ask("a driver without an entry", STRANGER, Decision::NotAllowed).await?;
        self.ask("a malformed driver token", MALFORMED, Decision::Invalid).await?;
        let stopping = Instant::now();
        acl_stops.cancel();
        self.acl_is_gone().await;
        self.tell("stop acl-service, so that no access check can be answered", stopping.elapsed());
        self.ask("the admitted driver again", ADMITTED, Decision::Unknown).await
    }

    /// Waits until acl-service takes no more connections: it stops a moment after it was asked to.
    async fn acl_is_gone(&self) {
        let (host, port) = (Ipv4Addr::LOCALHOST, self.acl_port);
        let gone = async {
            while tokio::net::TcpStream::connect((host, port)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(LIMIT, gone).await;
    }

    async fn admit(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let (http, url) = self.acl.url(&["station", STATION, "driver", ADMITTED, "acl"]);
        let answer: Value = self.acl.send(http.put(url)).await?;
        self.tell("add a driver to the station's access list", began.elapsed());
        self.note(&format!("PUT /station/…/driver/{ADMITTED}/acl → {answer}"));
        Ok(())
    }

    async fn ask(&mut self, who: &str, token: &str, expected: Decision) -> Result<(), Failure> {
        let name = format!("{expected}");
        let body = json!({ "callback_url": self.receiver.url(&name) });
        let began = Instant::now();
        let (http, url) = self.api.url(&["station", STATION, "driver", token, "authorize"]);
        let accepted: Value = self.api.send(http.post(url).json(&body)).await?;
        let answered = began.elapsed();
        let received = tokio::time::timeout(LIMIT, self.receiver.next(&name)).await.ok().flatten();
        let total = began.elapsed();
        let received =
            received.ok_or_else(|| Failure::broken(format!("no callback within {LIMIT:?} for {who}")))?;
        self.tell(&format!("ask about {who}"), total);
        let id = accepted["request_id"].as_str().unwrap_or("?");
        self.note(&format!("202 accepted after {}, request {id}", milliseconds(answered)));
        let style = if received.status == expected { terminal::good() } else { terminal::bad() };
        let status = received.status;
        println!("      callback after {}: {style}{status}{style:#}", milliseconds(total));
        if status == expected {
            Ok(())
        } else {
            Err(Failure::broken(format!("expected {expected} but got {status}: this is a defect")))
        }
    }

    fn tell(&mut self, what: &str, took: Duration) {
        self.step += 1;
        let bold = terminal::bold();
        println!("{bold}{:>3}. {what:<58}{bold:#} {:>10}", self.step, milliseconds(took));
    }

    fn note(&self, text: &str) {
        let faint = terminal::faint();
        println!("      {faint}{text}{faint:#}");
    }
}

fn conclude() {
    let good = terminal::good();
    println!(
        "\n{good}All four decisions were made, recorded and called back, and a charger has charged.{good:#}"
    );
    let program = std::env::args().next().unwrap_or_else(|| "voltgate".to_owned());
    println!("Next, run it yourself:\n");
    println!("  {program} up &");
    println!("  {program} acl allow {STATION} {ADMITTED}");
    println!("  {program} authorize {STATION} {ADMITTED}");
    println!("  {program} charger adopt CP-1");
    println!("  {program} simulate --charger CP-1");
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
