//! `make neighbours`: how long a healthy host waits for its callbacks while 600 deliveries hang, or drip, at another
//! host of the same address, compared with how long it waits without other load. Prints a table and decides nothing.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made shall fail loudly")]

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, Services, try_ask};

/// Deliveries that hang at the other host.
const TROUBLE: usize = 600;
/// Healthy requests, one every 10 ms, without waiting for earlier ones.
const REQUESTS: usize = 2000;
const PACE: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> ExitCode {
    let about =
        "Measures how long a healthy host waits for its callbacks while others hang, or drip, beside it.";
    if let Err(code) = command_line::without_arguments("neighbours", about, String::new()) {
        return code;
    }
    println!(
        "{:<12} {:>8} {:>8} {:>8} {:>8}   healthy callbacks, {REQUESTS} a row",
        "other host", "p50", "p99", "max", "p99"
    );
    let mut unloaded = None;
    for trouble in [None, Some("/hang"), Some("/drip")] {
        // Each row has its own system: deferred deliveries must not affect the next row.
        let mut deployment = Deployment::new().await;
        let services = deployment.start().await;
        let waits = waits(&deployment, &services, trouble).await;
        let at = |share: usize| waits[(waits.len() * share).div_ceil(1000) - 1].as_secs_f64() * 1000.0;
        let (p50, p99, max) = (at(500), at(990), at(1000));
        let ratio = p99 / *unloaded.get_or_insert(p99);
        let name = trouble.map_or("none", |path| &path[1..]);
        println!("{name:<12} {p50:>5.1} ms {p99:>5.1} ms {max:>5.1} ms {ratio:>7.2}x");
    }
    ExitCode::SUCCESS
}

/// From the client's call to the callback, sorted.
async fn waits(deployment: &Deployment, services: &Services, trouble: Option<&str>) -> Vec<Duration> {
    let (healthy, other) = (CallbackHost::start().await, CallbackHost::start().await);
    let http = &deployment.http;
    for _ in 0..100 {
        services.ask(http, DRIVER, &healthy.url("/ok/warm")).await;
    }
    if let Some(path) = trouble {
        let url = other.url(path);
        let asking = (0..TROUBLE).map(|_| services.ask(http, DRIVER, &url));
        futures_util::future::join_all(asking).await;
        // The queue is first in, first out: when this request is called back, all of them are in flight or deferred.
        let last = services.ask(http, DRIVER, &healthy.url("/ok/last")).await;
        healthy.all_of(&[last]).await;
    }
    let mut asking = Vec::new();
    let mut ticks = tokio::time::interval(PACE);
    for _ in 0..REQUESTS {
        ticks.tick().await;
        let (http, api_url, url) = (http.clone(), services.api_url.clone(), healthy.url("/ok/measured"));
        asking.push(tokio::spawn(async move {
            let began = Instant::now();
            (try_ask(&http, &api_url, DRIVER, &url).await, began)
        }));
    }
    let mut asked = HashMap::new();
    for asking in asking {
        let (request, began) = asking.await.unwrap();
        match request {
            Ok(request) => drop(asked.insert(request, began)),
            Err(refused) => eprintln!("{trouble:?} {refused:?} {:?}", began.elapsed()),
        }
    }
    let requests: Vec<String> = asked.keys().cloned().collect();
    let callbacks = healthy.all_of(&requests).await;
    let mut waits: Vec<Duration> = callbacks
        .iter()
        .filter_map(|callback| asked.remove(callback.id()).map(|began| callback.at - began))
        .collect();
    waits.sort();
    waits
}
