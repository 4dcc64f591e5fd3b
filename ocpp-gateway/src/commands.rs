//! Commands to a charger. The database says who sends a command: it is taken there first, then put on the wire, and never sent
//! again by us.

use std::sync::Arc;

use ::metrics::counter;
use charging::chargers::commands::{self, Command, CommandState, End, NewCommand};
use charging::{Db, DbError};
use ocpp::connection::Outgoing;
use ocpp::v16::to_charger::ToCharger;
use ocpp::{ErrorCode, MessageId, frame};
use serde_json::Value;
use uuid::Uuid;

use crate::calls::ChargerIdentity;
use crate::metrics::COMMANDS;
use crate::node::Node;

/// Takes a command for sending; `None` if another one was faster, or it has ended.
pub(crate) async fn take(node: Arc<Node>, id: Uuid) -> Option<(Uuid, String, Outgoing)> {
    let taken = node.db.write(async |tx| -> Result<Option<Command>, DbError> {
        match commands::take(tx, id).await? {
            true => commands::find(tx, id).await,
            false => Ok(None),
        }
    });
    match taken.await {
        Ok(command) => {
            let command = command?;
            let message = MessageId::new(&command.id.to_string())?;
            let text = frame::call(&message, &command.action, &command.payload.0);
            let outgoing = Outgoing { id: message, text, limit: command.limit() };
            Some((command.id, command.action, outgoing))
        }
        Err(error) => {
            tracing::warn!(%error, command = %id, "a command cannot be taken at present");
            None
        }
    }
}

/// Requests something of a charger on our own account. It comes over the same path as the commands of operators.
pub(crate) async fn request<R: ToCharger>(node: &Node, charger: &ChargerIdentity, request: &R) {
    let Ok(payload) = serde_json::to_value(request) else { return };
    let (station_id, limit) = (charger.station, node.config.call_limit);
    let name = Arc::clone(&charger.name);
    let requested = node.db.write(async move |tx| {
        let (charger, action, payload) = (&*name, R::ACTION, payload.clone());
        let command = NewCommand { station_id, charger, action, payload, limit, wait: None, actor: None };
        commands::create(tx, &command).await
    });
    if let Err(error) = requested.await {
        tracing::warn!(%error, charger = &*charger.name, action = R::ACTION, "a command of our own cannot be stored");
    }
}

/// How a charger's answer ends a command.
pub(crate) fn end_of(answer: Result<Value, (ErrorCode, String)>) -> End {
    match answer {
        Ok(payload) => End::answered(payload),
        Err((code, _)) => {
            // The code is no information, as chargers mix them up, and the text may repeat the message.
            let error = format!("the charger answered with the error {}", code.as_str());
            End::without_answer(CommandState::Error, error)
        }
    }
}

/// Ends a command.
pub(crate) async fn end(db: Db, id: Uuid, how: End) {
    counter!(COMMANDS, "state" => how.state.as_str()).increment(1);
    if let Err(error) = db.write(async |tx| commands::end(tx, id, &how).await).await {
        tracing::warn!(%error, command = %id, "the end of a command cannot be recorded; it will be `unknown`");
    }
}

/// Notes an answer that came after the time limit.
pub(crate) async fn late(db: Db, id: Uuid, answer: Value) {
    if let Err(error) = db.write(async |tx| commands::late(tx, id, &answer).await).await {
        tracing::warn!(%error, command = %id, "a late answer cannot be recorded");
    }
}
