//! Hears from the outbox what other processes have done: commands, what operators have changed, chargers that have connected
//! to another node, tokens. The outbox is read rather than the broker, so that nothing is missed and a broker is not needed.

use std::sync::Arc;
use std::time::Duration;

use charging::DbError;
use charging::chargers::commands;
use charging::events::{self, Event};
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::sockets::Word;

const POLL_EVERY: Duration = Duration::from_millis(50);
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
const AT_ONCE: i64 = 500;
/// How often commands are looked for that no event has led to.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// Hears until `stop`.
pub(crate) async fn hear(node: Arc<Node>, stop: CancellationToken) {
    let listening = async { tokio::join!(follow(&node), sweep(&node)) };
    tokio::select! {
        ((), ()) = listening => {}
        () = stop.cancelled() => {}
    }
}

async fn follow(node: &Node) {
    let mut position = None;
    loop {
        match step(node, &mut position).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(POLL_EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read at present");
                // Whatever was missed may have been about a token.
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
}

/// Returns whether there may be more.
async fn step(node: &Node, position: &mut Option<i64>) -> Result<bool, DbError> {
    let Some(after) = *position else {
        let state = node.db.read(async |tx| events::state(tx).await).await?;
        *position = Some(state.last_position);
        return Ok(true);
    };
    let looked = node.db.read(async move |tx| -> Result<_, DbError> {
        let found = events::after(tx, after, AT_ONCE).await?;
        let unnumbered = found.is_empty() && events::are_unnumbered(tx).await?;
        Ok((found, unnumbered))
    });
    let (found, unnumbered) = looked.await?;
    if unnumbered {
        // Gives events their positions, for which platform-api may be too late, or not there.
        return node.db.write(async |tx| events::number(tx).await).await.map(|numbered| numbered > 0);
    }
    let more = i64::try_from(found.len()).is_ok_and(|found| found == AT_ONCE);
    for event in found {
        *position = Some(event.position);
        heard(node, &event);
    }
    Ok(more)
}

fn heard(node: &Node, event: &Event) {
    let data = &event.data.0;
    match (event.routing_key.as_str(), event.station_id) {
        ("command.queued", Some(station)) => {
            if let Some(id) = data["command_id"].as_str().and_then(|id| id.parse().ok()) {
                node.sockets.say(station, Word::Command(id));
            }
        }
        ("charger.updated" | "station.deleted" | "station.updated", Some(station)) => {
            node.sockets.say(station, Word::Changed);
        }
        ("charger.connected", Some(station)) => {
            if let Some(epoch) = data["epoch"].as_i64() {
                node.sockets.supersede(station, epoch);
            }
        }
        ("account.token_created" | "account.created", _) => node.authorizer.look_again(),
        (key, _) if key.starts_with("account.") && key != "account.signed_out" => node.authorizer.forget(),
        _ => {}
    }
}

/// Commands whose event was missed, as the database was away or the socket had too much to do.
async fn sweep(node: &Node) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if node.sockets.len() == 0 {
            continue;
        }
        let id = node.id;
        let Ok(found) = node.db.read(async move |tx| commands::queued_at(tx, id, AT_ONCE).await).await else {
            continue;
        };
        for command in found {
            node.sockets.say(command.station_id, Word::Command(command.id));
        }
    }
}
