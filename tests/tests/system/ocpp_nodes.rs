//! Several gateways: the newest connection is the charger, a silent one is offline, and a gateway may die.

use std::time::{Duration, Instant};

use charging::chargers::commands::CommandState;
use charging::sessions::SessionState;
use serde_json::json;

use super::ocpp::{Gateway, Handshake, Socket, start, stop};

/// How much longer a busy machine may take.
const SLACK: Duration = Duration::from_secs(4);

#[tokio::test]
async fn the_newest_connection_is_the_charger_on_whichever_node() {
    let gateway = Gateway::start(&[]).await;
    let (_second, second_url) = gateway.deployment.start_gateway().await;
    let (station, mut first) = gateway.booted("CP-1").await;
    let mut newest = gateway.connect("CP-1").await;
    assert_eq!(first.closed().await, Some(1008));
    for round in 0..3 {
        let url = if round % 2 == 0 { &second_url } else { &gateway.url };
        let mut next = Socket::open(url, "CP-1").await;
        assert_eq!(newest.closed().await, Some(1008), "{round}");
        next.is_alive().await;
        newest = next;
    }
    assert!(gateway.is_online(station).await);
    newest.is_alive().await;
    let before = gateway.charger(station).await;
    assert_eq!((before.epoch, before.disconnected_at), (5, None));
}

#[tokio::test]
async fn a_silent_charger_is_dropped_and_one_that_only_calls_is_not() {
    let gateway = Gateway::start(&[("OCPP_PING_SEC", "1"), ("OCPP_HEARTBEAT_SEC", "10")]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    // Answers pings while it listens.
    assert_eq!(socket.hear_within(Duration::from_millis(2_500)).await, None);
    let began = Instant::now();
    let (talking, mut talks) = gateway.booted("CP-2").await;
    while gateway.is_online(station).await {
        assert!(began.elapsed() < Duration::from_secs(12) + SLACK, "the silent charger is still online");
        talks.is_alive().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(gateway.charger(station).await.disconnect_reason.as_deref(), Some("silent"));
    assert!(gateway.is_online(talking).await);
}

#[tokio::test]
async fn after_kill_9_the_chargers_are_offline_within_15_seconds_and_nothing_is_lost() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_second, second_url) = gateway.deployment.start_gateway().await;
    let (lost, mut socket) = gateway.booted("CP-1").await;
    let started = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
    let kept = gateway.station("CP-2").await;
    let mut other = Socket::open(&second_url, "CP-2").await;
    let Gateway { process, db, deployment, acl_url, _acl, .. } = gateway;
    process.kill().await;
    let began = Instant::now();
    let (process, url) = deployment.start_gateway().await;
    let gateway = Gateway { process, url, db, deployment, acl_url, _acl };
    gateway.online_is(lost, false).await;
    assert!(began.elapsed() < Duration::from_secs(15) + SLACK, "{:?}", began.elapsed());
    assert_eq!(gateway.charger(lost).await.disconnect_reason.as_deref(), Some("node_lost"));
    other.is_alive().await;
    assert!(gateway.is_online(kept).await);
    let mut back = gateway.connect("CP-1").await;
    assert_eq!(back.call("StartTransaction", start("2026-11-01T10:00:00Z")).await, started);
    let end = stop(&started["transactionId"], "2026-11-01T11:00:00Z");
    assert_eq!(back.call("StopTransaction", end).await, json!({}));
    let sessions = gateway.sessions().await;
    assert_eq!((sessions.len(), sessions[0].state), (1, SessionState::Completed));
}

#[tokio::test]
async fn a_gateway_that_stops_closes_with_1001_and_leaves_no_charger_online() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let Gateway { process, db, deployment, url, acl_url, _acl } = gateway;
    let (code, stopped) = tokio::join!(socket.closed(), process.stop());
    assert_eq!((code, stopped), (Some(1001), Some(0)));
    let (process, _) = deployment.start_gateway().await;
    let gateway = Gateway { process, url, db, deployment, acl_url, _acl };
    assert!(!gateway.is_online(station).await);
}

#[tokio::test]
async fn after_kill_9_of_the_only_gateway_platform_api_notes_its_chargers_as_offline_and_ends_commands() {
    let gateway = Gateway::start(&[]).await;
    let (_platform, _) = gateway.deployment.start_platform().await;
    let (station, _socket) = gateway.booted("CP-1").await;
    let Gateway { process, db, deployment, url, acl_url, _acl } = gateway;
    let began = Instant::now();
    process.kill().await;
    // It is not running any more; only its parts are used.
    let (process, _) = deployment.clone().start_acl().await;
    let gateway = Gateway { process, url, db, deployment, acl_url, _acl };
    let limit = Duration::from_secs(30);
    let command = gateway.command(station, "ClearCache", json!({}), limit).await;
    gateway.online_is(station, false).await;
    assert!(began.elapsed() < Duration::from_secs(15) + SLACK, "{:?}", began.elapsed());
    assert_eq!(gateway.charger(station).await.disconnect_reason.as_deref(), Some("node_lost"));
    gateway.command_is(command, CommandState::Offline).await;
}

#[tokio::test]
async fn a_gateway_that_stops_spreads_the_ends_of_its_sockets_and_waits_for_commands() {
    let gateway = Gateway::start(&[("SHUTDOWN_GRACE_SEC", "8")]).await;
    let (station, mut commanded) = gateway.booted("CP-1").await;
    let mut others = Vec::new();
    for number in 2..=41 {
        others.push(gateway.booted(&format!("CP-{number}")).await.1);
    }
    let id = gateway.command(station, "ClearCache", json!({}), Duration::from_secs(30)).await;
    assert_eq!(commanded.frame().await[1], json!(id));
    gateway.process.signal(nix::sys::signal::Signal::SIGTERM);
    let began = Instant::now();
    let ends = others.into_iter().map(async |mut socket| (socket.closed().await, began.elapsed()));
    let ends = futures_util::future::join_all(ends).await;
    assert!(ends.iter().all(|(code, _)| *code == Some(1001)), "{ends:?}");
    let early = ends.iter().filter(|(_, after)| *after < Duration::from_millis(1_500)).count();
    let late = ends.iter().filter(|(_, after)| *after > Duration::from_millis(2_500)).count();
    assert!(early > 0 && late > 0, "{ends:?}");
    // The charger that has a command is served until it has answered.
    commanded.is_alive().await;
    assert!(Handshake::of("CP-2").shake(&gateway.url).await.is_err());
    commanded.say(json!([3, id, {"status": "Accepted"}]).to_string()).await;
    assert_eq!(commanded.closed().await, Some(1001));
    gateway.command_is(id, CommandState::Answered).await;
    let Gateway { mut process, .. } = gateway;
    assert_eq!(process.ended().await, Some(0));
}
