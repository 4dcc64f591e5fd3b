//! The load client and the misbehaviour, on a central system of fixed answers in this process.
#![expect(clippy::unwrap_used, clippy::result_large_err, reason = "tests")]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use simulator::charger::{Charger, Settings};
use simulator::load::calls::{Action, Calls};
use simulator::load::sessions::Script;
use simulator::load::{Booted, Target, calls, listen, open, sessions, storm};
use simulator::misbehaviour::Misbehaviour;
use simulator::station::Model;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_util::sync::CancellationToken;

/// What the central system saw.
#[derive(Default)]
struct Seen {
    starts: AtomicI64,
    pongs: AtomicU64,
    calls: Mutex<Vec<(String, Value)>>,
    answers: Mutex<Vec<Value>>,
}

impl Seen {
    fn of(&self, action: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(known, _)| known == action).map(|(_, payload)| payload.clone()).collect()
    }
}

async fn central_system() -> (Target, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ocpp", listener.local_addr().unwrap()).parse().unwrap();
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&noted)));
        }
    });
    let (prefix, tag) = ("LOAD-".to_owned(), "TAG".to_owned());
    let (password, rate, pid) = (None, Some(1000.0), Some(std::process::id()));
    (Target { url, prefix, chargers: 20, sources: 4, password, tls: None, rate, tag, pid }, seen)
}

async fn serve(stream: TcpStream, seen: Arc<Seen>) {
    let mut asks = false;
    let accept = |request: &Request, mut response: Response| {
        asks = request.uri().path().contains("/ASKED-");
        response.headers_mut().insert("sec-websocket-protocol", "ocpp1.6".parse().unwrap());
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, accept).await.unwrap();
    let _ = socket.send(Message::Ping(Vec::new().into())).await;
    let mut running: Option<(Value, i64)> = None;
    let now = "2026-11-29T03:00:00.000Z";
    while let Some(Ok(message)) = socket.next().await {
        if message.is_pong() {
            seen.pongs.fetch_add(1, Ordering::SeqCst);
        }
        let Message::Text(text) = message else { continue };
        let Ok((_, id, action, payload)) = serde_json::from_str::<(u8, String, String, Value)>(&text) else {
            seen.answers.lock().unwrap().push(serde_json::from_str(&text).unwrap());
            continue;
        };
        let tag = json!({"status": "Accepted"});
        let answer = match action.as_str() {
            "BootNotification" => json!({"currentTime": now, "interval": 300, "status": "Accepted"}),
            "Heartbeat" => json!({"currentTime": now}),
            "Authorize" => json!({"idTagInfo": tag}),
            "StartTransaction" => {
                let repeated = running.take_if(|(start, _)| *start == payload);
                let new = || (payload.clone(), 1 + seen.starts.fetch_add(1, Ordering::SeqCst));
                let (_, id) = running.insert(repeated.unwrap_or_else(new));
                json!({"idTagInfo": tag, "transactionId": id})
            }
            "StopTransaction" => {
                running = None;
                json!({})
            }
            _ => json!({}),
        };
        let booted = action == "BootNotification";
        seen.calls.lock().unwrap().push((action, payload));
        if socket.send(Message::text(json!([3, id, answer]).to_string())).await.is_err() {
            return;
        }
        if booted && asks {
            // The load client waits for the boots of all chargers first.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let call = Message::text(r#"[2,"7","ClearCache",{}]"#);
            let _ = socket.send(call).await;
        }
    }
}

#[tokio::test]
async fn sockets_are_opened_held_and_asked() {
    let (target, _) = central_system().await;
    let report = open::run(&target, Duration::from_millis(10)).await;
    assert!(report.is_good(), "{report}");
    assert_eq!((report.sockets, report.latency["Heartbeat at the end"].count), (20, 20));
    assert!(report.server.unwrap().rss_kb_after > 0);
}

#[tokio::test]
async fn calls_are_counted_in_both_loops() {
    let (target, seen) = central_system().await;
    let duration = Duration::from_millis(500);
    let closed = Calls { action: Action::MeterValues, duration, per_second: None };
    let report = calls::run(&target, closed).await;
    assert!(report.is_good(), "{report}");
    assert_eq!(report.calls, seen.of("MeterValues").len() as u64);
    let at_a_rate = Calls { action: Action::Authorize, per_second: Some(200.0), ..closed };
    let report = calls::run(&target, at_a_rate).await;
    assert!(report.is_good(), "{report}");
    assert!((80..=110).contains(&report.calls), "{report}");
}

#[tokio::test]
async fn what_the_central_system_asks_is_noted_and_answered() {
    let (mut target, seen) = central_system().await;
    target.prefix = "ASKED-".to_owned();
    let (report, asked) = listen::listen(Booted::open(&target).await, Duration::from_secs(2)).await;
    assert!(report.is_good(), "{report}");
    assert_eq!((asked.len(), asked[0].id.as_str()), (20, "7"));
    let answers = seen.answers.lock().unwrap().clone();
    assert_eq!((answers.len(), &answers[0]), (20, &json!([3, "7", {"status": "Accepted"}])));
}

#[tokio::test]
async fn all_come_back_after_a_cut() {
    let (target, seen) = central_system().await;
    let report = storm::run(&target, 2).await;
    assert!(report.is_good(), "{report}");
    assert_eq!((report.calls, seen.of("BootNotification").len()), (40, 60));
}

#[tokio::test]
async fn each_start_of_a_session_is_answered_and_stopped() {
    let (target, seen) = central_system().await;
    let script = Script::load(Duration::from_millis(500), Model::default());
    let report = sessions::run(&target, &script, &CancellationToken::new()).await;
    assert!(report.is_good(), "{report}");
    assert_eq!(report.starts.len(), seen.of("StartTransaction").len());
    assert!(!report.starts.is_empty() && report.starts.iter().all(|start| start.meter_stop.is_some()));
}

#[tokio::test]
async fn an_unknown_host_is_an_error_of_the_report() {
    let (mut target, _) = central_system().await;
    (target.url, target.chargers) = ("ws://127.0.0.1:1/ocpp".parse().unwrap(), 2);
    let report = open::run(&target, Duration::ZERO).await;
    assert_eq!((report.is_good(), report.errors.values().sum::<u64>()), (false, 2), "{report}");
}

async fn one_charge(misbehaviours: &[Misbehaviour]) -> Arc<Seen> {
    let (target, seen) = central_system().await;
    let mut settings = Settings::new(target.dial(0));
    settings.model.misbehaviours = misbehaviours.to_vec();
    let charger = Charger::start(settings, None, &CancellationToken::new());
    charger.until(|now| now.accepted && now.idle).await.unwrap();
    charger.with(|station, now| station.plug(1, now)).await.unwrap().unwrap();
    charger.with(|station, now| station.tap(1, "TAG", now)).await.unwrap().unwrap();
    charger.until(|now| now.idle).await.unwrap();
    charger.with(|station, now| station.unplug(1, now)).await.unwrap().unwrap();
    charger.until(|now| now.idle).await.unwrap();
    charger.stop().await;
    seen
}

#[tokio::test]
async fn a_charger_misbehaves_as_asked_for() {
    use Misbehaviour::{DuplicateStart, Flood, MinusOneStop, NoOffset, NoPong, WrongClock};
    let well = one_charge(&[]).await;
    assert_eq!((well.of("StartTransaction").len(), well.of("Heartbeat").len()), (1, 0));
    assert_eq!(well.of("StopTransaction")[0]["transactionId"], 1);
    assert_eq!(well.pongs.load(Ordering::SeqCst), 1);
    let badly = one_charge(&[DuplicateStart, Flood, MinusOneStop, NoOffset, NoPong, WrongClock]).await;
    let starts = badly.of("StartTransaction");
    assert_eq!((starts.len(), &starts[0]), (2, &starts[1]));
    let all = async {
        while badly.of("Heartbeat").len() < 128 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("two floods of 64");
    assert_eq!(badly.of("StopTransaction")[0]["transactionId"], -1);
    let time = starts[0]["timestamp"].as_str().unwrap();
    assert!(time.starts_with("2000-01-01T") && !time.ends_with('Z'), "{time}");
    assert_eq!(badly.pongs.load(Ordering::SeqCst), 0);
}
