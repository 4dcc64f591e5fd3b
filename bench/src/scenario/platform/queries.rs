//! The queries: each kind is asked many times over four connections that stay open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use load_generator::{Connection, Latency, Origin, Percentiles};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::samples::{Draw, Place, Samples};
use crate::system::voltgate::Platform;

const CONNECTIONS: u64 = 4;
/// Caches are warm then, as in a system that has run for a while.
const WARM_UP_PART: usize = 10;

/// A kind of query.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether the caller may see chargers.
    is_staff: bool,
    path: fn(&Samples, &mut Draw) -> String,
}

/// The result of a kind of query.
#[derive(Debug, Serialize)]
pub struct Query {
    /// What was asked for.
    pub name: &'static str,
    /// Mean number of items in an answer.
    pub items: f64,
    /// The path of the slowest request.
    pub slowest: String,
    /// From the request to the whole answer.
    pub latency: Percentiles,
}

const FILTERS: &str = "&connector=IEC_62196_T2_COMBO&available=true";

pub(super) const KINDS: &[Kind] = &[
    open("page of 50 at a random cursor", |samples, draw| {
        format!("/api/v1/locations?cursor={}", draw.one_of(&samples.cursors))
    }),
    open("page with connector and available", |samples, draw| {
        format!("/api/v1/locations?cursor={}{FILTERS}", draw.one_of(&samples.cursors))
    }),
    open("prefix of 3 to 5 letters", |samples, draw| {
        let letters = 3 + draw.below(3);
        format!("/api/v1/locations?q={}", prefix(samples, draw, letters))
    }),
    open("prefix of 1 or 2 letters", |samples, draw| {
        let letters = 1 + draw.below(2);
        format!("/api/v1/locations?q={}", prefix(samples, draw, letters))
    }),
    staff("prefix of 1 to 5 letters, as staff", |samples, draw| {
        let letters = 1 + draw.below(5);
        format!("/api/v1/locations?q={}", prefix(samples, draw, letters))
    }),
    staff("charger's name, as staff", |samples, draw| {
        format!("/api/v1/locations?q={}", escaped(draw.one_of::<String>(&samples.chargers)))
    }),
    open("two words of one location", |samples, draw| {
        let place = draw.one_of(&samples.places);
        let (one, other) = (draw.one_of(&place.words), draw.one_of(&place.words));
        format!("/api/v1/locations?q={}%20{}", escaped(one), escaped(&start(other, 3)))
    }),
    open("two words of different locations", |samples, draw| {
        let (one, other) = (draw.one_of(&samples.places), draw.one_of(&samples.places));
        let (one, other) = (one.city.clone(), draw.one_of(&other.words).clone());
        format!("/api/v1/locations?q={}%20{}", escaped(&one), escaped(&start(&other, 5)))
    }),
    open("prefix with connector and available", |samples, draw| {
        format!("/api/v1/locations?q={}{FILTERS}", prefix(samples, draw, 4))
    }),
    open("near, 5 km", |samples, draw| near(draw.one_of(&samples.places), draw, 5, "")),
    open("near, 5 km, connector and available", |samples, draw| {
        near(draw.one_of(&samples.places), draw, 5, FILTERS)
    }),
    open("near, 25 km", |samples, draw| near(draw.one_of(&samples.places), draw, 25, "")),
    open("near, 25 km, connector and available", |samples, draw| {
        near(draw.one_of(&samples.places), draw, 25, FILTERS)
    }),
    open("near the largest city, 25 km", |samples, draw| near(dense(samples, draw), draw, 25, "")),
    open("near the largest city, 25 km, connector and available", |samples, draw| {
        near(dense(samples, draw), draw, 25, FILTERS)
    }),
    open("near the largest city, 100 km", |samples, draw| near(dense(samples, draw), draw, 100, "")),
    open("near the largest city, 100 km, connector and available", |samples, draw| {
        near(dense(samples, draw), draw, 100, FILTERS)
    }),
    open("near the largest city, 100 km, a rare connector", |samples, draw| {
        near(dense(samples, draw), draw, 100, "&connector=MCS")
    }),
    open("near the largest city, 100 km, a word", |samples, draw| {
        let word = prefix(samples, draw, 4);
        near(dense(samples, draw), draw, 100, &format!("&q={word}"))
    }),
    open("one station", |samples, draw| format!("/api/v1/stations/{}", draw.one_of(&samples.stations))),
];

const fn open(name: &'static str, path: fn(&Samples, &mut Draw) -> String) -> Kind {
    Kind { name, is_staff: false, path }
}

const fn staff(name: &'static str, path: fn(&Samples, &mut Draw) -> String) -> Kind {
    Kind { name, is_staff: true, path }
}

fn escaped(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn start(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

fn prefix(samples: &Samples, draw: &mut Draw, letters: usize) -> String {
    let place = draw.one_of(&samples.places);
    escaped(&start(draw.one_of::<String>(&place.words), letters))
}

fn dense<'a>(samples: &'a Samples, draw: &mut Draw) -> &'a Place {
    &samples.places[*draw.one_of(&samples.dense)]
}

/// Within two kilometres of the place.
fn near(place: &Place, draw: &mut Draw, km: u32, more: &str) -> String {
    let mut aside = || (draw.below(40_000) as f64 - 20_000.0) / 1e6;
    let (latitude, longitude) = (place.latitude + aside(), place.longitude + aside());
    format!("/api/v1/locations?near={latitude:.6},{longitude:.6}&radius_m={}{more}", km * 1000)
}

struct Share {
    latency: Vec<(std::time::Duration, String)>,
    items: usize,
}

/// Asks `requests` times.
pub(super) async fn measure(
    kind: &Kind,
    platform: &Platform,
    samples: &Samples,
    requests: usize,
) -> Result<Query> {
    // The first share is warm-up.
    let left = Arc::new(AtomicUsize::new(requests + requests / WARM_UP_PART));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        let (left, samples, path, origin) =
            (Arc::clone(&left), samples.clone(), kind.path, Origin::parse(&platform.url)?);
        let key = if kind.is_staff { format!("x-api-key: {}\r\n", platform.key) } else { String::new() };
        clients.spawn(async move { client(origin, &key, path, &samples, number, (&left, requests)).await });
    }
    let (mut latency, mut items, mut count) = (Latency::new(), 0, 0);
    let mut slowest = (std::time::Duration::ZERO, String::new());
    while let Some(share) = clients.join_next().await {
        let share = share?.with_context(|| kind.name)?;
        items += share.items;
        count += share.latency.len();
        for (took, path) in share.latency {
            latency.record(took);
            if took > slowest.0 {
                slowest = (took, path);
            }
        }
    }
    let items = items as f64 / count.max(1) as f64;
    Ok(Query { name: kind.name, items, slowest: slowest.1, latency: latency.percentiles() })
}

async fn client(
    origin: Origin,
    key: &str,
    path: fn(&Samples, &mut Draw) -> String,
    samples: &Samples,
    number: u64,
    (left, measured): (&AtomicUsize, usize),
) -> Result<Share> {
    let authority = origin.authority.clone();
    let (mut connection, mut draw) = (Connection::to(origin), Draw::of(number + 1));
    let mut share = Share { latency: Vec::new(), items: 0 };
    loop {
        let turn = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let Ok(turn) = turn else { return Ok(share) };
        let path = path(samples, &mut draw);
        let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n{key}\r\n");
        let began = Instant::now();
        let answer = connection.exchange(request.as_bytes()).await?;
        let took = began.elapsed();
        if answer.status != 200 {
            bail!("{path}: {} {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        if turn <= measured {
            let answer: Value = serde_json::from_slice(answer.body)?;
            share.items += answer["items"].as_array().map_or(1, Vec::len);
            share.latency.push((took, path));
        }
    }
}
