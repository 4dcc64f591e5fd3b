//! The records that are searched. Each is made from its number alone; the newest has number 0.

use std::collections::BTreeMap;
use std::time::Duration;

use common::clock::Nanos;
use common::decision::{Decision, Source};
use common::ids::{PresentedToken, RequestId, StationId};
use futures_util::StreamExt;
use futures_util::stream::iter;
use indicatif::{ProgressBar, ProgressStyle};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Pipeline};
use store::{Attempt, Decided, DeliveryState, Place, RecordKey, Store};
use uuid::Uuid;

/// All of them began within this span, and are kept for as long.
pub(crate) const SPAN: Nanos = 30 * 24 * 3_600_000_000_000;
const STATIONS: u64 = 2000;
const DRIVERS: u64 = 200_000;
/// One record in this many belongs to the busy station, and one in `BUSY_DRIVER` to the busy driver.
const BUSY_STATION: u64 = 20;
const BUSY_DRIVER: u64 = 100;
const BATCH: usize = 250;
/// How long they are kept.
pub(crate) const KEPT: Duration = Duration::from_nanos(SPAN);
const ATTEMPT_NS: Nanos = 20_000_000;
const DEADLINE_NS: Nanos = 5_000_000_000;
const TOOK_MS: u64 = 23;
const CALLBACK_URL: &str = "https://partner.example.com/charging/decisions";

/// `count` records, evenly spread over the span that ends at `newest`.
#[derive(Clone, Copy)]
pub(crate) struct Records {
    pub(crate) count: u64,
    pub(crate) newest: Nanos,
}

impl Records {
    /// The records of a Redis that was filled before; `None` if it was not.
    pub(crate) async fn found(count: u64, redis: &mut MultiplexedConnection) -> Option<Self> {
        let first: Option<String> =
            redis.get(format!("voltgate:request:{}", Self::request(0))).await.unwrap();
        RecordKey::from_redis(&first?).map(|key| Self { count, newest: key.start_ns })
    }

    pub(crate) fn key(&self, number: u64) -> RecordKey {
        let (station, driver) = (spread(number), spread(number + 1));
        RecordKey {
            start_ns: self.newest - SPAN / self.count * number,
            station_id: Self::station(if station.is_multiple_of(BUSY_STATION) { 0 } else { station }),
            driver_token: Self::driver(if driver.is_multiple_of(BUSY_DRIVER) { 0 } else { driver }),
        }
    }

    /// Number 0 is the busy one.
    pub(crate) fn station(number: u64) -> StationId {
        StationId::from_uuid(Uuid::from_u64_pair(number % STATIONS, 7))
    }

    /// Number 0 is the busy one.
    pub(crate) fn driver(number: u64) -> PresentedToken {
        PresentedToken::new(format!("driver-token-{:011}", number % DRIVERS))
    }

    pub(crate) fn place(&self, number: u64) -> Place {
        Place { start_ns: self.key(number).start_ns, request_id: Self::request(number) }
    }

    /// Writes all of them, with fewer commands than a worker uses.
    pub(crate) async fn fill(&self, redis: &MultiplexedConnection) {
        let style =
            ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} {per_sec} {eta}").unwrap();
        let bar = ProgressBar::new(self.count).with_style(style);
        let batches = iter((0..self.count).step_by(BATCH));
        // Two batches in flight at a time, so that Redis is never idle.
        batches
            .for_each_concurrent(2, |first| {
                let (mut redis, bar) = (redis.clone(), &bar);
                async move {
                    let mut pipe = redis::pipe();
                    let last = (first + BATCH as u64).min(self.count);
                    (first..last).for_each(|number| self.write(&mut pipe, number));
                    pipe.query_async::<()>(&mut redis).await.unwrap();
                    bar.inc(last - first);
                }
            })
            .await;
        bar.finish_and_clear();
    }

    /// Writes one as [`Records::put`] does; [`Records::check`] verifies this.
    fn write(&self, pipe: &mut Pipeline, number: u64) {
        let (key, place) = (self.key(number), self.place(number).to_bytes());
        let mut enter = |bucket: String, length: Duration| {
            pipe.cmd("ZADD").arg(&bucket).arg(0).arg(place.as_slice()).ignore();
            pipe.cmd("EXPIRE").arg(bucket).arg((KEPT + length).as_secs()).ignore();
        };
        for (bucket, length) in store::entries(&key, Self::decision(number)) {
            enter(bucket, length);
        }
        let (state, outcome) = Self::delivery(number);
        if state == DeliveryState::Undeliverable {
            let day = Duration::from_hours(24);
            let bucket = u128::from(key.start_ns) / day.as_nanos();
            enter(format!("voltgate:by-delivery:undeliverable:{bucket}"), day);
        }
        let (name, request) = (key.to_redis(), Self::request(number).to_string());
        pipe.cmd("SET").arg(format!("voltgate:request:{request}")).arg(&name);
        pipe.arg("EX").arg(KEPT.as_secs()).ignore();
        let decided_ns = key.start_ns + ATTEMPT_NS;
        let attempt = format!(r#"{{"at_ns":{decided_ns},"took_ms":{TOOK_MS},"outcome":"{outcome}"}}"#);
        pipe.cmd("HSET").arg(&name).arg("status").arg(Self::decision(number).as_str());
        pipe.arg("station_id").arg(key.station_id.to_string());
        pipe.arg("driver_token").arg(key.driver_token.expose()).arg("callback_url").arg(CALLBACK_URL);
        pipe.arg("request_id").arg(request).arg("start_time_ns").arg(key.start_ns);
        pipe.arg("deadline_ns").arg(key.start_ns + DEADLINE_NS).arg("decided_ns").arg(decided_ns);
        pipe.arg("attempt:1").arg(attempt).arg("attempts").arg(1);
        pipe.arg("delivery").arg(state.as_str()).arg("callback_status").arg(outcome).ignore();
        pipe.cmd("EXPIRE").arg(name).arg(KEPT.as_secs()).ignore();
    }

    /// Asserts that a worker that writes the same records changes nothing.
    pub(crate) async fn check(&self, redis: &mut MultiplexedConnection, store: &Store) {
        for number in 0..self.count.min(1000) {
            let key = self.key(number);
            let mut entered = Vec::new();
            for _ in 0..2 {
                let record: BTreeMap<String, String> = redis.hgetall(key.to_redis()).await.unwrap();
                let mut members = Vec::new();
                for (bucket, _) in store::entries(&key, Self::decision(number)) {
                    members.push(redis.zcard::<_, u64>(bucket).await.unwrap());
                }
                entered.push((record, members));
                self.put(store, number, key.clone()).await;
            }
            assert_eq!(entered[0], entered[1], "as a worker leaves it");
        }
    }

    /// Writes one under this key, as a worker does.
    pub(crate) async fn put(&self, store: &Store, number: u64, key: RecordKey) {
        let request_id = Self::request(number);
        let decided = Decided {
            request_id,
            decision: Self::decision(number),
            callback_url: Some(CALLBACK_URL.to_owned()),
            deadline_ns: key.start_ns + DEADLINE_NS,
            decided_ns: key.start_ns + ATTEMPT_NS,
            source: Source::Api,
        };
        let (state, outcome) = Self::delivery(number);
        let attempt = Attempt {
            number: 1,
            at_ns: decided.decided_ns,
            took_ms: TOOK_MS,
            outcome: outcome.to_owned().into(),
        };
        store.records().open(request_id, &key).await.unwrap();
        store.records().decide(&key, &decided).await.unwrap();
        store.records().attempted(&key, &attempt, state).await.unwrap();
    }

    fn request(number: u64) -> RequestId {
        RequestId::from_uuid(Uuid::from_u64_pair(spread(number), number))
    }

    pub(crate) fn decision(number: u64) -> Decision {
        match spread(number + 2) % 200 {
            0 => Decision::Invalid,
            1..4 => Decision::Unknown,
            4..20 => Decision::NotAllowed,
            _ => Decision::Allowed,
        }
    }

    fn delivery(number: u64) -> (DeliveryState, &'static str) {
        match spread(number + 3) % 2000 {
            0 => (DeliveryState::Pending, "503"),
            1..21 => (DeliveryState::Undeliverable, "404"),
            _ => (DeliveryState::Delivered, "200"),
        }
    }
}

/// Splitmix64: deterministic, and spread over the whole range.
pub(crate) fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
