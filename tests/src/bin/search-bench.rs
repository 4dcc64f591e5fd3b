//! `make search-bench`: how long `GET /requests` looks among ten million records of thirty days, by kind of filter, and what
//! the index takes of Redis' memory. Fills a private Redis, prints a table and decides nothing.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made shall fail loudly")]

use std::time::{Duration, Instant};

use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use indicatif::{ProgressBar, ProgressStyle};
use redis::aio::MultiplexedConnection;
use store::{DeliveryState, Filter, Place, RecordKey, Store, StoreOptions};
use test_servers::Redis;
use uuid::Uuid;

const SPAN: Nanos = 30 * 24 * 3_600_000_000_000;
const STATIONS: u64 = 2000;
const DRIVERS: u64 = 200_000;
const AT_ONCE: u64 = 500;
const PAGE: usize = 50;
const LOOKS: u64 = 400;

/// The records, each made of its number.
struct Records {
    count: u64,
    newest: Nanos,
}

#[tokio::main]
async fn main() {
    let count = std::env::args().nth(1).map_or(10_000_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let server = Redis::start(directory.path()).unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    let mut redis = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
    let _: () =
        redis::cmd("CONFIG").arg("SET").arg("appendonly").arg("no").query_async(&mut redis).await.unwrap();
    let records = Records { count, newest: clock::now() };
    let empty = memory(&mut redis).await;
    fill(&redis, &records, "index", enter).await;
    let index = memory(&mut redis).await - empty;
    fill(&redis, &records, "records", write).await;
    let all = memory(&mut redis).await - empty;
    println!(
        "{count} records: {} bytes each in the index, {} with a small record and the way to it ({:.1} GB)",
        index / count,
        all / count,
        Duration::from_nanos(all).as_secs_f64()
    );
    let options = StoreOptions { key_prefix: String::new(), retention: Duration::from_nanos(SPAN) };
    let store = Store::open(&server.url(), options, Duration::from_secs(10)).await.unwrap();
    println!("{:<34} {:>9} {:>9} {:>9} {:>7}   a page of {PAGE}", "filter", "p50", "p99", "max", "found");
    for (name, filter) in kinds() {
        measure(&store, &records, name, filter).await;
    }
}

/// A filter made from one of the records.
type Kind = fn(&Records, u64) -> Filter;

fn kinds() -> [(&'static str, Kind); 9] {
    [
        ("none", |_, _| Filter::default()),
        ("driver", |records, at| records.driver(at)),
        ("station", |records, at| records.station(at)),
        ("status=not_allowed", |_, _| Filter { status: Some(Decision::NotAllowed), ..Filter::default() }),
        ("status=invalid (1 in 200)", |_, _| Filter { status: Some(Decision::Invalid), ..Filter::default() }),
        ("station and status=unknown", |records, at| Filter {
            status: Some(Decision::Unknown),
            ..records.station(at)
        }),
        ("station and driver", |records, at| Filter {
            station_id: Some(records.key(at).station_id),
            ..records.driver(at)
        }),
        ("an hour, one to 29 days ago", |records, at| {
            let from = records.key(at).start_ns;
            Filter { from_ns: Some(from), to_ns: Some(from + SPAN / 720), ..Filter::default() }
        }),
        ("delivery=undeliverable (1 in 100)", |_, _| Filter {
            delivery: Some(DeliveryState::Undeliverable),
            ..Filter::default()
        }),
    ]
}

/// First pages and later ones in turns.
async fn measure(store: &Store, records: &Records, name: &str, filter: Kind) {
    let (mut took, mut found) = (Vec::new(), 0);
    for look in 0..LOOKS {
        let at = spread(look) % records.count;
        let filter = filter(records, at);
        let after = (look % 2 == 1 && filter.from_ns.is_none()).then(|| records.place(at));
        let began = Instant::now();
        let listing = store.search.list(&filter, after, PAGE).await.unwrap();
        took.push(began.elapsed());
        found += listing.records.len();
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1].as_secs_f64() * 1000.0;
    let found = found as f64 / LOOKS as f64;
    println!("{name:<34} {:>6.1} ms {:>6.1} ms {:>6.1} ms {found:>7.1}", at(50), at(99), at(100));
}

impl Records {
    fn key(&self, number: u64) -> RecordKey {
        let station = u128::from(spread(number) % STATIONS);
        RecordKey {
            start_ns: self.newest - SPAN / self.count * number,
            station_id: StationId::from_uuid(Uuid::from_u128(station << 64 | 7)),
            driver_token: PresentedToken::new(format!("driver-token-{:011}", spread(number + 1) % DRIVERS)),
        }
    }

    fn request(number: u64) -> RequestId {
        RequestId::from_uuid(Uuid::from_u64_pair(spread(number), number))
    }

    fn place(&self, number: u64) -> Place {
        Place { start_ns: self.key(number).start_ns, request_id: Self::request(number) }
    }

    fn decision(number: u64) -> Decision {
        match spread(number + 2) % 200 {
            0 => Decision::Invalid,
            1..4 => Decision::Unknown,
            4..20 => Decision::NotAllowed,
            _ => Decision::Allowed,
        }
    }

    fn driver(&self, number: u64) -> Filter {
        Filter { driver_token: Some(self.key(number).driver_token), ..Filter::default() }
    }

    fn station(&self, number: u64) -> Filter {
        Filter { station_id: Some(self.key(number).station_id), ..Filter::default() }
    }
}

/// Splitmix64: the same for the same number, and all over the place.
fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Two pipelines under way at a time, so that Redis need not wait for this.
async fn fill(
    redis: &MultiplexedConnection,
    records: &Records,
    what: &str,
    put: fn(&mut redis::Pipeline, &Records, u64),
) {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}").unwrap();
    let bar = ProgressBar::new(records.count).with_style(style).with_message(what.to_owned());
    let halves = (0..2).map(|half| {
        let (mut redis, bar) = (redis.clone(), &bar);
        async move {
            for first in (half * AT_ONCE..records.count).step_by(2 * AT_ONCE as usize) {
                let mut pipe = redis::pipe();
                let last = (first + AT_ONCE).min(records.count);
                (first..last).for_each(|number| put(&mut pipe, records, number));
                pipe.query_async::<()>(&mut redis).await.unwrap();
                bar.inc(last - first);
            }
        }
    });
    futures_util::future::join_all(halves).await;
    bar.finish_and_clear();
}

/// As a worker does, without expiry.
fn enter(pipe: &mut redis::Pipeline, records: &Records, number: u64) {
    let place = records.place(number).to_bytes();
    for (bucket, _) in store::entries(&records.key(number), Records::decision(number)) {
        pipe.cmd("ZADD").arg(bucket).arg(0).arg(place.as_slice()).ignore();
    }
}

/// The fewest fields that a record must have.
fn write(pipe: &mut redis::Pipeline, records: &Records, number: u64) {
    let (key, request) = (records.key(number), Records::request(number).to_string());
    let name = key.to_redis();
    pipe.cmd("SET").arg(format!("voltgate:request:{request}")).arg(&name).ignore();
    let delivery = if spread(number + 3).is_multiple_of(100) { "undeliverable" } else { "delivered" };
    pipe.cmd("HSET").arg(name).arg("request_id").arg(request).arg("delivery").arg(delivery);
    pipe.arg("status").arg(Records::decision(number).as_str()).arg("callback_url").arg("");
    pipe.arg("driver_token").arg(key.driver_token.expose()).ignore();
}

async fn memory(redis: &mut MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse().unwrap()
}
