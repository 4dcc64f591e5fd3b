//! The index: sorted sets of places, in buckets of time that expire with their records, and the feed of decisions.
//!
//! A member is the 24 bytes of a [`Place`], all with one score, so that they sort by bytes. A bucket is small enough that its
//! expiry does not hold up Redis, and where it can stay below 128 members Redis keeps it in one compact piece.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use async_trait::async_trait;
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::StationId;
use redis::Pipeline;
use sha2::{Digest, Sha256};

use super::RedisStore;
use crate::search::Gathering;
use crate::{Fed, FeedPosition, Filter, Found, Place, Record, RecordKey, Search, StoreError};

const HOUR: Nanos = 3_600_000_000_000;
const DECISIONS: [Decision; 4] =
    [Decision::Allowed, Decision::NotAllowed, Decision::Unknown, Decision::Invalid];
/// So many decisions can be resumed from.
const FEED_LENGTH: u32 = 100_000;
/// Keys asked for in one round trip, and for one page.
const KEYS_AT_ONCE: u64 = 128;
const KEYS_A_PAGE: u64 = 8192;
/// Members read at once where not all of them will fit.
const AT_ONCE: usize = 128;
/// By how much the clock of whoever took the call may be ahead of ours.
const AHEAD: Nanos = HOUR;

/// A list that a record is entered in. All records together are those of each decision.
enum Family<'a> {
    Status(Decision),
    Station(StationId),
    Driver(&'a str),
}

impl Family<'_> {
    /// The length of a bucket: the fewer records come in a time, the longer.
    fn bucket_length(&self) -> Nanos {
        match self {
            Self::Status(_) => HOUR,
            Self::Station(_) => 24 * HOUR,
            Self::Driver(_) => 7 * 24 * HOUR,
        }
    }

    fn bucket(&self, number: u64) -> String {
        match self {
            Self::Status(status) => format!("voltgate:by-status:{status}:{number}"),
            Self::Station(station) => format!("voltgate:by-station:{station}:{number}"),
            Self::Driver(token) => format!("voltgate:by-driver:{}:{number}", hashed(token)),
        }
    }

    /// Those whose entries hold all that a filter wants, the fewest possible.
    fn of(filter: &Filter) -> Vec<Family<'_>> {
        match filter {
            Filter { driver_token: Some(token), .. } => vec![Family::Driver(token.expose())],
            Filter { station_id: Some(station), .. } => vec![Family::Station(*station)],
            Filter { status: Some(status), .. } => vec![Family::Status(*status)],
            _ => DECISIONS.map(Family::Status).into(),
        }
    }
}

/// The keys, without a prefix, that a record is entered under, each with the length of its bucket.
pub fn entries(key: &RecordKey, decision: Decision) -> [(String, Duration); 3] {
    let families = [
        Family::Status(decision),
        Family::Station(key.station_id),
        Family::Driver(key.driver_token.expose()),
    ];
    families.map(|family| {
        let length = family.bucket_length();
        (family.bucket(key.start_ns / length), Duration::from_nanos(length))
    })
}

impl RedisStore {
    /// Enters a record. Before it is written, so that it cannot be there unseen; twice does no harm.
    pub(super) fn index(&self, pipe: &mut Pipeline, key: &RecordKey, place: Place, decision: Decision) {
        for (bucket, length) in entries(key, decision) {
            let bucket = self.key(bucket);
            pipe.cmd("ZADD").arg(&bucket).arg(0).arg(place.to_bytes().as_slice()).ignore();
            // The last one that comes in is the last to expire.
            let keep = self.options.retention + length;
            pipe.cmd("EXPIRE").arg(bucket).arg(keep.as_secs()).ignore();
        }
    }

    /// Puts a decision into the feed. After its record is written, because whoever reads the feed reads that at once.
    pub(super) fn feed(&self, pipe: &mut Pipeline, place: Place) {
        pipe.cmd("XADD").arg(self.feed_key()).arg("MAXLEN").arg("~").arg(FEED_LENGTH);
        pipe.arg("*").arg("at").arg(place.to_bytes().as_slice()).ignore();
    }

    fn feed_key(&self) -> String {
        self.key("voltgate:decisions")
    }

    /// The entries of some buckets within these bounds, the newest first, at most `count` of each list.
    async fn places(
        &self,
        keys: &[String],
        bounds: &Bounds,
        count: usize,
    ) -> Result<BTreeSet<Place>, StoreError> {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("ZREVRANGEBYLEX").arg(self.key(key)).arg(&bounds.upper).arg(&bounds.lower);
            pipe.arg("LIMIT").arg(0).arg(count);
        }
        let lists: Vec<Vec<Vec<u8>>> = self.pipeline(&pipe).await?;
        Ok(lists.iter().flatten().filter_map(|member| Place::from_bytes(member)).collect())
    }

    /// The records at these places; nothing where one has expired.
    async fn records_at(&self, places: &[Place]) -> Result<Vec<Option<Record>>, StoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for place in places {
            pipe.cmd("GET").arg(self.request_key(place.request_id));
        }
        let keys: Vec<Option<String>> = self.pipeline(&pipe).await?;
        let keys = keys.iter().zip(places).map(|(key, place)| {
            let key = key.as_deref().and_then(RecordKey::from_redis);
            key.filter(|key| key.start_ns == place.start_ns)
        });
        self.read_many(&keys.collect::<Vec<_>>()).await
    }
}

/// Between which entries a page is.
struct Bounds {
    upper: Vec<u8>,
    lower: Vec<u8>,
}

impl Bounds {
    fn new(upper: Place, from: Nanos) -> Self {
        let sign = |sign: u8, bytes: &[u8]| [&[sign], bytes].concat();
        Self { upper: sign(b'(', &upper.to_bytes()), lower: sign(b'[', &from.to_be_bytes()) }
    }
}

#[async_trait]
impl Search for RedisStore {
    async fn list(&self, filter: &Filter, after: Option<Place>, limit: usize) -> Result<Found, StoreError> {
        let families = Family::of(filter);
        let (length, now) = (families[0].bucket_length(), clock::now());
        let oldest = now.saturating_sub(clock::nanos(self.options.retention) + length);
        let from = filter.from_ns.unwrap_or(0).max(oldest);
        let to = filter.to_ns.unwrap_or(u64::MAX).min(now.saturating_add(AHEAD));
        let mut upper = after.unwrap_or(Place::before(u64::MAX)).min(Place::before(to));
        let mut gathering = Gathering::new(filter, limit);
        let count = limit.max(AT_ONCE);
        let most = (KEYS_AT_ONCE / families.len() as u64).max(1);
        let (mut at_once, mut asked) = (1, 0);
        let end = Place::before(from);
        while upper > end && asked < KEYS_A_PAGE {
            let newest = upper.newest_before() / length;
            let last = (newest + 1).saturating_sub(at_once).max(from / length);
            let keys: Vec<String> = (last..=newest)
                .flat_map(|number| families.iter().map(move |family| family.bucket(number)))
                .collect();
            asked += keys.len() as u64;
            let places = self.places(&keys, &Bounds::new(upper, from), count).await?;
            let places: Vec<Place> = places.into_iter().rev().take(count).collect();
            for (place, record) in places.iter().zip(self.records_at(&places).await?) {
                if let ControlFlow::Break(()) = gathering.offer(record) {
                    return Ok(gathering.until(Some(*place)));
                }
            }
            // Further back, unless these buckets have more.
            upper = match places.last() {
                Some(last) if places.len() == count => *last,
                _ => Place::before(last * length),
            };
            at_once = if places.is_empty() { (at_once * 4).min(most) } else { at_once };
        }
        Ok(gathering.until((upper > end).then_some(upper)))
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
        let records = self.records_at(&places).await?;
        let found = read.iter().zip(records).filter_map(|((id, _), record)| Some((*id, record?)));
        Ok(Fed {
            records: found.collect(),
            position: entries.last().and_then(|(id, _)| id.parse().ok()).unwrap_or(position),
            more: entries.len() == limit,
        })
    }
}

/// A key of one length that shows no token.
fn hashed(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
