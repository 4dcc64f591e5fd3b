//! The index: sorted sets of places, in time buckets that expire with their records.
//!
//! A member is the 24 bytes of a [`Place`]. All members have one score, so they sort by bytes. A bucket is small enough
//! that its expiry does not block Redis. A bucket that stays below 128 members is stored in one compact piece.

use std::collections::BTreeSet;
use std::time::Duration;

use common::clock::Nanos;
use common::decision::Decision;
use common::ids::StationId;
use redis::Pipeline;
use sha2::{Digest, Sha256};

use super::expiries::Mark;
use super::{MAX_NUMBER, RedisStore, roomy};
use crate::{DeliveryState, Filter, Place, RecordKey, StoreError};

pub(super) const HOUR: Nanos = 3_600_000_000_000;
const WEEK: Nanos = 7 * 24 * HOUR;
const DECISIONS: [Decision; 4] =
    [Decision::Allowed, Decision::NotAllowed, Decision::Unknown, Decision::Invalid];

/// A list that a record is entered in. The lists of all decisions together hold all records.
#[derive(Clone, Copy)]
enum Family<'a> {
    Driver(&'a str),
    Station(StationId),
    /// Records whose delivery was abandoned once. A record stays listed after its redelivery was requested.
    Undeliverable,
    Status(Decision),
}

impl Family<'_> {
    /// The length of a bucket: the lower the rate of records, the longer.
    fn bucket_length(&self) -> Nanos {
        match self {
            Self::Driver(_) => WEEK,
            Self::Station(_) | Self::Undeliverable => 24 * HOUR,
            Self::Status(_) => HOUR,
        }
    }

    fn bucket(&self, start_ns: Nanos) -> String {
        let number = start_ns / self.bucket_length();
        match self {
            Self::Driver(token) => format!("voltgate:by-driver:{}:{number}", hashed(token)),
            Self::Station(station) => format!("voltgate:by-station:{station}:{number}"),
            Self::Undeliverable => format!("voltgate:by-delivery:undeliverable:{number}"),
            Self::Status(status) => format!("voltgate:by-status:{status}:{number}"),
        }
    }

    /// The families that contain all matches of a filter; none if a match may be in any list of decisions.
    fn of(filter: &Filter) -> Vec<Family<'_>> {
        let undeliverable = filter.delivery == Some(DeliveryState::Undeliverable);
        let lists = [
            filter.driver_token.as_ref().map(|token| Family::Driver(token.expose())),
            filter.station_id.map(Family::Station),
            undeliverable.then_some(Family::Undeliverable),
            filter.status.map(Family::Status),
        ];
        lists.into_iter().flatten().collect()
    }
}

/// Where a filter's matches are.
pub(super) struct SearchIndexes<'a> {
    /// The lists that together hold all matches, scanned in parallel. Their buckets are of equal length.
    through: Vec<Family<'a>>,
    /// The other lists that each match must be in.
    also_in: Vec<Family<'a>>,
}

impl SearchIndexes<'_> {
    /// The length of the buckets to scan.
    pub(super) fn bucket_length(&self) -> Nanos {
        self.through[0].bucket_length()
    }

    /// The keys of these buckets.
    pub(super) fn keys(&self, oldest: u64, newest: u64) -> Vec<String> {
        let length = self.bucket_length();
        let keys = |number| self.through.iter().map(move |family| family.bucket(number * length));
        (oldest..=newest).flat_map(keys).collect()
    }

    /// Whether the scanned entries must also be in other lists.
    pub(super) fn is_narrowed(&self) -> bool {
        !self.also_in.is_empty()
    }

    /// How many keys [`Self::keys`] returns for each bucket.
    pub(super) fn width(&self) -> u64 {
        self.through.len() as u64
    }
}

/// The keys, without a prefix, under which a record is entered, each with the length of its bucket.
pub fn entries(key: &RecordKey, decision: Decision) -> [(String, Duration); 3] {
    let families = [
        Family::Status(decision),
        Family::Station(key.station_id),
        Family::Driver(key.driver_token.expose()),
    ];
    families.map(|family| (family.bucket(key.start_ns), Duration::from_nanos(family.bucket_length())))
}

impl RedisStore {
    /// Enters a record. It runs before the record is written, so that no record is missing from the index; repeating it
    /// is safe. Returns the marks to record in [`super::expiries`] once it is done.
    pub(super) fn index(
        &self,
        pipe: &mut Pipeline,
        key: &RecordKey,
        place: Place,
        decision: Decision,
    ) -> [Option<Mark>; 3] {
        entries(key, decision).map(|(bucket, length)| {
            let bucket = self.key(bucket);
            let due = self.expiries.due(&bucket);
            put_in(pipe, &bucket, place);
            if due.is_some() {
                self.keep(pipe, &bucket, length);
            }
            due
        })
    }

    /// The same for a record that another worker may have entered only in part before it died.
    pub(super) fn index_surely(
        &self,
        pipe: &mut Pipeline,
        key: &RecordKey,
        place: Place,
        decision: Decision,
    ) {
        for (bucket, length) in entries(key, decision) {
            let bucket = self.key(bucket);
            put_in(pipe, &bucket, place);
            self.keep(pipe, &bucket, length);
        }
    }

    /// Enters a record among the undeliverable ones, before its state changes.
    pub(super) fn index_undeliverable(&self, pipe: &mut Pipeline, place: Place) {
        let family = Family::Undeliverable;
        let bucket = self.key(family.bucket(place.start_ns));
        put_in(pipe, &bucket, place);
        self.keep(pipe, &bucket, Duration::from_nanos(family.bucket_length()));
    }

    /// Sets the bucket's expiry, so that every entry that arrives within the bucket's own length is kept for long enough.
    fn keep(&self, pipe: &mut Pipeline, bucket: &str, length: Duration) {
        let mut expire = roomy("EXPIRE", 2, bucket.len() + MAX_NUMBER);
        expire.arg(bucket).arg((self.options.retention + length).as_secs());
        pipe.add_command(expire).ignore();
    }

    /// Where to look for a filter's matches, from this moment back: scans the list that has the fewest entries then.
    pub(super) async fn sought<'a>(
        &self,
        filter: &'a Filter,
        start_ns: Nanos,
    ) -> Result<SearchIndexes<'a>, StoreError> {
        let mut lists = Family::of(filter);
        if lists.len() > 1 {
            lists = self.shortest_first(lists, start_ns).await?;
        }
        let also_in = lists.split_off(lists.len().min(1));
        let through = if lists.is_empty() { DECISIONS.map(Family::Status).into() } else { lists };
        Ok(SearchIndexes { through, also_in })
    }

    async fn shortest_first<'a>(
        &self,
        lists: Vec<Family<'a>>,
        start_ns: Nanos,
    ) -> Result<Vec<Family<'a>>, StoreError> {
        let mut pipe = redis::pipe();
        for list in &lists {
            // The previous bucket, as this one may have begun just now.
            let bucket = list.bucket(start_ns.saturating_sub(list.bucket_length()));
            pipe.cmd("ZCARD").arg(self.key(bucket));
        }
        let entries: Vec<u64> = self.pipeline(&pipe).await?;
        let a_week =
            entries.iter().zip(lists).map(|(entries, list)| (entries * (WEEK / list.bucket_length()), list));
        let mut a_week: Vec<_> = a_week.collect();
        a_week.sort_by_key(|(entries, _)| *entries);
        Ok(a_week.into_iter().map(|(_, list)| list).collect())
    }

    /// The entries of some buckets within these bounds, newest first, at most `count` of each list.
    pub(super) async fn places(
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

    /// Those of these places that are also in the other lists, in their order.
    pub(super) async fn narrow(
        &self,
        sought: &SearchIndexes<'_>,
        mut places: Vec<Place>,
    ) -> Result<Vec<Place>, StoreError> {
        for family in &sought.also_in {
            let mut pipe = redis::pipe();
            let number = |place: &Place| place.start_ns / family.bucket_length();
            for part in places.chunk_by(|one, other| number(one) == number(other)) {
                pipe.cmd("ZMSCORE").arg(self.key(family.bucket(part[0].start_ns)));
                pipe.arg(part.iter().map(|place| place.to_bytes().to_vec()).collect::<Vec<_>>());
            }
            if pipe.is_empty() {
                break;
            }
            let scores: Vec<Vec<Option<f64>>> = self.pipeline(&pipe).await?;
            let mut scores = scores.iter().flatten();
            places.retain(|_| scores.next().is_some_and(Option::is_some));
        }
        Ok(places)
    }
}

fn put_in(pipe: &mut Pipeline, bucket: &str, place: Place) {
    let member = place.to_bytes();
    let mut add = roomy("ZADD", 3, bucket.len() + 1 + member.len());
    add.arg(bucket).arg(0).arg(member.as_slice());
    pipe.add_command(add).ignore();
}

/// The bounds of a page's entries.
pub(super) struct Bounds {
    upper: Vec<u8>,
    lower: Vec<u8>,
}

impl Bounds {
    pub(super) fn new(upper: Place, from: Nanos) -> Self {
        let sign = |sign: u8, bytes: &[u8]| [&[sign], bytes].concat();
        Self { upper: sign(b'(', &upper.to_bytes()), lower: sign(b'[', &from.to_be_bytes()) }
    }
}

/// A key of fixed length that reveals no token: half of the hash.
fn hashed(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    let half = hash.iter().take(16).fold(0, |half: u128, byte| half << 8 | u128::from(*byte));
    format!("{half:032x}")
}
