//! A command as it is shown.

use charging::At;
use charging::chargers::commands::{Command, CommandState};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A command to a charger
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub(crate) struct CommandView {
    id: Uuid,
    charger: String,
    station_id: Uuid,
    /// OCPP's name of the request
    action: String,
    /// The request, as it is sent
    #[schema(value_type = Object)]
    payload: Value,
    /// How far it is
    state: CommandState,
    /// The charger's answer. `Rejected` is an answer
    #[schema(required, value_type = Option<Object>)]
    result: Option<Value>,
    /// What came after the time limit
    #[schema(required, value_type = Option<Object>)]
    late_result: Option<Value>,
    /// Why it failed
    #[schema(required)]
    error: Option<String>,
    /// How long the charger may take, in seconds
    timeout_sec: i64,
    /// Until when a charger that is not connected is waited for
    #[schema(required)]
    wait_until: Option<At>,
    /// Who requested it: `account:<id>`, `key:<id>`, or a part of Voltgate
    #[schema(required)]
    actor: Option<String>,
    /// The transaction that followed a remote start
    #[schema(required)]
    transaction_id: Option<Uuid>,
    created_at: At,
    /// When it was sent
    #[schema(required)]
    sent_at: Option<At>,
    /// When it ended
    #[schema(required)]
    ended_at: Option<At>,
}

/// A command that is accepted
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedCommand {
    /// `accepted`
    pub(super) status: &'static str,
    pub(super) message: String,
    /// The command, at `/api/v1/commands/{command_id}`
    pub(super) command_id: Uuid,
}

/// A command that has ended
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedCommand {
    /// How it ended
    pub(super) status: CommandState,
    pub(super) message: String,
    pub(super) command_id: Uuid,
    /// The charger's answer. `Rejected` is an answer
    #[schema(required, value_type = Option<Object>)]
    pub(super) result: Option<Value>,
    /// Why it failed
    #[schema(required)]
    pub(super) error: Option<String>,
}

impl From<Command> for CommandView {
    fn from(command: Command) -> Self {
        Self {
            id: command.id,
            charger: command.charger,
            station_id: command.station_id,
            action: command.action,
            payload: command.payload.0,
            state: command.state,
            result: command.result.map(|result| result.0),
            late_result: command.late_result.map(|result| result.0),
            error: command.error,
            timeout_sec: command.limit_ms / 1000,
            wait_until: command.wait_until,
            actor: command.actor,
            transaction_id: command.session_id,
            created_at: command.created_at,
            sent_at: command.sent_at,
            ended_at: command.ended_at,
        }
    }
}

impl From<Command> for EndedCommand {
    fn from(command: Command) -> Self {
        let message = match command.state {
            CommandState::Answered => "the charger has answered",
            _ => "the charger has not answered",
        };
        Self {
            status: command.state,
            message: message.to_owned(),
            command_id: command.id,
            result: command.result.map(|result| result.0),
            error: command.error,
        }
    }
}
