//! Groups of stations as rows. A cursor is the last item of the previous page.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use embedded_db::rusqlite::{self, Connection, Transaction, params};

use super::{EmbeddedStore, unavailable};
use crate::{Entry, GroupName, GroupSize, Groups, Listing, PageQuery, Period, StoreError};

impl EmbeddedStore {
    /// Runs a statement; returns whether it changed anything.
    async fn changes<const N: usize>(
        &self,
        sql: &'static str,
        values: [String; N],
    ) -> Result<bool, StoreError> {
        let change = move |tx: &Transaction<'_>| {
            tx.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values.iter()))
        };
        Ok(self.db.write(change).await.map_err(unavailable)? > 0)
    }

    /// Two texts of each row. The statement's parameters are a name, the item to start after, and the limit.
    async fn rows(
        &self,
        sql: &'static str,
        name: String,
        query: &PageQuery<'_>,
    ) -> Result<(Vec<(String, String)>, Option<String>), StoreError> {
        let (after, limit) = (query.cursor.unwrap_or_default().to_owned(), query.limit);
        let page = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![name, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        };
        let rows = self.db.read(page).await.map_err(unavailable)?;
        let next = rows.last().filter(|_| rows.len() == query.limit as usize).map(|(key, _)| key.clone());
        Ok((rows, next))
    }
}

#[async_trait]
impl Groups for EmbeddedStore {
    async fn create(&self, name: &GroupName) -> Result<bool, StoreError> {
        self.changes("INSERT OR IGNORE INTO station_group VALUES (?1)", [name.to_string()]).await
    }

    async fn delete(&self, name: &GroupName) -> Result<bool, StoreError> {
        let name = name.to_string();
        let delete = move |tx: &Transaction<'_>| {
            tx.execute("DELETE FROM group_station WHERE name = ?1", [&name])?;
            tx.execute("DELETE FROM group_driver WHERE name = ?1", [&name])?;
            tx.execute("DELETE FROM station_group WHERE name = ?1", [&name])
        };
        Ok(self.db.write(delete).await.map_err(unavailable)? > 0)
    }

    async fn size(&self, name: &GroupName) -> Result<Option<GroupSize>, StoreError> {
        let name = name.to_string();
        let size = move |connection: &Connection| {
            let known =
                connection.prepare_cached("SELECT 1 FROM station_group WHERE name = ?1")?.exists([&name])?;
            let count = |sql: &str| -> rusqlite::Result<u64> {
                connection.query_row(sql, [&name], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
            };
            let stations = count("SELECT count(*) FROM group_station WHERE name = ?1")?;
            let drivers = count("SELECT count(*) FROM group_driver WHERE name = ?1")?;
            Ok(known.then_some(GroupSize { stations, drivers }))
        };
        self.db.read(size).await.map_err(unavailable)
    }

    async fn names(&self, query: &PageQuery<'_>) -> Result<Listing<GroupName>, StoreError> {
        cursor_as(query, |text| GroupName::parse(text).is_ok())?;
        let sql = "SELECT name, ?1 FROM station_group WHERE name > ?2 ORDER BY name LIMIT ?3";
        let (rows, next) = self.rows(sql, String::new(), query).await?;
        Ok(Listing { items: rows.iter().filter_map(|(name, _)| GroupName::parse(name).ok()).collect(), next })
    }

    async fn join(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO group_station VALUES (?1, ?2)";
        self.changes(sql, [name.to_string(), station.to_string()]).await
    }

    async fn leave(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM group_station WHERE name = ?1 AND station_id = ?2";
        self.changes(sql, [name.to_string(), station.to_string()]).await
    }

    async fn stations(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<StationId>, StoreError> {
        cursor_as(query, |text| text.parse::<StationId>().is_ok())?;
        let sql = "SELECT station_id, name FROM group_station WHERE name = ?1 AND station_id > ?2
                   ORDER BY station_id LIMIT ?3";
        let (rows, next) = self.rows(sql, name.to_string(), query).await?;
        Ok(Listing { items: rows.iter().filter_map(|(station, _)| station.parse().ok()).collect(), next })
    }

    async fn put_driver(&self, name: &GroupName, entry: &Entry) -> Result<bool, StoreError> {
        let known = self.has_drivers(name, std::slice::from_ref(&entry.token)).await?;
        let sql = "INSERT OR REPLACE INTO group_driver VALUES (?1, ?2, ?3)";
        let values = [name.to_string(), entry.token.expose().to_owned(), entry.period.to_text()];
        self.changes(sql, values).await?;
        Ok(known.first() == Some(&false))
    }

    async fn remove_driver(&self, name: &GroupName, token: &DriverToken) -> Result<bool, StoreError> {
        let sql = "DELETE FROM group_driver WHERE name = ?1 AND driver_token = ?2";
        self.changes(sql, [name.to_string(), token.expose().to_owned()]).await
    }

    async fn drivers(&self, name: &GroupName, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError> {
        cursor_as(query, |text| DriverToken::parse(text).is_ok())?;
        let sql = "SELECT driver_token, period FROM group_driver WHERE name = ?1 AND driver_token > ?2
                   ORDER BY driver_token LIMIT ?3";
        let (rows, next) = self.rows(sql, name.to_string(), query).await?;
        let entry = |(token, period): &(String, String)| {
            Some(Entry { token: DriverToken::parse(token).ok()?, period: Period::from_text(period)? })
        };
        Ok(Listing { items: rows.iter().filter_map(entry).collect(), next })
    }

    async fn has_drivers(&self, name: &GroupName, tokens: &[DriverToken]) -> Result<Vec<bool>, StoreError> {
        let (name, tokens) = (name.to_string(), tokens.to_vec());
        let has = move |connection: &Connection| {
            let sql = "SELECT 1 FROM group_driver WHERE name = ?1 AND driver_token = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            tokens.iter().map(|token| statement.exists(params![name, token.expose()])).collect()
        };
        self.db.read(has).await.map_err(unavailable)
    }
}

fn cursor_as(query: &PageQuery<'_>, fits: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    if query.cursor.is_none_or(fits) { Ok(()) } else { Err(StoreError::BadCursor) }
}
