//! The database is away: chargers stay connected, what can wait is answered, and transactions are repeated until they are
//! durable.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::link::Link;
use tests::{PATIENCE, eventually};

use super::accounts::new_database;
use super::ocpp::{Gateway, Handshake, TAG, start, stop};

/// A boot or a status waits this long for the database at most, and the machine may be busy.
const ANSWERED_WITHIN: Duration = Duration::from_secs(9);

async fn outage(disturb: impl Fn(&Link)) {
    let url = new_database().await;
    let link = Link::to(&url).await;
    let mut gateway = Gateway::on(&url, &[]).await;
    let through = gateway.deployment.through("DATABASE_URL", &link);
    let (process, gateway_url) = through.start_gateway().await;
    gateway.process = process;
    gateway.url = gateway_url;
    gateway.tag("always").await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    gateway.station("CP-2").await;
    assert_eq!(socket.call("Authorize", json!({"idTag": TAG})).await["idTagInfo"]["status"], "Accepted");
    disturb(&link);
    socket.is_alive().await;
    // From memory.
    assert_eq!(socket.call("Authorize", json!({"idTag": TAG})).await["idTagInfo"]["status"], "Accepted");
    let began = Instant::now();
    let status = json!({
        "connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": "2026-11-01T10:00:00Z",
    });
    assert_eq!(socket.call("StatusNotification", status).await, json!({}));
    assert!(began.elapsed() < ANSWERED_WITHIN, "{:?}", began.elapsed());
    let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "Two"});
    assert_eq!(socket.call("BootNotification", boot).await["status"], "Accepted");
    assert!(began.elapsed() < 2 * ANSWERED_WITHIN, "{:?}", began.elapsed());
    let (refused, response) = gateway.refused(&Handshake::of("CP-2")).await;
    assert_eq!((refused, response.headers().contains_key("retry-after")), (503, true));
    // Neither an answer nor an error.
    let begun = start("2026-11-01T10:00:00Z");
    let text = json!([2, "start", "StartTransaction", begun]).to_string();
    socket.say(&text).await;
    assert_eq!(socket.hear_within(Duration::from_secs(3)).await, None);
    socket.is_alive().await;
    link.open();
    let answer = eventually("the start to be answered", async || {
        socket.say(&text).await;
        socket.hear_within(Duration::from_secs(1)).await
    })
    .await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer[0], &answer[2]["idTagInfo"]["status"]), (&json!(3), &json!("Accepted")), "{answer}");
    let number = answer[2]["transactionId"].clone();
    // Repeats may still be under way.
    while socket.hear_within(Duration::from_secs(1)).await.is_some() {}
    assert_eq!(socket.call("StartTransaction", begun).await["transactionId"], number);
    assert_eq!(socket.call("StopTransaction", stop(&number, "2026-11-01T11:00:00Z")).await, json!({}));
    let sessions = gateway.sessions().await;
    assert_eq!((sessions.len(), sessions[0].energy_wh), (1, Some(7_000)), "{sessions:?}");
    // What was answered meanwhile is written.
    eventually("the boot to be on record", async || {
        let rows: Vec<(Option<String>,)> = gateway
            .db
            .read(async |tx| {
                let charging::Tx::Pg(tx) = tx else { panic!("it is PostgreSQL") };
                let query = sqlx::query_as("SELECT model FROM stations WHERE id = $1").bind(station);
                Ok::<_, charging::DbError>(query.fetch_all(&mut **tx).await?)
            })
            .await
            .unwrap();
        (rows == [(Some("Two".to_owned()),)]).then_some(())
    })
    .await;
    assert!(gateway.is_online(station).await);
    let mut second = tokio::time::timeout(PATIENCE, gateway.connect("CP-2")).await.unwrap();
    second.is_alive().await;
}

#[tokio::test]
async fn while_the_database_refuses_nothing_is_lost_or_doubled() {
    outage(Link::cut).await;
}

#[tokio::test]
async fn while_the_database_is_silent_nothing_is_lost_or_doubled() {
    outage(Link::black_hole).await;
}
