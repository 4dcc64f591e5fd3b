//! The load on the system: clients that request authorizations, drivers that are added and removed, tasks that are
//! published twice, and the callback hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authorization::AuthorizationQueue;
use authorization::tasks::authorize::Authorize;
use common::clock;
use common::ids::{PresentedToken, RequestId};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use service_runtime::trace_context::TraceContext;
use tokio::net::TcpSocket;
use tokio::task::{JoinHandle, JoinSet};

use super::system::System;
use crate::callback_host::CallbackHost;
use crate::deployment::{Deployment, QUEUE, STATION};
use crate::load::{Load, Question};

const CLIENTS: u64 = 8;
const DRIVERS: u32 = 20;
const FLIP_EVERY: Duration = Duration::from_millis(100);
const DUPLICATE_EVERY: Duration = Duration::from_millis(500);

/// The healthy host is first. Each has its own origin, and a weight: its share of the requests.
const HOSTS: [(&str, u32); 10] = [
    ("/ok", 140),
    ("/first/503/200", 10),
    ("/retry-after/2/429", 10),
    ("/status/500", 5),
    ("/status/410", 5),
    ("/hang", 5),
    ("/drip", 5),
    ("/reset", 5),
    ("/redirect", 5),
    ("/giant", 5),
];
const REFUSING: u32 = 5;

/// All callback hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    listening: Vec<CallbackHost>,
    refusing: String,
    /// Bound but not listening: connections are refused, and no other process gets the port.
    _port: TcpSocket,
}

impl Hosts {
    pub(super) async fn start() -> Self {
        let mut listening = Vec::new();
        for _ in HOSTS {
            listening.push(CallbackHost::start().await);
        }
        let port = TcpSocket::new_v4().expect("a socket");
        port.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let refusing = format!("http://{}/refused", port.local_addr().expect("its address"));
        Self { listening, refusing, _port: port }
    }

    pub(super) fn healthy(&self) -> &CallbackHost {
        &self.listening[0]
    }

    pub(super) fn all(&self) -> &[CallbackHost] {
        &self.listening
    }

    fn url(&self, rng: &mut SmallRng) -> String {
        let weights: u32 = HOSTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = rng.random_range(0..weights + REFUSING);
        for (host, (path, weight)) in self.listening.iter().zip(HOSTS) {
            match drawn.checked_sub(weight) {
                None => return host.url(path),
                Some(rest) => drawn = rest,
            }
        }
        self.refusing.clone()
    }
}

fn driver(rng: &mut SmallRng) -> String {
    match rng.random_range(0..DRIVERS + 1) {
        DRIVERS => "malformed".to_owned(),
        number => format!("driver_of_the_chaos_{number:04}"),
    }
}

/// Clients that together send about `rate` requests per second.
pub(super) fn clients(system: &System, hosts: &Arc<Hosts>, seed: u64, rate: u32) -> Load {
    let client = |number| {
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(number));
        let (hosts, api_urls) = (Arc::clone(hosts), system.api_urls.clone());
        move || Question {
            api_url: api_urls[rng.random_range(0..api_urls.len())].clone(),
            driver: driver(&mut rng),
            callback_url: hosts.url(&mut rng),
            pause: Duration::from_secs_f64(
                CLIENTS as f64 / f64::from(rate) * f64::from(rng.random_range(0.5..1.4f32)),
            ),
        }
    };
    Load::start(&system.deployment.http, (0..CLIENTS).map(client).collect())
}

/// Adds and removes drivers all the time, so that a second decision would differ from the first.
pub(super) async fn flip_drivers(deployment: Deployment, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(!seed);
    let acl_url = deployment.environment["AUTHORIZATION_SERVICE_URL"].clone();
    loop {
        let url = format!("{acl_url}/station/{STATION}/driver/{}/acl", driver(&mut rng));
        let change = if rng.random() { deployment.http.put(url) } else { deployment.http.delete(url) };
        // A failure does not matter: the next change may succeed.
        let _ = change.timeout(Duration::from_secs(1)).send().await;
        tokio::time::sleep(FLIP_EVERY).await;
    }
}

/// Publishes tasks twice, some at once and some after a while, on its own connection.
#[derive(Debug)]
pub(super) struct Duplicates {
    stop: Arc<tokio::sync::Notify>,
    published: Arc<AtomicUsize>,
    publishing: JoinHandle<Vec<(String, String)>>,
}

impl Duplicates {
    pub(super) async fn start(deployment: &Deployment, hosts: &Arc<Hosts>, seed: u64) -> Self {
        let publisher = Publisher {
            queue: AuthorizationQueue::new(deployment.broker().await, QUEUE),
            hosts: Arc::clone(hosts),
            rng: SmallRng::seed_from_u64(seed.rotate_left(32)),
            twice: Arc::default(),
        };
        let (stop, published) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&publisher.twice));
        let publishing = tokio::spawn(publisher.run(Arc::clone(&stop)));
        Self { stop, published, publishing }
    }

    /// Publishes what is still outstanding. Returns id and callback URL of the confirmed ones,
    /// and the number published twice.
    pub(super) async fn stop(self) -> (Vec<(String, String)>, usize) {
        self.stop.notify_one();
        let confirmed = self.publishing.await.unwrap();
        (confirmed, self.published.load(Ordering::Relaxed))
    }
}

struct Publisher {
    queue: AuthorizationQueue,
    hosts: Arc<Hosts>,
    rng: SmallRng,
    twice: Arc<AtomicUsize>,
}

impl Publisher {
    async fn run(mut self, stop: Arc<tokio::sync::Notify>) -> Vec<(String, String)> {
        let (mut confirmed, mut copies) = (Vec::new(), JoinSet::new());
        loop {
            tokio::select! {
                () = stop.notified() => break,
                () = tokio::time::sleep(DUPLICATE_EVERY) => {}
            }
            let (id, received) = (RequestId::new(), clock::now());
            let task = self.task(received);
            let copy = self.copy(id, task.clone(), received);
            // An unconfirmed task was not accepted, but may arrive all the same.
            if self.queue.request(id, &task, received, &TraceContext::new()).await.is_ok() {
                confirmed.push((id.to_string(), task.callback_url));
                copies.spawn(copy);
            }
        }
        while copies.join_next().await.is_some() {}
        self.queue.broker().close().await;
        confirmed
    }

    fn task(&mut self, received: u64) -> Authorize {
        Authorize {
            station_id: STATION.parse().expect("a station"),
            driver_token: PresentedToken::new(driver(&mut self.rng)),
            callback_url: self.hosts.url(&mut self.rng),
            expiry_time_ns: received + 5_000_000_000,
        }
    }

    fn copy(&mut self, id: RequestId, task: Authorize, received: u64) -> impl Future<Output = ()> + use<> {
        let late = if self.rng.random() { self.rng.random_range(0.0..10.0f32) } else { 0.0 };
        let (queue, twice) = (self.queue.clone(), Arc::clone(&self.twice));
        async move {
            tokio::time::sleep(Duration::from_secs_f32(late)).await;
            if queue.request(id, &task, received, &TraceContext::new()).await.is_ok() {
                twice.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
