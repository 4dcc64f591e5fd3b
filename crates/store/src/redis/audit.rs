//! The audit trail: a stream for each day (UTC), `voltgate:audit:<YYYY-MM-DD>`, which expires with the records' retention.

use async_trait::async_trait;
use common::clock;
use time::{Date, OffsetDateTime};

use super::{RedisStore, unavailable};
use crate::{AuditEntry, AuditFilter, AuditTrail, Listing, Millis, StoreError};

/// The cost limit of one page: the number of reads, and the entries of each. An entry of a bulk change holds some 40
/// kB.
const READS: u32 = 40;
const READ_COUNT: usize = 100;
const DAY_SECONDS: u64 = 24 * 3600;

impl RedisStore {
    fn audit_day(&self, day: Date) -> String {
        self.key(format_args!("voltgate:audit:{day}"))
    }

    /// The last and the first day that can hold matching entries.
    fn days(&self, filter: &AuditFilter) -> (Date, Date) {
        let now = clock::now() / 1_000_000;
        // Another process's clock may be ahead of ours.
        let newest = now.saturating_add(DAY_SECONDS * 1000);
        let oldest = now.saturating_sub((self.options.retention.as_secs() + DAY_SECONDS) * 1000);
        let last = filter.to_ms.map_or(newest, |to| to.min(newest));
        let first = filter.from_ms.map_or(oldest, |from| from.max(oldest));
        (day_of(last), day_of(first))
    }
}

#[async_trait]
impl AuditTrail for RedisStore {
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let key = self.audit_day(day_of(entry.at_ms));
        let text = serde_json::to_string(entry).map_err(unavailable)?;
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("XADD").arg(&key).arg("*").arg("entry").arg(text).ignore();
        // Counted from the end of its day.
        pipe.cmd("EXPIRE").arg(&key).arg(self.options.retention.as_secs() + DAY_SECONDS).ignore();
        self.pipeline(&pipe).await
    }

    async fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<AuditEntry>, StoreError> {
        let (last, first) = self.days(filter);
        let (mut day, mut before) = match cursor {
            Some(cursor) => parse_cursor(cursor)?,
            None => (last, "+".to_owned()),
        };
        day = day.min(last);
        let mut items = Vec::new();
        for _ in 0..READS {
            if day < first {
                return Ok(Listing { items, next: None });
            }
            let mut command = redis::cmd("XREVRANGE");
            command.arg(self.audit_day(day)).arg(&before).arg("-").arg("COUNT").arg(READ_COUNT);
            let read: Vec<(String, Vec<(String, String)>)> = self.command(&command).await?;
            for (id, fields) in &read {
                before = format!("({id}");
                items.extend(parse_entry(fields).filter(|entry| filter.fits(entry)));
                if items.len() >= limit as usize {
                    return Ok(Listing { items, next: Some(format!("{day}:{id}")) });
                }
            }
            if read.len() < READ_COUNT {
                let Some(previous) = day.previous_day() else { return Ok(Listing { items, next: None }) };
                (day, before) = (previous, "+".to_owned());
            }
        }
        let place = before.strip_prefix('(').unwrap_or_default();
        Ok(Listing { items, next: Some(format!("{day}:{place}")) })
    }
}

/// The UTC day of a moment; the calendar's last day for moments after it.
fn day_of(moment: Millis) -> Date {
    let seconds = i64::try_from(moment / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date)
}

/// `YYYY-MM-DD:ID` selects what precedes that entry of that day; without the id, all of the day.
fn parse_cursor(text: &str) -> Result<(Date, String), StoreError> {
    let parse = || {
        let (day, id) = text.split_once(':')?;
        let mut parts = day.splitn(3, '-');
        let year = parts.next()?.parse().ok()?;
        let month: u8 = parts.next()?.parse().ok()?;
        let date =
            Date::from_calendar_date(year, month.try_into().ok()?, parts.next()?.parse().ok()?).ok()?;
        if id.is_empty() {
            return Some((date, "+".to_owned()));
        }
        let (ms, sequence) = id.split_once('-')?;
        let (ms, sequence): (u64, u64) = (ms.parse().ok()?, sequence.parse().ok()?);
        Some((date, format!("({ms}-{sequence}")))
    };
    parse().ok_or(StoreError::BadCursor)
}

/// Returns `None` if the fields are not a valid entry.
fn parse_entry(fields: &[(String, String)]) -> Option<AuditEntry> {
    let (_, text) = fields.iter().find(|(name, _)| name == "entry")?;
    serde_json::from_str(text).ok()
}
