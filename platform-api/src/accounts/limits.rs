//! How often someone may try to sign in, to register or to ask for a code. An address that comes too often is refused. A name
//! that is tried too often is slowed down and never locked, as a lock would be a weapon against its owner.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::HttpRequest;
use charging::accounts::comparable;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http_server::{Problem, caller};

/// Callers share this many buckets, so memory is bounded. The seed is new at each start.
const BUCKETS: usize = 8192;
/// The longest pause before an attempt on a name that is tried too often.
const MAX_PAUSE: Duration = Duration::from_secs(5);

type Bucket = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// The limits of one process.
pub(crate) struct Limits(Option<Buckets>);

struct Buckets {
    addresses: Box<[Bucket]>,
    names: Box<[Bucket]>,
    seed: RandomState,
}

impl Limits {
    /// No limits without a rate.
    pub(crate) fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|rate| {
            let quota = Quota::per_minute(rate);
            let buckets =
                || (0..BUCKETS).map(|_| RateLimiter::direct_with_clock(quota, MonotonicClock)).collect();
            Buckets { addresses: buckets(), names: buckets(), seed: RandomState::new() }
        }))
    }

    /// Counts an attempt from the caller's address.
    pub(crate) fn address(&self, request: &HttpRequest) -> Result<(), Problem> {
        let (Some(buckets), Some(address)) = (&self.0, caller(request).address) else { return Ok(()) };
        match wait(buckets.bucket(&buckets.addresses, &network(address))) {
            None => Ok(()),
            Some(wait) => Err(Problem::too_many_requests("address", wait)),
        }
    }

    /// Counts an attempt on a name, whether it exists or not, and pauses if there are too many.
    pub(crate) async fn name(&self, name: &str) {
        let Some(buckets) = &self.0 else { return };
        if let Some(wait) = wait(buckets.bucket(&buckets.names, &comparable(name))) {
            tokio::time::sleep(wait.min(MAX_PAUSE)).await;
        }
    }
}

impl Buckets {
    fn bucket<'a>(&self, buckets: &'a [Bucket], key: &impl Hash) -> &'a Bucket {
        let place = self.seed.hash_one(key) % BUCKETS as u64;
        &buckets[usize::try_from(place).unwrap_or_default()]
    }
}

fn wait(bucket: &Bucket) -> Option<Duration> {
    bucket.check().err().map(|until| until.wait_time_from(MonotonicClock.now()))
}

/// The holder of an IPv6 address has the 2^64 addresses of its network.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & !u128::from(u64::MAX),
    }
}
