//! `make search-bench`: how long it takes to find requests among ten million of thirty days, by kind of
//! filter, through the store and through `GET /requests`; and how much of Redis' memory a record and its index
//! entries take. Fills a private Redis, or uses one filled by an earlier run whose URL is the second argument.
//! Prints a table and decides nothing.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made shall fail loudly")]

mod kinds;
mod records;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use common::clock;
use redis::aio::MultiplexedConnection;
use store::{Filter, Place, Store, StoreOptions};
use test_servers::Redis;
use tests::process::Process;
use tests::servers::reqwest_client;

use crate::kinds::{KINDS, query};
use crate::records::{KEPT, Records, spread};

const PAGE: usize = 50;
const LOOKS: u64 = 500;
/// Interval at which requests are decided during the searches.
const WRITE_EVERY: Duration = Duration::from_millis(5);
/// Number of records whose memory is measured.
const WEIGHED: u64 = 1000;
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(60);

/// Measures how long it takes to find requests among many
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of requests to search among
    #[arg(default_value_t = 10_000_000)]
    records: u64,
    /// URL of a Redis filled by an earlier run
    redis: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    measure(arguments).await;
    ExitCode::SUCCESS
}

async fn measure(Arguments { records: count, redis }: Arguments) {
    let directory = tempfile::tempdir().unwrap();
    let (url, server) = match redis {
        Some(url) => (url, None),
        None => {
            let server = Redis::start(directory.path()).unwrap();
            (server.url(), Some(server))
        }
    };
    let mut redis = connect(&url).await;
    let _: () = command(&mut redis, &["CONFIG", "SET", "appendonly", "no"]).await;
    let options = StoreOptions { key_prefix: String::new(), retention: KEPT };
    let store = Store::open(&url, options, AS_LONG_AS_IT_TAKES).await.unwrap();
    let records = match Records::found(count, &mut redis).await {
        Some(records) => records,
        None => fill(&mut redis, count).await,
    };
    records.check(&mut redis, &store).await;
    weigh(&mut redis, &records).await;
    let (_api, api_url) = start_api(url, directory.path()).await;
    let searcher = Searcher { store: store.clone(), http: reqwest_client(), api_url, records };
    tokio::select! {
        () = write_beside(&store, &records) => {}
        () = searcher.measure_all(&mut redis) => {}
    }
    if server.is_some() {
        free(&mut redis, &records).await;
    }
}

async fn fill(redis: &mut MultiplexedConnection, count: u64) -> Records {
    let records = Records { count, newest: clock::now() };
    let (began, empty) = (Instant::now(), figure(redis, "memory", "used_memory:").await);
    records.fill(redis).await;
    let used = figure(redis, "memory", "used_memory:").await - empty;
    let took = began.elapsed().as_secs();
    println!("{count} records in {took} s; {:.0} bytes of memory each", used / count as f64);
    records
}

struct Searcher {
    store: Store,
    http: reqwest::Client,
    api_url: String,
    records: Records,
}

impl Searcher {
    async fn measure_all(&self, redis: &mut MultiplexedConnection) {
        println!("load average: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
        println!(
            "pages of {PAGE}, first and later ones in turns; milliseconds; Redis: its CPU time for a page of the store"
        );
        println!("{:<37} {:^23} {:^23}", "", "through the store", "GET /requests");
        let [p50, p99, max] = ["p50", "p99", "max"];
        println!(
            "{:<37} {p50:>7} {p99:>7} {max:>7} {p50:>7} {p99:>7} {max:>7} {:>6} {:>6} {:>6}",
            "filter", "Redis", "found", "short"
        );
        for (name, make) in KINDS {
            let (before, mut stored) = (busy(redis).await, Vec::new());
            let (mut found, mut short) = (0, 0);
            for look in 0..LOOKS {
                let (filter, after) = self.search(make, look);
                let began = Instant::now();
                let page = self.store.search().list(&filter, after, PAGE).await.unwrap();
                stored.push(began.elapsed());
                found += page.records.len();
                short += usize::from(page.records.len() < PAGE && page.next.is_some());
            }
            let redis = (busy(redis).await - before) * 1000.0 / LOOKS as f64;
            let mut served = Vec::new();
            for look in 0..LOOKS {
                let (filter, after) = self.search(make, look);
                served.push(self.get(&filter, after).await);
            }
            let found = found as f64 / LOOKS as f64;
            let times = format!("{} {}", percentiles(stored), percentiles(served));
            println!("{name:<37} {times} {redis:>6.2} {found:>6.1} {:>5}%", short * 100 / LOOKS as usize);
        }
        println!("load average: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    }

    /// A filter made from one of the records; every second search starts at a later page.
    fn search(&self, make: fn(&Records, u64) -> Filter, look: u64) -> (Filter, Option<Place>) {
        let filter = make(&self.records, spread(look) % self.records.count);
        let later = (look % 2 == 1 && filter.from_ns.is_none())
            .then(|| self.records.place(spread(look + LOOKS) % self.records.count));
        (filter, later)
    }

    async fn get(&self, filter: &Filter, after: Option<Place>) -> Duration {
        let cursor = after.map(|place| ("cursor", place.to_string()));
        let pairs: Vec<_> = query(filter).into_iter().chain(cursor).collect();
        let url = reqwest::Url::parse_with_params(&format!("{}/requests", self.api_url), pairs).unwrap();
        let began = Instant::now();
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
        began.elapsed()
    }
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1].as_secs_f64() * 1000.0;
    format!("{:>7.1} {:>7.1} {:>7.1}", at(50), at(99), at(100))
}

/// Keeps deciding requests.
async fn write_beside(store: &Store, records: &Records) {
    let mut ticks = tokio::time::interval(WRITE_EVERY);
    // Numbers that no record has, neither from the fill nor from an earlier measurement.
    for number in clock::now().. {
        ticks.tick().await;
        let key = store::RecordKey { start_ns: clock::now(), ..records.key(number % records.count) };
        records.put(store, number, key).await;
    }
}

async fn start_api(redis_url: String, directory: &Path) -> (Process, String) {
    let settings = [
        ("REDIS_URL", redis_url),
        ("BROKER_URL", format!("embedded:{}", directory.join("broker").display())),
        ("PUBLIC_API_PORT", "0".to_owned()),
    ];
    let environment = settings.map(|(name, value)| (name.to_owned(), value)).into();
    let mut api = Process::start("public-api", &[], &environment);
    let url = format!("http://{}", api.logged("address").await);
    (api, url)
}

/// Memory of some of the records: their share of the sorted sets, the hash, and the key that leads to it.
async fn weigh(redis: &mut MultiplexedConnection, records: &Records) {
    let (mut index, mut hash) = (0.0, 0.0);
    for number in (0..WEIGHED).map(|look| spread(look) % records.count) {
        let key = records.key(number);
        for (bucket, _) in store::entries(&key, Records::decision(number)) {
            let members: f64 = command(redis, &["ZCARD", &bucket]).await;
            index += usage(redis, &bucket).await / members;
        }
        hash += usage(redis, &key.to_redis()).await;
        hash += usage(redis, &format!("voltgate:request:{}", records.place(number).request_id)).await;
    }
    let each = |sum: f64| sum / WEIGHED as f64;
    println!("of these {:.0} in the index, {:.0} in the record and the way to it", each(index), each(hash));
}

async fn usage(redis: &mut MultiplexedConnection, key: &str) -> f64 {
    command(redis, &["MEMORY", "USAGE", key, "SAMPLES", "0"]).await
}

/// Time that the expiry of an index bucket takes, during which Redis serves no other client.
async fn free(redis: &mut MultiplexedConnection, records: &Records) {
    let (mut took, mut largest) = (Vec::new(), 0);
    for look in 0..100 {
        let number = records.count / 100 * look;
        for (bucket, _) in store::entries(&records.key(number), Records::decision(number)) {
            largest = largest.max(command(redis, &["ZCARD", &bucket]).await);
            let began = Instant::now();
            let _: () = command(redis, &["DEL", &bucket]).await;
            took.push(began.elapsed());
        }
    }
    println!(
        "freeing a bucket of the index, p50 p99 max: {} ms; the largest has {largest} entries",
        percentiles(took)
    );
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(AS_LONG_AS_IT_TAKES));
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

async fn command<T: redis::FromRedisValue>(redis: &mut MultiplexedConnection, words: &[&str]) -> T {
    redis::cmd(words[0]).arg(&words[1..]).query_async(redis).await.unwrap()
}

/// Seconds for which Redis has been busy.
async fn busy(redis: &mut MultiplexedConnection) -> f64 {
    figure(redis, "cpu", "used_cpu_user_main_thread:").await
        + figure(redis, "cpu", "used_cpu_sys_main_thread:").await
}

async fn figure(redis: &mut MultiplexedConnection, section: &str, name: &str) -> f64 {
    let info: String = command(redis, &["INFO", section]).await;
    info.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
}
