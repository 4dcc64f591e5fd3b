//! Access lists as rows. Validity periods are in a table of their own.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use embedded_db::rusqlite::{self, Connection, OptionalExtension, Transaction, params};

use super::{EmbeddedStore, now_ms, public_access, unavailable};
use crate::{AccessLists, Change, Changed, Entry, Grounds, Listing, Page, PageQuery, Period, StoreError};

/// Maximum rows that one page of a search may examine.
const SEARCHED: u32 = 10_000;

#[async_trait]
impl AccessLists for EmbeddedStore {
    async fn check(&self, station: StationId, token: &DriverToken) -> Result<Option<Grounds>, StoreError> {
        let pair = (station.to_string(), token.clone());
        self.db.read(move |connection| grounds(connection, &pair.0, &pair.1)).await.map_err(unavailable)
    }

    async fn check_many(
        &self,
        pairs: &[(StationId, DriverToken)],
    ) -> Result<Vec<Option<Grounds>>, StoreError> {
        let pairs = pairs.to_vec();
        let all = move |connection: &Connection| {
            pairs.iter().map(|(station, token)| grounds(connection, &station.to_string(), token)).collect()
        };
        self.db.read(all).await.map_err(unavailable)
    }

    async fn has_entries(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError> {
        let pairs = pairs.to_vec();
        let all = move |connection: &Connection| {
            let has = |(station, token): &(StationId, DriverToken)| {
                let held = StoredRows::read(connection, &station.to_string(), token)?;
                Ok(held.times.map_or(held.listed, |(period, _)| !period.is_over(now())))
            };
            pairs.iter().map(has).collect()
        };
        self.db.read(all).await.map_err(unavailable)
    }

    async fn change(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError> {
        let (station, changes) = (station.to_string(), changes.to_vec());
        let change = move |tx: &Transaction<'_>| {
            let mut changed = 0;
            for change in &changes {
                changed += u64::from(apply(tx, &station, change)?);
            }
            Ok(Changed { changed, size: size(tx, &station)? })
        };
        self.db.write(change).await.map_err(unavailable)
    }

    async fn change_each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError> {
        let changes = changes.to_vec();
        let change = move |tx: &Transaction<'_>| {
            changes.iter().try_fold(0, |changed, (station, change)| {
                Ok(changed + u64::from(apply(tx, &station.to_string(), change)?))
            })
        };
        self.db.write(change).await.map_err(unavailable)
    }

    /// The cursor is the last token that the previous page examined.
    async fn page(&self, station: StationId, query: &PageQuery<'_>) -> Result<Page, StoreError> {
        let (station, after) = (station.to_string(), token_cursor(query.cursor)?);
        let (search, limit) = (query.search.unwrap_or_default().to_owned(), query.limit as usize);
        let looked_at = if search.is_empty() { query.limit } else { SEARCHED };
        let page = move |connection: &Connection| {
            let sql = "SELECT e.driver_token, t.from_ms, t.until_ms FROM access_entry e
                       LEFT JOIN access_times t USING (station_id, driver_token)
                       WHERE e.station_id = ?1 AND e.driver_token > ?2 ORDER BY e.driver_token LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![station, after, looked_at])?;
            let (mut entries, mut seen, mut last, now) = (Vec::new(), 0, None, now());
            while let Some(row) = rows.next()? {
                let token: String = row.get(0)?;
                seen += 1;
                let fits = token.contains(&search);
                let entry = DriverToken::parse(&token)
                    .ok()
                    .map(|token| Ok::<_, rusqlite::Error>(Entry { token, period: period(row, 1)? }))
                    .transpose()?;
                entries.extend(entry.filter(|entry| fits && !entry.period.is_over(now)));
                last = Some(token);
                if entries.len() == limit {
                    break;
                }
            }
            let next = last.filter(|_| seen == looked_at || entries.len() == limit);
            Ok(Page { entries, size: size(connection, &station)?, next })
        };
        self.db.read(page).await.map_err(unavailable)
    }

    async fn timed(&self, station: StationId, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError> {
        let (station, after, limit) = (station.to_string(), token_cursor(query.cursor)?, query.limit);
        let page = move |connection: &Connection| {
            let sql = "SELECT driver_token, from_ms, until_ms FROM access_times
                       WHERE station_id = ?1 AND driver_token > ?2 ORDER BY driver_token LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement
                .query_map(params![station, after, limit], |row| {
                    Ok((row.get::<_, String>(0)?, period(row, 1)?))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let next = rows.last().filter(|_| rows.len() == limit as usize).map(|(token, _)| token.clone());
            let entry = |(token, period): &(String, Period)| {
                let entry = Entry { token: DriverToken::parse(token).ok()?, period: *period };
                (!period.is_over(now())).then_some(entry)
            };
            Ok(Listing { items: rows.iter().filter_map(entry).collect(), next })
        };
        self.db.read(page).await.map_err(unavailable)
    }
}

/// The stored rows of one driver at one station.
struct StoredRows {
    listed: bool,
    times: Option<(Period, bool)>,
}

/// Returns whether the entry changed.
fn apply(tx: &Transaction<'_>, station: &str, change: &Change) -> rusqlite::Result<bool> {
    let (token, now) = (change.token(), now());
    let held = StoredRows::read(tx, station, token)?;
    let over = held.times.is_some_and(|(period, _)| period.is_over(now));
    let there = (held.listed || held.times.is_some()) && !over;
    match change {
        Change::Remove(_) => {
            unlist(tx, station, token)?;
            forget_times(tx, station, token)?;
            Ok(there)
        }
        Change::AdmitIfAbsent(_) if there => Ok(false),
        Change::Admit(entry) | Change::AdmitIfAbsent(entry) => {
            let waits = entry.period.is_to_come(now);
            let times = (waits || entry.period.until().is_some()).then_some((entry.period, waits));
            if waits {
                unlist(tx, station, token)?;
            } else {
                list(tx, station, token)?;
            }
            forget_times(tx, station, token)?;
            if let Some((period, waits)) = times {
                keep_times(tx, station, token, period, waits)?;
            }
            for moment in entry.period.moments_after(now) {
                tx.prepare_cached("INSERT OR IGNORE INTO access_schedule VALUES (?1, ?2, ?3)")?
                    .execute(params![moment.cast_signed(), station, token.expose()])?;
            }
            Ok(held.listed == waits || held.times != times)
        }
    }
}

impl StoredRows {
    fn read(connection: &Connection, station: &str, token: &DriverToken) -> rusqlite::Result<Self> {
        let sql = "SELECT 1 FROM access_entry WHERE station_id = ?1 AND driver_token = ?2";
        let listed = connection.prepare_cached(sql)?.exists(params![station, token.expose()])?;
        Ok(Self { listed, times: times_of(connection, station, token)? })
    }
}

/// An entry's validity, and whether it has yet to begin.
pub(super) fn times_of(
    connection: &Connection,
    station: &str,
    token: &DriverToken,
) -> rusqlite::Result<Option<(Period, bool)>> {
    let sql = "SELECT from_ms, until_ms, waits FROM access_times WHERE station_id = ?1 AND driver_token = ?2";
    connection
        .prepare_cached(sql)?
        .query_row(params![station, token.expose()], |row| Ok((period(row, 0)?, row.get(2)?)))
        .optional()
}

pub(super) fn list(tx: &Transaction<'_>, station: &str, token: &DriverToken) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO access_entry VALUES (?1, ?2)";
    tx.prepare_cached(sql)?.execute(params![station, token.expose()]).map(drop)
}

pub(super) fn unlist(tx: &Transaction<'_>, station: &str, token: &DriverToken) -> rusqlite::Result<()> {
    let sql = "DELETE FROM access_entry WHERE station_id = ?1 AND driver_token = ?2";
    tx.prepare_cached(sql)?.execute(params![station, token.expose()]).map(drop)
}

pub(super) fn keep_times(
    tx: &Transaction<'_>,
    station: &str,
    token: &DriverToken,
    period: Period,
    waits: bool,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO access_times VALUES (?1, ?2, ?3, ?4, ?5)";
    let moment = |moment: Option<u64>| moment.unwrap_or(0).cast_signed();
    let (from, until) = (moment(period.from()), moment(period.until()));
    tx.prepare_cached(sql)?.execute(params![station, token.expose(), from, until, waits]).map(drop)
}

pub(super) fn forget_times(tx: &Transaction<'_>, station: &str, token: &DriverToken) -> rusqlite::Result<()> {
    let sql = "DELETE FROM access_times WHERE station_id = ?1 AND driver_token = ?2";
    tx.prepare_cached(sql)?.execute(params![station, token.expose()]).map(drop)
}

fn grounds(connection: &Connection, station: &str, token: &DriverToken) -> rusqlite::Result<Option<Grounds>> {
    let held = StoredRows::read(connection, station, token)?;
    if held.listed && !held.times.is_some_and(|(period, _)| period.is_over(now())) {
        return Ok(Some(Grounds::List));
    }
    Ok(public_access::admits(connection, station, token)?.then_some(Grounds::Public))
}

/// Reads two columns; 0 or NULL means unbounded.
fn period(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Period> {
    let moment = |column| {
        let value: Option<i64> = row.get(column)?;
        Ok::<_, rusqlite::Error>(value.filter(|moment| *moment > 0).map(i64::unsigned_abs))
    };
    Ok(Period::new(moment(column)?, moment(column + 1)?).unwrap_or_default())
}

fn token_cursor(cursor: Option<&str>) -> Result<String, StoreError> {
    match cursor {
        Some(cursor) if DriverToken::parse(cursor).is_err() => Err(StoreError::BadCursor),
        cursor => Ok(cursor.unwrap_or_default().to_owned()),
    }
}

fn size(connection: &Connection, station: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM access_entry WHERE station_id = ?1";
    connection.prepare_cached(sql)?.query_row([station], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

pub(super) fn now() -> u64 {
    now_ms().unsigned_abs()
}
