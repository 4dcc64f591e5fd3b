//! Access lists as rows.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use embedded_db::rusqlite::{self, Connection, params};

use super::{EmbeddedStore, unavailable};
use crate::{AccessLists, Added, Page, StoreError};

#[async_trait]
impl AccessLists for EmbeddedStore {
    async fn contains(&self, station: StationId, token: &DriverToken) -> Result<bool, StoreError> {
        let pair = (station.to_string(), token.clone());
        self.db.read(move |connection| listed(connection, &pair.0, &pair.1)).await.map_err(unavailable)
    }

    async fn contains_many(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError> {
        let pairs = pairs.to_vec();
        let all = move |connection: &Connection| {
            pairs.iter().map(|(station, token)| listed(connection, &station.to_string(), token)).collect()
        };
        self.db.read(all).await.map_err(unavailable)
    }

    async fn add(&self, station: StationId, tokens: &[DriverToken]) -> Result<Added, StoreError> {
        let (station, tokens) = (station.to_string(), tokens.to_vec());
        let add = move |tx: &rusqlite::Transaction<'_>| {
            let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO access_entry VALUES (?1, ?2)")?;
            let mut added = 0;
            for token in &tokens {
                added += insert.execute(params![station, token.expose()])?;
            }
            Ok(Added { added: added as u64, size: size(tx, &station)? })
        };
        self.db.write(add).await.map_err(unavailable)
    }

    async fn remove(&self, station: StationId, token: &DriverToken) -> Result<u64, StoreError> {
        let (station, token) = (station.to_string(), token.clone());
        let remove = move |tx: &rusqlite::Transaction<'_>| {
            let sql = "DELETE FROM access_entry WHERE station_id = ?1 AND driver_token = ?2";
            tx.prepare_cached(sql)?.execute(params![station, token.expose()])?;
            size(tx, &station)
        };
        self.db.write(remove).await.map_err(unavailable)
    }

    /// The cursor is the last token of the page before.
    async fn page(&self, station: StationId, cursor: Option<&str>, limit: u32) -> Result<Page, StoreError> {
        if cursor.is_some_and(|cursor| DriverToken::parse(cursor).is_err()) {
            return Err(StoreError::BadCursor);
        }
        let (station, after) = (station.to_string(), cursor.unwrap_or_default().to_owned());
        let page = move |connection: &Connection| {
            let sql = "SELECT driver_token FROM access_entry WHERE station_id = ?1 AND driver_token > ?2
                       ORDER BY driver_token LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![station, after, limit], |row| row.get::<_, String>(0))?;
            let members = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let next = members.last().filter(|_| members.len() == limit as usize).cloned();
            let tokens = members.iter().filter_map(|member| DriverToken::parse(member).ok()).collect();
            Ok(Page { tokens, size: size(connection, &station)?, next })
        };
        self.db.read(page).await.map_err(unavailable)
    }
}

fn listed(connection: &Connection, station: &str, token: &DriverToken) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM access_entry WHERE station_id = ?1 AND driver_token = ?2";
    connection.prepare_cached(sql)?.exists(params![station, token.expose()])
}

fn size(connection: &Connection, station: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM access_entry WHERE station_id = ?1";
    connection.prepare_cached(sql)?.query_row([station], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
