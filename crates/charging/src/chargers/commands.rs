//! Commands to chargers. A command is at most once on the wire, and ends in exactly one state.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::happened;
use crate::db::{At, DbError, Tx, first_id_at, on, row, statements, words};
use crate::stations::charging_stations;
use crate::tokens;

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, station_id, charger, action, payload, state, result, late_result, error, limit_ms, wait_until, actor, \
             session_id, created_at, sent_at, ended_at FROM commands WHERE ",
            $which
        )
    };
}

statements! {
    INSERT = "INSERT INTO commands (id, station_id, charger, action, payload, state, limit_ms, wait_until, actor, \
              created_at, account_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    FIND = select!("id = $1");
    LIST = select!("id < $1 AND (state = $3 OR $3 = '') ORDER BY id DESC LIMIT $2");
    OF_STATION = select!("station_id = $4 AND id < $1 AND (state = $3 OR $3 = '') ORDER BY id DESC LIMIT $2");
    /// Only one node takes it, and only once.
    TAKE = "UPDATE commands SET state = 'sent', sent_at = $2 WHERE id = $1 AND state = 'queued'";
    END = "UPDATE commands SET state = $2, result = $3, error = $4, ended_at = $5 WHERE id = $1 AND ended_at IS NULL \
           RETURNING station_id, action";
    LATE = "UPDATE commands SET late_result = $2 WHERE id = $1 AND late_result IS NULL AND state = 'timeout'";
    QUEUED = select!("state = 'queued' AND station_id IN (SELECT station_id FROM chargers WHERE node_id = $1) \
                      ORDER BY id LIMIT $2");
    QUEUED_OF = select!("state = 'queued' AND station_id = $1 ORDER BY id LIMIT $2");
    /// What stayed behind: queued for a charger that did not come, or sent by a node that is gone.
    STALE = "SELECT id, state FROM commands WHERE ended_at IS NULL \
             AND ((state = 'queued' AND COALESCE(wait_until, created_at) < $1) OR (state = 'sent' AND sent_at < $2)) \
             ORDER BY id LIMIT $3";
    ERASE = "UPDATE commands SET payload = $2, actor = NULL, account_id = NULL WHERE account_id = $1";
    PRUNE = "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE id < $1 AND ended_at IS NOT NULL ORDER BY id LIMIT $2)";
    SET_SESSION = "UPDATE commands SET session_id = $2 WHERE id = $1";
    /// A start may come before the answer to its command does.
    REMOTE_STARTS = select!("station_id = $1 AND action = 'RemoteStartTransaction' \
                             AND state IN ('sent', 'answered', 'timeout') AND session_id IS NULL AND created_at > $2 ORDER BY id LIMIT 20");
}

/// How long a command is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// How long a start may take to follow its command (the standard's `ConnectionTimeOut` is 60 to 120 s in the field).
const START_FOLLOWS_WITHIN: Duration = Duration::from_secs(180);

words! {
    /// How far a command is
    pub enum CommandState {
        /// It waits to be sent.
        Queued = "queued",
        /// It is on the wire.
        Sent = "sent",
        /// The charger has answered. `Rejected` is an answer.
        Answered = "answered",
        /// The charger has sent an error.
        Error = "error",
        /// The charger has not answered in time.
        Timeout = "timeout",
        /// The charger was not connected.
        Offline = "offline",
        /// It waited for the charger, which did not come.
        Expired = "expired",
        /// Too many commands wait for the charger.
        Busy = "busy",
        /// It does not match the schema.
        RejectedByUs = "rejected_by_us",
        /// The node ended after the command was sent: what became of it is not known.
        Unknown = "unknown",
    }
}

row! {
    /// A command.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Command {
        /// Its id.
        pub id: Uuid,
        /// The station.
        pub station_id: Uuid,
        /// The charger's name.
        pub charger: String,
        /// What is requested.
        pub action: String,
        /// The request, as it is sent.
        pub payload: Json<Value>,
        /// How far it is.
        pub state: CommandState,
        /// The charger's answer.
        pub result: Option<Json<Value>>,
        /// What came after the time limit.
        pub late_result: Option<Json<Value>>,
        /// Why it failed.
        pub error: Option<String>,
        /// How long the charger may take, in milliseconds.
        pub limit_ms: i64,
        /// Until when an offline charger is waited for.
        pub wait_until: Option<At>,
        /// Who requested it.
        pub actor: Option<String>,
        /// The session that followed a remote start.
        pub session_id: Option<Uuid>,
        /// When it was requested.
        pub created_at: At,
        /// When it was sent.
        pub sent_at: Option<At>,
        /// When it ended.
        pub ended_at: Option<At>,
    }
}

/// A command that is requested.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommand<'a> {
    /// The station.
    pub station_id: Uuid,
    /// The charger's name.
    pub charger: &'a str,
    /// What is requested.
    pub action: &'a str,
    /// The request, as it is sent.
    pub payload: Value,
    /// How long the charger may take.
    pub limit: Duration,
    /// How long an offline charger is waited for.
    pub wait: Option<Duration>,
    /// Who requested it.
    pub actor: Option<&'a str>,
}

/// How a command has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The state.
    pub state: CommandState,
    /// The charger's answer.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Command {
    /// How long the charger may take.
    pub fn limit(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.limit_ms).unwrap_or(0))
    }
}

impl End {
    /// An end without an answer.
    pub fn without_answer(state: CommandState, error: impl Into<String>) -> Self {
        Self { state, result: None, error: Some(error.into()) }
    }

    /// The charger's answer.
    pub fn answered(result: Value) -> Self {
        Self { state: CommandState::Answered, result: Some(result), error: None }
    }
}

/// Stores a command. The gateway learns it by the event.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn create(tx: &mut Tx, new: &NewCommand<'_>) -> Result<Uuid, DbError> {
    let location = charging_stations::take(tx, new.station_id).await?.flatten();
    let (id, now) = (Uuid::now_v7(), At::now());
    let tag = new.payload["idTag"].as_str().and_then(|tag| tag.parse().ok());
    let account = match &tag {
        Some(tag) => tokens::by_id_tag(tx, tag).await?.and_then(|token| token.terms.user_id),
        None => None,
    };
    let limit = i64::try_from(new.limit.as_millis()).unwrap_or(i64::MAX);
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(new.station_id).bind(new.charger).bind(new.action);
        let query = query.bind(Json(&new.payload)).bind(CommandState::Queued).bind(limit);
        let query = query.bind(new.wait.map(|wait| now.plus(wait))).bind(new.actor).bind(now);
        let query = query.bind(account);
        query.execute(c).await.map(drop)
    })?;
    let more = json!({"command_id": id, "action": new.action});
    happened(tx, "command.queued", new.station_id, location, more).await?;
    Ok(id)
}

/// The command with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Command>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?)
}

/// The commands before this one, newest first: all of them, or those of a station or in a state.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(
    tx: &mut Tx,
    station: Option<Uuid>,
    state: Option<CommandState>,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Command>, DbError> {
    let state = state.map_or("", CommandState::as_str);
    Ok(match station {
        Some(station) => on!(tx, |c| {
            let query = sqlx::query_as(OF_STATION).bind(before).bind(limit).bind(state).bind(station);
            query.fetch_all(c).await
        })?,
        None => on!(tx, |c| sqlx::query_as(LIST).bind(before).bind(limit).bind(state).fetch_all(c).await)?,
    })
}

/// Takes a command for sending. `false` if it was taken before, or has ended: then it must not be sent.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn take(tx: &mut Tx, id: Uuid) -> Result<bool, DbError> {
    let taken = on!(tx, |c| {
        sqlx::query(TAKE).bind(id).bind(At::now()).execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(taken > 0)
}

/// Ends a command unless it has ended. Returns whether it had not.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn end(tx: &mut Tx, id: Uuid, end: &End) -> Result<bool, DbError> {
    let ended: Option<(Uuid, String)> = on!(tx, |c| {
        let query = sqlx::query_as(END).bind(id).bind(end.state).bind(end.result.as_ref().map(Json));
        query.bind(&end.error).bind(At::now()).fetch_optional(c).await
    })?;
    let Some((station, action)) = ended else { return Ok(false) };
    let location = charging_stations::take(tx, station).await?.flatten();
    let more = json!({"command_id": id, "action": action, "state": end.state});
    happened(tx, "command.ended", station, location, more).await?;
    Ok(true)
}

/// Notes what a charger answered after the time limit. The state stays.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn late(tx: &mut Tx, id: Uuid, result: &Value) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(LATE).bind(id).bind(Json(result)).execute(c).await.map(drop))?;
    Ok(())
}

/// The commands that wait for chargers which are connected to this node, in their order.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn queued_at(tx: &mut Tx, node: Uuid, limit: i64) -> Result<Vec<Command>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(QUEUED).bind(node).bind(limit).fetch_all(c).await)?)
}

/// The commands that wait for this charger, in their order.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn queued_for(tx: &mut Tx, station: Uuid, limit: i64) -> Result<Vec<Command>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(QUEUED_OF).bind(station).bind(limit).fetch_all(c).await)?)
}

/// Ends what stayed behind, at most `limit`: a charger did not come or was not found, or the node that had sent it is gone.
/// `queued_for` is how long a command without a wait may stay unsent, `sent_for` how long one may stay unanswered. Returns how
/// many there were.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn sweep(
    tx: &mut Tx,
    queued_for: Duration,
    sent_for: Duration,
    limit: i64,
) -> Result<usize, DbError> {
    let now = At::now();
    let (queued, sent) = (now.minus(queued_for), now.minus(sent_for));
    let stale: Vec<(Uuid, CommandState)> =
        on!(tx, |c| sqlx::query_as(STALE).bind(queued).bind(sent).bind(limit).fetch_all(c).await)?;
    for (id, state) in &stale {
        let how = match state {
            CommandState::Queued => match find(tx, *id).await?.and_then(|command| command.wait_until) {
                Some(_) => End::without_answer(CommandState::Expired, "the charger did not come in time"),
                None => End::without_answer(CommandState::Offline, "the charger is not connected"),
            },
            _ => End::without_answer(
                CommandState::Unknown,
                "the gateway that sent it is gone; whether the charger has carried it out is not known",
            ),
        };
        end(tx, *id, &how).await?;
    }
    Ok(stale.len())
}

/// Forgets whose tag commands name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn erase(tx: &mut Tx, account: Uuid) -> Result<(), DbError> {
    let nothing = Json(json!({}));
    on!(tx, |c| sqlx::query(ERASE).bind(account).bind(nothing).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes commands that were requested before this moment and have ended, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    let before = first_id_at(before);
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}

/// Links the remote start that this start follows: the same tag, and the same connector if one was named.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn link_start(
    tx: &mut Tx,
    station: Uuid,
    session: Uuid,
    id_tag_key: &str,
    connector: Option<i64>,
) -> Result<(), DbError> {
    let since = At::now().minus(START_FOLLOWS_WITHIN);
    let starts: Vec<Command> =
        on!(tx, |c| sqlx::query_as(REMOTE_STARTS).bind(station).bind(since).fetch_all(c).await)?;
    let follows = |command: &&Command| {
        let payload = &command.payload.0;
        let tag = payload["idTag"].as_str().is_some_and(|tag| tag.to_uppercase() == id_tag_key);
        let at = payload["connectorId"].as_i64();
        let refused =
            command.result.as_ref().is_some_and(|result| result.0["status"].as_str() != Some("Accepted"));
        tag && !refused && (at.is_none() || at == connector)
    };
    if let Some(command) = starts.iter().find(follows) {
        on!(tx, |c| sqlx::query(SET_SESSION).bind(command.id).bind(session).execute(c).await.map(drop))?;
    }
    Ok(())
}
