//! Records as rows. The mapping from request to record is the same as in Redis.

use async_trait::async_trait;
use common::decision::Source;
use common::ids::{PresentedToken, RequestId};
use embedded_db::rusqlite::{self, Connection, OptionalExtension, Row, Transaction, params};

use super::kv::value_of;
use super::search::{FEED_FOR, feed};
use super::{EmbeddedStore, unavailable};
use crate::StoreError;
use crate::records::{
    Accepted, Answer, Attempt, DecideOutcome, Decided, DeliveryState, Known, OpenedRecord, Record, RecordKey,
    Records,
};

#[async_trait]
impl Records for EmbeddedStore {
    async fn open(&self, request: RequestId, proposed: &RecordKey) -> Result<OpenedRecord, StoreError> {
        let (proposed, expires_ms) = (proposed.clone(), self.expiry_ms(self.options.retention));
        let open = move |tx: &Transaction<'_>| {
            if enter(tx, request, &proposed, expires_ms)? {
                return Ok(OpenedRecord { key: proposed, record: None });
            }
            // A caller that uses one id for two questions gets one record for each.
            let key = key_of(tx, request)?.filter(|held| held.same_question(&proposed)).unwrap_or(proposed);
            let record = read(tx, &key)?.filter(|record| record.decided.request_id == request);
            Ok(OpenedRecord { key, record })
        };
        self.db.write(open).await.map_err(unavailable)
    }

    async fn decide(&self, key: &RecordKey, decided: &Decided) -> Result<DecideOutcome, StoreError> {
        let (key, decided) = (key.clone(), decided.clone());
        let expires_ms = self.expiry_ms(self.options.retention);
        let feed_expires_ms = self.expiry_ms(FEED_FOR.min(self.options.retention));
        let request = decided.request_id;
        let decide = move |tx: &Transaction<'_>| {
            let key = match enter(tx, request, &key, expires_ms)? {
                true => key,
                // Another delivery of the request proposed another start time first.
                false => key_of(tx, request)?.filter(|held| held.same_question(&key)).unwrap_or(key),
            };
            let sql =
                "INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, '[]', ?10)";
            let (start_ns, station_id, token) = columns(&key);
            let new = tx.prepare_cached(sql)?.execute(params![
                start_ns,
                station_id,
                token,
                request.to_string(),
                decided.decision.as_str(),
                decided.callback_url.as_deref().unwrap_or_default(),
                DeliveryState::Pending.as_str(),
                signed(decided.deadline_ns),
                signed(decided.decided_ns),
                expires_ms,
            ])?;
            if new > 0 {
                if decided.source != Source::default() {
                    let source = params![start_ns, station_id, token, decided.source.as_str(), expires_ms];
                    tx.prepare_cached("INSERT INTO record_source VALUES (?1, ?2, ?3, ?4, ?5)")?
                        .execute(source)?;
                }
                feed(tx, &key, feed_expires_ms)?;
                tx.prepare_cached("DELETE FROM keyed WHERE key = ?1")?.execute([accepted_key(request)])?;
                return Ok(Some(DecideOutcome { key, decision: decided.decision, new: true }));
            }
            let record = read(tx, &key)?;
            Ok(record.map(|record| DecideOutcome { key, decision: record.decided.decision, new: false }))
        };
        let held = self.db.write(decide).await.map_err(unavailable)?;
        held.ok_or_else(|| StoreError::Foreign(format!("the record of {request} is not Voltgate's")))
    }

    async fn answered(&self, key: &RecordKey, answer: &Answer) -> Result<(), StoreError> {
        let (key, answer) = (key.clone(), answer.clone());
        let write = move |tx: &Transaction<'_>| {
            let sql = "INSERT OR IGNORE INTO record_answer SELECT start_ns, station_id, driver_token, ?4, ?5, expires_ms
                       FROM record WHERE start_ns = ?1 AND station_id = ?2 AND driver_token = ?3";
            let (start_ns, station_id, token) = columns(&key);
            tx.prepare_cached(sql)?.execute(params![
                start_ns,
                station_id,
                token,
                answer.answer,
                answer.reason
            ])
        };
        self.db.write(write).await.map(drop).map_err(unavailable)
    }

    async fn attempted(
        &self,
        key: &RecordKey,
        attempt: &Attempt,
        state: DeliveryState,
    ) -> Result<DeliveryState, StoreError> {
        let (key, mut attempt) = (key.clone(), attempt.clone());
        let write = move |tx: &Transaction<'_>| {
            let Some(record) = read(tx, &key)? else { return Ok(state) };
            let mut attempts = record.attempts;
            let same = |earlier: &Attempt| {
                earlier.number >= attempt.number
                    && Attempt { number: attempt.number, ..earlier.clone() } == attempt
            };
            let repeated = attempts.iter().any(same);
            let count = attempts.last().map_or(0, |last| last.number);
            let held = record.delivery.after(state, repeated || attempt.number > count);
            let outcome = if held == record.delivery && held != state {
                record.callback_status
            } else {
                attempt.outcome.to_string()
            };
            if !repeated {
                attempt.number = attempt.number.max(count + 1);
                attempts.push(attempt);
            }
            let sql = "UPDATE record SET callback_status = ?4, delivery = ?5, attempts = ?6
                       WHERE start_ns = ?1 AND station_id = ?2 AND driver_token = ?3";
            let (start_ns, station_id, token) = columns(&key);
            let attempts = serde_json::to_string(&attempts).unwrap_or_else(|_| "[]".to_owned());
            let row = params![start_ns, station_id, token, outcome, held.as_str(), attempts];
            tx.prepare_cached(sql)?.execute(row)?;
            Ok(held)
        };
        self.db.write(write).await.map_err(unavailable)
    }

    async fn accepted(&self, requests: &[Accepted]) -> Result<(), StoreError> {
        let expires_ms = self.expiry_ms(self.options.retention);
        let requests = requests.to_vec();
        let note = move |tx: &Transaction<'_>| {
            for request in &requests {
                let key = key_of(tx, request.request_id)?;
                if key.map(|key| read(tx, &key)).transpose()?.flatten().is_some() {
                    continue;
                }
                let details = serde_json::to_string(request).unwrap_or_default();
                let note = params![accepted_key(request.request_id), details, expires_ms];
                tx.prepare_cached("INSERT OR REPLACE INTO keyed VALUES (?1, ?2, ?3)")?.execute(note)?;
            }
            Ok(())
        };
        self.db.write(note).await.map_err(unavailable)
    }

    async fn look_up(&self, request: RequestId) -> Result<Option<Known>, StoreError> {
        let look = move |connection: &Connection| {
            // The order matters: if the note is gone already, the key exists.
            let note = value_of(connection, &accepted_key(request))?;
            let key = key_of(connection, request)?;
            if let Some(key) = &key
                && let Some(record) = read(connection, key)?
            {
                return Ok(Some(Known::Decided(record)));
            }
            let noted = note.and_then(|note| serde_json::from_str(&note).ok());
            Ok(noted.or_else(|| key.map(|key| Accepted::of(request, key))).map(Known::Accepted))
        };
        self.db.read(look).await.map_err(unavailable)
    }

    async fn find(&self, request: RequestId) -> Result<Option<Record>, StoreError> {
        let find = move |connection: &Connection| match key_of(connection, request)? {
            Some(key) => read(connection, &key),
            None => Ok(None),
        };
        self.db.read(find).await.map_err(unavailable)
    }

    async fn is_open(&self, request: RequestId) -> Result<bool, StoreError> {
        let find = move |connection: &Connection| Ok(key_of(connection, request)?.is_some());
        self.db.read(find).await.map_err(unavailable)
    }
}

/// Enters the mapping from the request to its record. Returns whether there was none.
fn enter(
    tx: &Transaction<'_>,
    request: RequestId,
    key: &RecordKey,
    expires_ms: i64,
) -> rusqlite::Result<bool> {
    let sql = "INSERT OR IGNORE INTO request VALUES (?1, ?2, ?3, ?4, ?5)";
    let (start_ns, station_id, token) = columns(key);
    let row = params![request.to_string(), start_ns, station_id, token, expires_ms];
    Ok(tx.prepare_cached(sql)?.execute(row)? > 0)
}

fn accepted_key(request: RequestId) -> String {
    format!("accepted:{request}")
}

fn key_of(connection: &Connection, request: RequestId) -> rusqlite::Result<Option<RecordKey>> {
    let sql = "SELECT start_ns, station_id, driver_token FROM request WHERE request_id = ?1";
    let key = connection.prepare_cached(sql)?.query_row([request.to_string()], |row| {
        let station_id = row.get::<_, String>(1)?.parse().ok();
        Ok(station_id.map(|station_id| (row.get(0), station_id, row.get::<_, String>(2))))
    });
    let Some((start_ns, station_id, token)) = key.optional()?.flatten() else { return Ok(None) };
    Ok(Some(RecordKey {
        start_ns: unsigned(start_ns?),
        station_id,
        driver_token: PresentedToken::new(token?),
    }))
}

pub(super) fn read(connection: &Connection, key: &RecordKey) -> rusqlite::Result<Option<Record>> {
    let sql = "SELECT request_id, status, callback_url, callback_status, delivery, deadline_ns, decided_ns, attempts,
               (SELECT source FROM record_source AS came WHERE came.start_ns = record.start_ns
                AND came.station_id = record.station_id AND came.driver_token = record.driver_token),
               said.answer, said.reason FROM record LEFT JOIN record_answer AS said USING (start_ns, station_id, driver_token) WHERE start_ns = ?1 AND station_id = ?2 AND driver_token = ?3";
    let (start_ns, station_id, token) = columns(key);
    let mut statement = connection.prepare_cached(sql)?;
    let record = statement.query_row(params![start_ns, station_id, token], |row| record(key, row));
    record.optional().map(Option::flatten)
}

/// Returns `None` if the row is not a valid record.
fn record(key: &RecordKey, row: &Row<'_>) -> rusqlite::Result<Option<Record>> {
    let text = |column: usize| row.get::<_, String>(column);
    let (Ok(request_id), Ok(decision)) = (text(0)?.parse(), text(1)?.parse()) else { return Ok(None) };
    let source = row.get::<_, Option<String>>(8)?.map_or(Ok(Source::default()), |source| source.parse());
    let Ok(source) = source else { return Ok(None) };
    let decided = Decided {
        request_id,
        decision,
        callback_url: Some(text(2)?).filter(|url| !url.is_empty()),
        deadline_ns: unsigned(row.get(5)?),
        decided_ns: unsigned(row.get(6)?),
        source,
    };
    Ok(Some(Record {
        key: key.clone(),
        decided,
        callback_status: text(3)?,
        delivery: DeliveryState::parse(&text(4)?),
        attempts: serde_json::from_str(&text(7)?).unwrap_or_default(),
        answer: row
            .get::<_, Option<String>>(9)?
            .map(|answer| -> rusqlite::Result<Answer> { Ok(Answer { answer, reason: text(10)? }) })
            .transpose()?,
    }))
}

pub(super) fn columns(key: &RecordKey) -> (i64, String, &str) {
    (signed(key.start_ns), key.station_id.to_string(), key.driver_token.expose())
}

/// SQLite's integers are signed; nanoseconds since 1970 fit until the year 2262.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
