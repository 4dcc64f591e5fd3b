//! Record search by the index, and the feed of decisions.

use std::ops::ControlFlow;

use async_trait::async_trait;
use common::clock;
use redis::Pipeline;

use super::index::{Bounds, HOUR};
use super::{RedisStore, roomy};
use crate::search::PageBuilder;
use crate::{DeliveryState, Fed, FeedPosition, Filter, Found, Place, Record, RecordKey, Search, StoreError};

/// How many decisions the feed keeps for resuming streams.
const FEED_LENGTH: u32 = 100_000;
/// Keys read in one round trip, and for one page.
const KEYS_AT_ONCE: u64 = 128;
const KEYS_A_PAGE: u64 = 8192;
/// Entries looked up in other lists in one round trip, and for one page. Each costs Redis about two microseconds.
const ENTRIES_AT_ONCE: usize = 512;
const ENTRIES_A_PAGE: usize = 1024;
/// Records read in one round trip: few at first, as mostly all of them match, then more and more.
const RECORDS_AT_FIRST: usize = 32;
const RECORDS_AT_ONCE: usize = 256;
/// How far the clock of the process that accepted the call may be ahead of ours.
const AHEAD: u64 = HOUR;

impl RedisStore {
    /// Appends a decision to the feed. It runs after the record is written, because readers of the feed read the record
    /// at once.
    pub(super) fn feed(&self, pipe: &mut Pipeline, place: Place) {
        let key = self.feed_key();
        let mut add = roomy("XADD", 7, key.len() + 50);
        add.arg(key)
            .arg("MAXLEN")
            .arg("~")
            .arg(FEED_LENGTH)
            .arg("*")
            .arg("at")
            .arg(place.to_bytes().as_slice());
        pipe.add_command(add).ignore();
    }

    fn feed_key(&self) -> String {
        self.key("voltgate:decisions")
    }

    /// The records at these places; `None` if a record has expired or its delivery state differs.
    async fn records_at(
        &self,
        places: &[Place],
        delivery: Option<DeliveryState>,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for place in places {
            pipe.cmd("GET").arg(self.request_key(place.request_id));
        }
        let keys: Vec<Option<String>> = self.pipeline(&pipe).await?;
        let with_places = keys.iter().zip(places);
        let keys = with_places.map(|(key, place)| {
            let key = key.as_deref().and_then(RecordKey::from_redis);
            key.filter(|key| key.start_ns == place.start_ns)
        });
        let mut keys: Vec<Option<RecordKey>> = keys.collect();
        if let Some(wanted) = delivery {
            self.keep_delivery(&mut keys, wanted).await?;
        }
        self.read_many(&keys).await
    }

    /// Adds the records at these places to the page. Returns `Break` with the last place examined once the page is full
    /// or has reached its cost limit.
    async fn gather(
        &self,
        mut places: &[Place],
        at_once: &mut usize,
        page: &mut PageBuilder<'_>,
    ) -> Result<ControlFlow<Place>, StoreError> {
        while !places.is_empty() {
            let (these, later) = places.split_at(places.len().min(*at_once));
            for (place, record) in these.iter().zip(self.records_at(these, page.delivery()).await?) {
                if page.offer(record).is_break() {
                    return Ok(ControlFlow::Break(*place));
                }
            }
            (places, *at_once) = (later, (*at_once * 4).min(RECORDS_AT_ONCE));
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[async_trait]
impl Search for RedisStore {
    async fn list(&self, filter: &Filter, after: Option<Place>, limit: usize) -> Result<Found, StoreError> {
        let now = clock::now();
        let to = filter.to_ns.unwrap_or(u64::MAX).min(now.saturating_add(AHEAD));
        let mut upper = after.unwrap_or(Place::before(u64::MAX)).min(Place::before(to));
        let sought = self.sought(filter, upper.start_ns.min(now)).await?;
        let length = sought.bucket_length();
        let oldest = now.saturating_sub(clock::nanos(self.options.retention) + length);
        let from = filter.from_ns.unwrap_or(0).max(oldest);
        let end = Place::before(from);
        let most = (KEYS_AT_ONCE / sought.width()).max(1);
        let (mut buckets, mut keys_asked, mut entries_asked) = (1, 0, 0);
        let (mut page, mut records_at_once) = (PageBuilder::new(filter, limit), limit.max(RECORDS_AT_FIRST));
        while upper > end && keys_asked < KEYS_A_PAGE && entries_asked < ENTRIES_A_PAGE {
            let newest = upper.newest_before() / length;
            let last = (newest + 1).saturating_sub(buckets).max(from / length);
            let keys = sought.keys(last, newest);
            keys_asked += keys.len() as u64;
            let narrowed = sought.is_narrowed();
            let count = if narrowed { ENTRIES_AT_ONCE } else { records_at_once };
            let places = self.places(&keys, &Bounds::new(upper, from), count).await?;
            let places: Vec<Place> = places.into_iter().rev().take(count).collect();
            // Goes further back, unless these buckets have more.
            (upper, buckets) = match places.last() {
                Some(last) if places.len() == count => (*last, buckets),
                _ => (Place::before(last * length), (buckets * 4).min(most)),
            };
            entries_asked += if narrowed { places.len() } else { 0 };
            let places = self.narrow(&sought, places).await?;
            if let ControlFlow::Break(last) = self.gather(&places, &mut records_at_once, &mut page).await? {
                return Ok(page.until(Some(last)));
            }
        }
        Ok(page.until((upper > end).then_some(upper)))
    }

    async fn feed_end(&self) -> Result<FeedPosition, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(self.feed_key()).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: Vec<(String, Vec<Vec<u8>>)> = self.command(&command).await?;
        Ok(newest.first().and_then(|(id, _)| id.parse().ok()).unwrap_or_default())
    }

    async fn feed_holds(&self, position: FeedPosition) -> Result<bool, StoreError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.feed_key()).arg(position.to_string()).arg(position.to_string());
        let there: Vec<(String, Vec<Vec<u8>>)> = self.command(&command).await?;
        Ok(!there.is_empty())
    }

    async fn feed_after(&self, position: FeedPosition, limit: usize) -> Result<Fed, StoreError> {
        type Entries = Vec<(String, Vec<Vec<u8>>)>;
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(limit).arg("STREAMS").arg(self.feed_key()).arg(position.to_string());
        let streams: Option<Vec<(String, Entries)>> = self.command(&command).await?;
        let entries = streams.unwrap_or_default().pop().map(|(_, entries)| entries).unwrap_or_default();
        let read: Vec<(FeedPosition, Place)> = entries
            .iter()
            .filter_map(|(id, fields)| Some((id.parse().ok()?, Place::from_bytes(fields.get(1)?)?)))
            .collect();
        let places: Vec<Place> = read.iter().map(|(_, place)| *place).collect();
        let records = self.records_at(&places, None).await?;
        let found = read.iter().zip(records).filter_map(|((id, _), record)| Some((*id, record?)));
        Ok(Fed {
            records: found.collect(),
            position: entries.last().and_then(|(id, _)| id.parse().ok()).unwrap_or(position),
            more: entries.len() == limit,
        })
    }
}
