//! The schedule as rows. One process owns the file, so no claims are needed.

use async_trait::async_trait;
use common::ids::DriverToken;
use embedded_db::rusqlite::{self, Connection, Transaction, params};

use super::access::{forget_times, keep_times, list, times_of, unlist};
use super::{EmbeddedStore, unavailable};
use crate::{Claim, Due, Millis, Schedule, Step, StoreError};

#[async_trait]
impl Schedule for EmbeddedStore {
    async fn claim(&self, now: Millis, limit: u32) -> Result<Claim, StoreError> {
        let claim = move |connection: &Connection| {
            let sql = "SELECT station_id, driver_token, due_ms FROM access_schedule
                       WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![now.cast_signed(), limit])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let (station, token): (String, String) = (row.get(0)?, row.get(1)?);
                let moment: i64 = row.get(2)?;
                let (Ok(station_id), Ok(token)) = (station.parse(), DriverToken::parse(&token)) else {
                    continue;
                };
                let times = times_of(connection, &station, &token)?;
                let step = times.and_then(|(period, waits)| Step::of(period, waits, now));
                due.push(Due { station: station_id, token, moment: moment.unsigned_abs(), step });
            }
            Ok(Claim { due, now })
        };
        self.db.read(claim).await.map_err(unavailable)
    }

    async fn settle(&self, claim: &Claim) -> Result<(), StoreError> {
        let claim = claim.clone();
        let settle =
            move |tx: &Transaction<'_>| claim.due.iter().try_for_each(|due| settle(tx, due, claim.now));
        self.db.write(settle).await.map_err(unavailable)
    }
}

fn settle(tx: &Transaction<'_>, due: &Due, now: Millis) -> rusqlite::Result<()> {
    let station = due.station.to_string();
    if let Some((period, waits)) = times_of(tx, &station, &due.token)? {
        match Step::of(period, waits, now) {
            Some(Step::End) => {
                unlist(tx, &station, &due.token)?;
                forget_times(tx, &station, &due.token)?;
            }
            Some(Step::Begin) => {
                list(tx, &station, &due.token)?;
                forget_times(tx, &station, &due.token)?;
                if period.until().is_some() {
                    keep_times(tx, &station, &due.token, period, false)?;
                }
            }
            None => {}
        }
    }
    let sql = "DELETE FROM access_schedule WHERE due_ms = ?1 AND station_id = ?2 AND driver_token = ?3";
    tx.prepare_cached(sql)?.execute(params![due.moment.cast_signed(), station, due.token.expose()]).map(drop)
}
