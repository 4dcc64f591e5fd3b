//! The simulator's charger on a central system that is not ours: PyPI `ocpp` 2.1.0 with websockets 17.4.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use simulator::charger::{Charger, Settings};
use simulator::link::Dial;
use tests::eventually;
use tests::servers::Servers;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = include_str!("../../clients/central_system.py");

/// The central system as a process.
struct CentralSystem {
    child: Child,
    input: ChildStdin,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    port: u16,
}

impl CentralSystem {
    async fn start(port: u16) -> Self {
        let mut child = Command::new(Servers::of_this_run().python)
            .args(["-c", PROGRAM, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                noted.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let mut central = Self { child, input, seen, port: 0 };
        let port = central.eventually("listens", |_| true).await;
        central.port = u16::try_from(port.as_u64().unwrap()).unwrap();
        central
    }

    /// What was taken under this name, in order.
    fn all(&self, name: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    async fn eventually(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(name, async || self.all(name).into_iter().find(|value| wanted(value))).await
    }

    /// Sends a CALL to the charger; returns the answer.
    async fn ask(&mut self, action: &str, arguments: Value) -> Value {
        let answers = self.all("answer").len();
        let line = format!("{}\n", json!([action, arguments]));
        self.input.write_all(line.as_bytes()).await.unwrap();
        eventually(action, async || self.all("answer").get(answers).cloned()).await
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    fn charger(&self, configuration: &[(&'static str, &str)]) -> Charger {
        let url = format!("ws://127.0.0.1:{}/ocpp", self.port).parse().unwrap();
        let mut settings =
            Settings::new(Dial { url, charger: "CP-1".to_owned(), password: None, source: None, tls: None });
        settings.backoff = Duration::from_millis(50);
        settings.configuration =
            configuration.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Charger::start(settings, None, &CancellationToken::new())
    }
}

async fn plug(charger: &Charger) {
    charger.with(|station, now| station.plug(1, now)).await.unwrap().unwrap();
}

async fn tap(charger: &Charger, tag: &'static str) {
    charger.with(move |station, now| station.tap(1, tag, now)).await.unwrap().unwrap();
}

async fn unplug(charger: &Charger) {
    charger.with(|station, now| station.unplug(1, now)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_charge_is_booted_authorized_started_metered_and_stopped() {
    let central = CentralSystem::start(0).await;
    let charger = central.charger(&[("MeterValueSampleInterval", "1")]);
    charger.until(|now| now.accepted && now.idle).await.unwrap();
    plug(&charger).await;
    tap(&charger, "CARD-1").await;
    let start = central.eventually("start", |_| true).await;
    assert_eq!((&start["id_tag"], &start["connector_id"]), (&json!("CARD-1"), &json!(1)));
    let meter = central.eventually("meter", |_| true).await;
    assert_eq!(meter["transaction_id"], start["number"]);
    unplug(&charger).await;
    let stop = central.eventually("stop", |_| true).await;
    assert_eq!((&stop["transaction_id"], &stop["reason"]), (&start["number"], &json!("EVDisconnected")));
    assert!(stop["meter_stop"].as_i64() >= start["meter_start"].as_i64());
    charger.until(|now| now.idle).await.unwrap();
    let statuses = central.all("status").into_iter().filter(|status| status["connector_id"] == 1);
    let statuses: Vec<Value> = statuses.map(|status| status["status"].clone()).collect();
    assert_eq!(statuses, ["Available", "Preparing", "Charging", "Finishing", "Available"]);
    charger.stop().await;
}

#[tokio::test]
async fn a_refused_card_starts_nothing() {
    let central = CentralSystem::start(0).await;
    let charger = central.charger(&[]);
    charger.until(|now| now.accepted && now.idle).await.unwrap();
    plug(&charger).await;
    tap(&charger, "STRANGER").await;
    central.eventually("authorize", |_| true).await;
    charger.until(|now| now.idle).await.unwrap();
    unplug(&charger).await;
    charger.until(|now| now.idle).await.unwrap();
    assert_eq!(central.all("start").len(), 0);
}

#[tokio::test]
async fn the_central_system_starts_stops_configures_and_resets() {
    let mut central = CentralSystem::start(0).await;
    let charger = central.charger(&[]);
    charger.until(|now| now.accepted && now.idle).await.unwrap();
    plug(&charger).await;
    let accepted = json!("Accepted");
    let started = central.ask("RemoteStartTransaction", json!({"id_tag": "REMOTE-1"})).await;
    assert_eq!(started["status"], accepted);
    let start = central.eventually("start", |start| start["id_tag"] == "REMOTE-1").await;
    charger.until(|now| now.idle).await.unwrap();
    let other = central.ask("RemoteStopTransaction", json!({"transaction_id": 7})).await;
    assert_eq!(other["status"], "Rejected");
    let stopped = central.ask("RemoteStopTransaction", json!({"transaction_id": start["number"]})).await;
    assert_eq!(stopped["status"], accepted);
    central.eventually("stop", |stop| stop["reason"] == "Remote").await;
    let changed = json!({"key": "HeartbeatInterval", "value": "77"});
    assert_eq!(central.ask("ChangeConfiguration", changed).await["status"], accepted);
    let known = central.ask("GetConfiguration", json!({"key": ["HeartbeatInterval", "Colour"]})).await;
    assert_eq!(
        (&known["configuration_key"][0]["value"], &known["unknown_key"]),
        (&json!("77"), &json!(["Colour"]))
    );
    for (action, arguments, status) in [
        ("UnlockConnector", json!({"connector_id": 1}), "Unlocked"),
        ("ClearCache", json!({}), "Accepted"),
        ("ChangeAvailability", json!({"connector_id": 0, "type": "Inoperative"}), "Accepted"),
        ("TriggerMessage", json!({"requested_message": "Heartbeat"}), "Accepted"),
        ("SendLocalList", json!({"list_version": 1, "update_type": "Full"}), "Accepted"),
        ("CancelReservation", json!({"reservation_id": 1}), "Rejected"),
        ("ClearChargingProfile", json!({}), "Unknown"),
        ("GetCompositeSchedule", json!({"connector_id": 1, "duration": 60}), "Accepted"),
        (
            "GetInstalledCertificateIds",
            json!({"certificate_type": "CentralSystemRootCertificate"}),
            "NotFound",
        ),
    ] {
        assert_eq!(central.ask(action, arguments).await["status"], status, "{action}");
    }
    assert_eq!(central.ask("GetLocalListVersion", json!({})).await["list_version"], 1);
    assert_eq!(central.ask("Reset", json!({"type": "Soft"})).await["status"], accepted);
    eventually("the second boot", async || (central.all("boot").len() == 2).then_some(())).await;
}

#[tokio::test]
async fn what_happens_offline_is_sent_afterwards_in_order_and_with_its_own_times() {
    let central = CentralSystem::start(0).await;
    let port = central.port;
    let charger = central.charger(&[("MeterValueSampleInterval", "1")]);
    charger.until(|now| now.accepted && now.idle).await.unwrap();
    // The card is known, so that the charger decides by itself.
    tap(&charger, "CARD-1").await;
    central.eventually("authorize", |_| true).await;
    charger.until(|now| now.idle).await.unwrap();
    central.kill().await;
    charger.until(|now| !now.connected).await.unwrap();
    plug(&charger).await;
    charger.until(|now| now.unanswered >= 2).await.unwrap();
    unplug(&charger).await;
    let kept = charger.situation();
    assert!(!kept.connected);
    let unplugged = charger.with(|station, now| station.time(now)).await.unwrap();
    let central = CentralSystem::start(port).await;
    let stop = central.eventually("stop", |_| true).await;
    let (starts, meters) = (central.all("start"), central.all("meter"));
    assert_eq!((starts.len(), central.all("stop").len()), (1, 1));
    assert!(!meters.is_empty());
    let order: Vec<String> = central.seen.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
    let place = |wanted: &str| order.iter().position(|name| name == wanted);
    assert!(place("start") < place("meter") && place("meter") < place("stop"), "{order:?}");
    assert_eq!(stop["transaction_id"], starts[0]["number"]);
    assert_eq!(meters[0]["transaction_id"], starts[0]["number"]);
    assert!(starts[0]["timestamp"].as_str() < stop["timestamp"].as_str());
    assert!(stop["timestamp"].as_str() <= Some(unplugged.as_str()), "{stop} {unplugged}");
}
