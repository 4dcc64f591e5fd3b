//! Commands that wait: for the one before them, but not too many, and for a charger that is away.

use std::time::Duration;

use charging::chargers::commands::CommandState;
use serde_json::json;

use super::ocpp::Gateway;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_65th_command_that_waits_is_busy_and_the_others_are_sent_in_their_order() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let first = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    let call = socket.frame().await;
    assert_eq!(call[1], json!(first));
    let mut waiting = Vec::new();
    for _ in 0..64 {
        waiting.push(gateway.command(station, "ClearCache", json!({}), LIMIT).await);
    }
    let one_too_many = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    gateway.command_is(one_too_many, CommandState::Busy).await;
    let mut id = call[1].clone();
    for expected in &waiting {
        socket.say(json!([3, id, {"status": "Accepted"}]).to_string()).await;
        id = socket.frame().await[1].take();
        assert_eq!(id, json!(expected));
    }
    socket.say(json!([3, id, {"status": "Accepted"}]).to_string()).await;
    for id in waiting {
        gateway.command_is(id, CommandState::Answered).await;
    }
}

#[tokio::test]
async fn commands_that_wait_for_their_charger_are_sent_after_its_boot_in_order_or_expire() {
    let gateway = Gateway::start(&[]).await;
    let station = gateway.station("CP-1").await;
    let wait = async |action: &str, seconds: u64| {
        let limits = (LIMIT, Some(Duration::from_secs(seconds)));
        gateway.waiting_command(station, action, json!({}), limits).await
    };
    let expires = wait("ClearCache", 1).await;
    gateway.command_is(expires, CommandState::Expired).await;
    let kept = [wait("GetLocalListVersion", 3600).await, wait("ClearCache", 3600).await];
    // Without a wait it ends; those that wait stay.
    let gone = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    gateway.command_is(gone, CommandState::Offline).await;
    for id in kept {
        gateway.command_is(id, CommandState::Queued).await;
    }
    let mut socket = gateway.connect("CP-1").await;
    // Not before its boot.
    assert_eq!(socket.hear_within(Duration::from_millis(2_500)).await, None);
    let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "One"});
    let boot = socket.ask("BootNotification", &boot).await;
    assert_eq!(socket.frame().await[1], json!(boot));
    for (id, answer) in kept.into_iter().zip([json!({"listVersion": 0}), json!({"status": "Accepted"})]) {
        assert_eq!(socket.frame().await[1], json!(id));
        socket.say(json!([3, id, answer]).to_string()).await;
        gateway.command_is(id, CommandState::Answered).await;
    }
    assert_eq!(socket.hear_within(Duration::from_millis(500)).await, None);
}
