//! The frames of chargers, both ways, masked before they come here.

use std::time::Duration;

use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements, words};

statements! {
    INSERT = "INSERT INTO charger_messages (id, station_id, epoch, direction, action, size, body, at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// The same for [`TOGETHER`] frames: each statement is a round trip.
    INSERT_MANY = concat!(
        "INSERT INTO charger_messages (id, station_id, epoch, direction, action, size, body, at) VALUES ",
        "($1, $2, $3, $4, $5, $6, $7, $8), ($9, $10, $11, $12, $13, $14, $15, $16), ",
        "($17, $18, $19, $20, $21, $22, $23, $24), ($25, $26, $27, $28, $29, $30, $31, $32), ",
        "($33, $34, $35, $36, $37, $38, $39, $40), ($41, $42, $43, $44, $45, $46, $47, $48), ",
        "($49, $50, $51, $52, $53, $54, $55, $56), ($57, $58, $59, $60, $61, $62, $63, $64), ",
        "($65, $66, $67, $68, $69, $70, $71, $72), ($73, $74, $75, $76, $77, $78, $79, $80), ",
        "($81, $82, $83, $84, $85, $86, $87, $88), ($89, $90, $91, $92, $93, $94, $95, $96), ",
        "($97, $98, $99, $100, $101, $102, $103, $104), ($105, $106, $107, $108, $109, $110, $111, $112), ",
        "($113, $114, $115, $116, $117, $118, $119, $120), ($121, $122, $123, $124, $125, $126, $127, $128)"
    );
    LIST = "SELECT id, epoch, direction, action, size, body, at FROM charger_messages WHERE station_id = $1 AND id < $2 \
            AND (action = $4 OR $4 = '') AND (direction = $5 OR $5 = '') AND at >= $6 ORDER BY id DESC LIMIT $3";
    PRUNE = "DELETE FROM charger_messages WHERE id IN (SELECT id FROM charger_messages WHERE id < $1 ORDER BY id LIMIT $2)";
}

/// How many frames one statement stores.
const TOGETHER: usize = 16;

/// How long a frame is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

words! {
    /// Who sent a frame
    pub enum Direction {
        /// The charger.
        In = "in",
        /// The gateway.
        Out = "out",
    }
}

row! {
    /// A frame.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Message {
        /// Its id, by which frames sort in their order.
        pub id: Uuid,
        /// The connection, by its epoch.
        pub epoch: i64,
        /// Who sent it.
        pub direction: Direction,
        /// What it is about, if that is known.
        pub action: Option<String>,
        /// Its size in bytes, before anything was masked or cut.
        pub size: i64,
        /// Its text, masked.
        pub body: String,
        /// When it was sent or read.
        pub at: At,
    }
}

/// Which frames are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those about this.
    pub action: Option<String>,
    /// Those of this direction.
    pub direction: Option<Direction>,
    /// Those from this moment on.
    pub from: Option<At>,
}

/// Stores frames.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn add(tx: &mut Tx, messages: &[(Uuid, Message)]) -> Result<(), DbError> {
    let (together, rest) = messages.as_chunks::<TOGETHER>();
    let together = together.iter().map(|frames| (INSERT_MANY, frames.as_slice()));
    for (statement, frames) in together.chain(rest.chunks(1).map(|frame| (INSERT, frame))) {
        on!(tx, |c| {
            let mut query = sqlx::query(statement);
            for (station, message) in frames {
                query = query.bind(message.id).bind(station).bind(message.epoch);
                query = query.bind(message.direction).bind(&message.action).bind(message.size);
                query = query.bind(&message.body).bind(message.at);
            }
            query.execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// The frames of a station before this one, newest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(
    tx: &mut Tx,
    station: Uuid,
    filter: &Filter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Message>, DbError> {
    let from = filter.from.unwrap_or_else(|| At::now().minus(2 * KEPT_FOR));
    let (action, direction) =
        (filter.action.as_deref().unwrap_or_default(), filter.direction.map_or("", Direction::as_str));
    Ok(on!(tx, |c| {
        let query = sqlx::query_as(LIST).bind(station).bind(before).bind(limit).bind(action);
        query.bind(direction).bind(from).fetch_all(c).await
    })?)
}

/// Deletes frames from before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    let before = crate::db::first_id_at(before);
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
