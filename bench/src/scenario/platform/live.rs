//! Live streams: what they cost, and whether each shows every change in order.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use load_generator::{Latency, Percentiles};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Size;
use super::samples::Samples;
use crate::cpu;
use crate::system::voltgate::Platform;

/// The events of a whole seed may be waiting.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
/// From one change to the next, so that the time of one does not contain that of another.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// Streams that are opened at the same time.
const OPENED_AT_ONCE: usize = 50;

/// The result with live streams.
#[derive(Debug, Serialize)]
pub struct Streams {
    /// Number of streams.
    pub streams: usize,
    /// Number of changes.
    pub changes: usize,
    /// Resident memory of the process before and with the streams, in MiB.
    pub resident_mib: (f64, f64),
    /// The difference for one stream, in kB.
    pub kb_a_stream: f64,
    /// Streams that missed an event, or had events in another order.
    pub incomplete: usize,
    /// From the answer to a change until its event is on a stream.
    pub arrival: Percentiles,
}

/// A live stream that is open.
struct Stream {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Stream {
    /// Opens a stream, and waits until it is live.
    async fn open(authority: &str, key: &str) -> Result<Self> {
        let mut connection = TcpStream::connect(authority).await?;
        let request = format!("GET /api/v1/live HTTP/1.1\r\nhost: {authority}\r\nx-api-key: {key}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut lines = BufReader::with_capacity(2048, connection).lines();
        let status = lines.next_line().await?.unwrap_or_default();
        if !status.contains(" 200 ") {
            bail!("a live stream was refused: {status}");
        }
        while let Some(line) = lines.next_line().await? {
            if line == ": live" {
                return Ok(Self { lines });
            }
        }
        bail!("a live stream ended at once")
    }

    /// The location and the moment of the next event. Each event is a chunk of its own, so its lines are whole.
    async fn next(&mut self) -> Result<(String, Instant)> {
        loop {
            let line = self.lines.next_line().await?.context("a live stream ended")?;
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let arrived = Instant::now();
            let data: Value = serde_json::from_str(data)?;
            return Ok((data["location_id"].as_str().unwrap_or_default().to_owned(), arrived));
        }
    }
}

/// Waits until an event of now is on a live stream, after all those before it; returns the seconds.
pub(super) async fn settled(platform: &Platform) -> Result<f64> {
    let began = Instant::now();
    let mut stream = Stream::open(platform.authority(), &platform.key).await?;
    let body = json!({
        "name": "Last", "address": "Street 1", "city": "Nowhere", "country": "DEU", "time_zone": "UTC",
        "coordinates": {"latitude": "-60", "longitude": "0"},
    });
    let created = platform.send("POST", "locations", None, &body).await?;
    let arriving = async {
        while stream.next().await?.0 != created.0["id"] {}
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(SETTLED_WITHIN, arriving).await.context("the events do not arrive")??;
    Ok(began.elapsed().as_secs_f64())
}

/// Opens the streams, makes the changes, and waits for their events.
pub(super) async fn streams(platform: &Platform, samples: &Samples, size: Size) -> Result<Streams> {
    let process = platform.process();
    let before = cpu::resident_kib(process)?;
    let streams = open(platform, size.streams).await?;
    let after = cpu::resident_kib(process)?;
    // Places in the list, so that no location is changed twice.
    let step = (samples.places.len() / size.changes.max(1)).max(1);
    let changed: Arc<Vec<String>> = Arc::new(
        samples.places.iter().step_by(step).take(size.changes).map(|place| place.id.clone()).collect(),
    );
    let mut readers = JoinSet::new();
    for mut stream in streams {
        let changed = Arc::clone(&changed);
        readers.spawn(async move {
            let mut arrivals = Vec::with_capacity(changed.len());
            for wanted in changed.iter() {
                let next = tokio::time::timeout(ARRIVES_WITHIN, stream.next()).await;
                match next {
                    Ok(Ok((location, at))) if location == *wanted => arrivals.push(at),
                    _ => break,
                }
            }
            arrivals
        });
    }
    let mut answers = Vec::with_capacity(changed.len());
    let mut pace = tokio::time::interval(CHANGE_EVERY);
    for location in changed.iter() {
        pace.tick().await;
        answers.push(change(platform, location).await?);
    }
    let (mut latency, mut incomplete) = (Latency::new(), 0);
    while let Some(arrivals) = readers.join_next().await {
        let arrivals = arrivals?;
        incomplete += usize::from(arrivals.len() < changed.len());
        for (answered, arrived) in answers.iter().zip(arrivals) {
            latency.record(arrived.saturating_duration_since(*answered));
        }
    }
    Ok(Streams {
        streams: size.streams,
        changes: changed.len(),
        resident_mib: (before / 1024.0, after / 1024.0),
        kb_a_stream: (after - before) * 1.024 / size.streams.max(1) as f64,
        incomplete,
        arrival: latency.percentiles(),
    })
}

async fn open(platform: &Platform, count: usize) -> Result<Vec<Stream>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let some = (0..OPENED_AT_ONCE.min(count - streams.len()))
            .map(|_| Stream::open(platform.authority(), &platform.key));
        streams.extend(futures_util::future::try_join_all(some).await?);
    }
    Ok(streams)
}

/// Changes a location; returns when the answer was there.
async fn change(platform: &Platform, location: &str) -> Result<Instant> {
    let path = format!("locations/{location}");
    let (shown, etag) = platform.send("GET", &path, None, &Value::Null).await?;
    let name = format!("{} *", shown["name"].as_str().unwrap_or_default());
    platform.send("PATCH", &path, etag.as_deref(), &json!({ "name": name })).await?;
    Ok(Instant::now())
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, changes, resident_mib: (before, after), kb_a_stream, incomplete, arrival } = self;
        write!(
            f,
            "{streams} live streams: {before:.1} MiB resident before, {after:.1} MiB with them, {kb_a_stream:.1} kB a \
             stream. {changes} changes: {incomplete} streams incomplete or out of order; from the answer to the arrival \
             p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms.",
            arrival.p50_ms, arrival.p99_ms, arrival.max_ms
        )
    }
}
