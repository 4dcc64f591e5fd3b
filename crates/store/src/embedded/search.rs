//! The index and the feed of decisions in SQL.

use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use common::ids::PresentedToken;
use embedded_db::rusqlite::types::Value;
use embedded_db::rusqlite::{
    self, Connection, OptionalExtension, Row, Transaction, params, params_from_iter,
};

use super::records::{columns, read, signed, unsigned};
use super::{EmbeddedStore, unavailable};
use crate::search::PageBuilder;
use crate::{Fed, FeedPosition, Filter, Found, Place, RecordKey, Search, StoreError};

/// How long a stream can be resumed from a decision.
pub(super) const FEED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Appends a decision to the feed.
pub(super) fn feed(tx: &Transaction<'_>, key: &RecordKey, expires_ms: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO feed (start_ns, station_id, driver_token, expires_ms) VALUES (?1, ?2, ?3, ?4)";
    let (start_ns, station_id, token) = columns(key);
    tx.prepare_cached(sql)?.execute(params![start_ns, station_id, token, expires_ms]).map(drop)
}

#[async_trait]
impl Search for EmbeddedStore {
    async fn list(&self, filter: &Filter, after: Option<Place>, limit: usize) -> Result<Found, StoreError> {
        let filter = filter.clone();
        let list = move |connection: &Connection| {
            let (narrowed, value) = narrowest(&filter);
            let sql = format!(
                "SELECT start_ns, station_id, driver_token, request_id FROM record
                 WHERE {narrowed} AND start_ns >= ?2 AND (start_ns, request_id) < (?3, ?4)
                 ORDER BY start_ns DESC, request_id DESC"
            );
            let to = Place::before(filter.to_ns.unwrap_or(u64::MAX));
            let upper = after.map_or(to, |after| after.min(to));
            let bounds = [
                value,
                Value::from(signed(filter.from_ns.unwrap_or(0))),
                Value::from(signed(upper.start_ns)),
                Value::from(upper.request_id.to_string()),
            ];
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(bounds))?;
            let mut page = PageBuilder::new(&filter, limit);
            while let Some(row) = rows.next()? {
                let (Some(key), Ok(request_id)) = (key(row, 0)?, row.get::<_, String>(3)?.parse()) else {
                    continue;
                };
                let place = Place { start_ns: key.start_ns, request_id };
                if let ControlFlow::Break(()) = page.offer(read(connection, &key)?) {
                    return Ok(page.until(Some(place)));
                }
            }
            Ok(page.until(None))
        };
        self.db.read(list).await.map_err(unavailable)
    }

    async fn feed_end(&self) -> Result<FeedPosition, StoreError> {
        let end = |connection: &Connection| {
            // Not the largest number present: that row may have expired.
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'feed'";
            Ok(position(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?))
        };
        self.db.read(end).await.map_err(unavailable)
    }

    async fn feed_holds(&self, position: FeedPosition) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM feed WHERE seq = ?1";
        let seq = signed(position.seq);
        let holds = move |connection: &Connection| connection.prepare_cached(sql)?.exists([seq]);
        Ok(position.ms == 0 && self.db.read(holds).await.map_err(unavailable)?)
    }

    async fn feed_after(&self, after: FeedPosition, limit: usize) -> Result<Fed, StoreError> {
        let fed = move |connection: &Connection| {
            let sql = "SELECT seq, start_ns, station_id, driver_token FROM feed
                       WHERE seq > ?1 ORDER BY seq LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([signed(after.seq), signed(limit as u64)])?;
            let (mut fed, mut count) = (Fed { records: Vec::new(), position: after, more: false }, 0);
            while let Some(row) = rows.next()? {
                count += 1;
                fed.position = position(row.get(0)?);
                let record = key(row, 1)?.map(|key| read(connection, &key)).transpose()?.flatten();
                fed.records.extend(record.map(|record| (fed.position, record)));
            }
            Ok(Fed { more: count == limit, ..fed })
        };
        self.db.read(fed).await.map_err(unavailable)
    }
}

/// The condition whose index returns the fewest rows.
fn narrowest(filter: &Filter) -> (&'static str, Value) {
    match filter {
        Filter { driver_token: Some(token), .. } => ("driver_token = ?1", token.expose().to_owned().into()),
        Filter { station_id: Some(station), .. } => ("station_id = ?1", station.to_string().into()),
        Filter { status: Some(status), .. } => ("status = ?1", status.as_str().to_owned().into()),
        _ => ("?1", 1.into()),
    }
}

fn position(seq: Option<i64>) -> FeedPosition {
    FeedPosition { ms: 0, seq: unsigned(seq.unwrap_or(0)) }
}

/// Reads the three columns from `first` on; returns `None` if the station is not a valid id.
fn key(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<RecordKey>> {
    let (start_ns, token) = (unsigned(row.get(first)?), row.get::<_, String>(first + 2)?);
    let station = row.get::<_, String>(first + 1)?.parse().ok();
    let key = |station_id| RecordKey { start_ns, station_id, driver_token: PresentedToken::new(token) };
    Ok(station.map(key))
}
