//! Public stations and member tokens as rows. A cursor is the last item of the previous page.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use embedded_db::rusqlite::{self, Connection, OptionalExtension, Transaction, params};

use super::access::now;
use super::{EmbeddedStore, unavailable};
use crate::{Listing, Member, Millis, PageQuery, PlatformVersion, PublicAccess, SetChanged, StoreError};

#[async_trait]
impl PublicAccess for EmbeddedStore {
    async fn is_public(&self, station: StationId) -> Result<bool, StoreError> {
        let station = station.to_string();
        self.db.read(move |connection| is_public(connection, &station)).await.map_err(unavailable)
    }

    async fn change_stations(
        &self,
        add: &[StationId],
        remove: &[StationId],
    ) -> Result<SetChanged, StoreError> {
        let (add, remove) = (add.to_vec(), remove.to_vec());
        let change = move |tx: &Transaction<'_>| {
            let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO public_station VALUES (?1)")?;
            let mut delete = tx.prepare_cached("DELETE FROM public_station WHERE station_id = ?1")?;
            let mut changed = SetChanged::default();
            for station in &add {
                changed.added += insert.execute([station.to_string()])? as u64;
            }
            for station in &remove {
                changed.removed += delete.execute([station.to_string()])? as u64;
            }
            Ok(changed)
        };
        self.db.write(change).await.map_err(unavailable)
    }

    async fn stations(&self, query: &PageQuery<'_>) -> Result<Listing<StationId>, StoreError> {
        if query.cursor.is_some_and(|cursor| cursor.parse::<StationId>().is_err()) {
            return Err(StoreError::BadCursor);
        }
        let (after, limit) = (query.cursor.unwrap_or_default().to_owned(), query.limit);
        let page = move |connection: &Connection| {
            let sql =
                "SELECT station_id FROM public_station WHERE station_id > ?1 ORDER BY station_id LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![after, limit], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        let rows = self.db.read(page).await.map_err(unavailable)?;
        let next = rows.last().filter(|_| rows.len() == limit as usize).cloned();
        Ok(Listing { items: rows.iter().filter_map(|station| station.parse().ok()).collect(), next })
    }

    async fn member(&self, token: &DriverToken) -> Result<Option<Member>, StoreError> {
        let token = token.clone();
        self.db.read(move |connection| member(connection, &token)).await.map_err(unavailable)
    }

    async fn change_members(&self, add: &[Member], remove: &[DriverToken]) -> Result<SetChanged, StoreError> {
        let (add, remove) = (add.to_vec(), remove.to_vec());
        let change = move |tx: &Transaction<'_>| {
            let mut changed = SetChanged::default();
            let now = now();
            for member in &add {
                if member.is_over(now) {
                    changed.removed += u64::from(drop_member(tx, &member.token)?);
                } else {
                    changed.added += u64::from(put_member(tx, member)?);
                }
            }
            for token in &remove {
                changed.removed += u64::from(drop_member(tx, token)?);
            }
            Ok(changed)
        };
        self.db.write(change).await.map_err(unavailable)
    }

    async fn members(&self, query: &PageQuery<'_>) -> Result<Listing<Member>, StoreError> {
        if query.cursor.is_some_and(|cursor| DriverToken::parse(cursor).is_err()) {
            return Err(StoreError::BadCursor);
        }
        let (after, limit) = (query.cursor.unwrap_or_default().to_owned(), query.limit);
        let page = move |connection: &Connection| {
            let sql = "SELECT driver_token, until_ms FROM member
                       WHERE driver_token > ?1 ORDER BY driver_token LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![after, limit], |row| Ok((row.get(0)?, until(row, 1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, Option<Millis>)>>>()
        };
        let rows = self.db.read(page).await.map_err(unavailable)?;
        let next = rows.last().filter(|_| rows.len() == limit as usize).map(|(token, _)| token.clone());
        let now = now();
        let member = |(token, until): &(String, Option<Millis>)| {
            let member = Member { token: DriverToken::parse(token).ok()?, until: *until };
            (!member.is_over(now)).then_some(member)
        };
        Ok(Listing { items: rows.iter().filter_map(member).collect(), next })
    }

    async fn version(&self) -> Result<Option<PlatformVersion>, StoreError> {
        let version = |connection: &Connection| {
            let sql = "SELECT version FROM platform_version";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()
        };
        let version = self.db.read(version).await.map_err(unavailable)?;
        Ok(version.and_then(|version| PlatformVersion::new(version.unsigned_abs())))
    }

    async fn set_version(&self, version: Option<PlatformVersion>) -> Result<(), StoreError> {
        let set = move |tx: &Transaction<'_>| match version {
            Some(version) => {
                let sql = "INSERT OR REPLACE INTO platform_version VALUES (1, ?1)";
                tx.execute(sql, [version.number().cast_signed()]).map(drop)
            }
            None => tx.execute("DELETE FROM platform_version", []).map(drop),
        };
        self.db.write(set).await.map_err(unavailable)
    }
}

/// Whether the token is a member and the station public.
pub(super) fn admits(connection: &Connection, station: &str, token: &DriverToken) -> rusqlite::Result<bool> {
    Ok(is_public(connection, station)? && member(connection, token)?.is_some())
}

fn is_public(connection: &Connection, station: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM public_station WHERE station_id = ?1")?.exists([station])
}

/// The token's membership, unless it has ended.
fn member(connection: &Connection, token: &DriverToken) -> rusqlite::Result<Option<Member>> {
    let sql = "SELECT until_ms FROM member WHERE driver_token = ?1";
    let until =
        connection.prepare_cached(sql)?.query_row([token.expose()], |row| until(row, 0)).optional()?;
    let member = until.map(|until| Member { token: token.clone(), until });
    Ok(member.filter(|member| !member.is_over(now())))
}

/// Returns whether the member is new or has another end.
fn put_member(tx: &Transaction<'_>, new: &Member) -> rusqlite::Result<bool> {
    let held = member(tx, &new.token)?;
    let sql = "INSERT OR REPLACE INTO member VALUES (?1, ?2)";
    let until = new.until.unwrap_or(0).cast_signed();
    tx.prepare_cached(sql)?.execute(params![new.token.expose(), until])?;
    Ok(held.as_ref() != Some(new))
}

/// Returns whether the token was a member.
fn drop_member(tx: &Transaction<'_>, token: &DriverToken) -> rusqlite::Result<bool> {
    let held = member(tx, token)?;
    let sql = "DELETE FROM member WHERE driver_token = ?1";
    tx.prepare_cached(sql)?.execute([token.expose()])?;
    Ok(held.is_some())
}

/// Reads a column; 0 means unbounded.
fn until(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Millis>> {
    let until: i64 = row.get(column)?;
    Ok((until > 0).then(|| until.unsigned_abs()))
}
