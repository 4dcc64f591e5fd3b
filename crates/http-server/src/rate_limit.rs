//! Rate limits: a bucket for each key, and a bucket for each address without one. Memory is bounded and nothing is
//! locked: a bucket is one atomic number. A service may have further limits of its own.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};

use crate::Problem;

pub(crate) const RATE_LIMIT: &str = "ratelimit";
pub(crate) const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// Callers share this many buckets. Two callers in one bucket share its rate. The seed is new at each start, so
/// that no caller can aim at another's bucket. A table that grew with the callers could be filled by strangers.
const BUCKETS: usize = 16_384;

/// The burst size, and how many requests a second or a minute may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    burst: NonZeroU32,
    requests: NonZeroU32,
    seconds: u32,
}

/// The rate limit of one caller.
pub struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
    rate: Rate,
}

/// A caller's quota after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    rate: Rate,
    /// How many more requests may come at once; 0 if this one came too soon.
    pub(crate) remaining: u32,
    /// How long until the next request may come, if this one came too soon.
    pub refused_for: Option<Duration>,
}

/// A bucket for each caller, or for a few callers.
pub struct Buckets {
    buckets: Box<[Bucket]>,
    seed: RandomState,
}

impl Rate {
    /// Returns `None` if the rate is 0, which means no limit.
    pub(crate) fn new(per_second: u32, burst_seconds: u32) -> Option<Self> {
        let burst = NonZeroU32::new(per_second.saturating_mul(burst_seconds))?;
        Some(Self { burst, requests: NonZeroU32::new(per_second)?, seconds: 1 })
    }

    /// As many requests a minute, and at once.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self { burst: requests, requests, seconds: 60 }
    }

    /// The time in seconds, rounded up.
    fn time_for(self, requests: u32) -> u32 {
        let seconds = u64::from(requests) * u64::from(self.seconds);
        u32::try_from(seconds.div_ceil(u64::from(self.requests.get()))).unwrap_or(u32::MAX)
    }

    fn quota(self) -> governor::Quota {
        let quota = match self.seconds {
            1 => governor::Quota::per_second(self.requests),
            _ => governor::Quota::per_minute(self.requests),
        };
        quota.allow_burst(self.burst)
    }
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        let limiter = RateLimiter::direct_with_clock(rate.quota(), MonotonicClock).with_middleware();
        Self { limiter, rate }
    }

    /// Counts a request.
    pub fn take(&self) -> Quota {
        let rate = self.rate;
        match self.limiter.check() {
            Ok(left) => Quota { rate, remaining: left.remaining_burst_capacity(), refused_for: None },
            Err(until) => {
                let wait = until.wait_time_from(MonotonicClock.now());
                Quota { rate, remaining: 0, refused_for: Some(wait) }
            }
        }
    }
}

impl Quota {
    /// Admits the request, unless it came too soon. The policy names what is counted.
    ///
    /// # Errors
    /// Returns 429 with the quota in its headers.
    pub fn admit(self, policy: &'static str) -> Result<Self, Problem> {
        let Some(wait) = self.refused_for else { return Ok(self) };
        let (policy_header, left) = self.headers(policy);
        Err(Problem::too_many_requests(policy, wait)
            .with_header(RATE_LIMIT_POLICY, policy_header)
            .with_header(RATE_LIMIT, left))
    }

    /// `RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers-10: the quota and its window; the
    /// remaining quota and the seconds until it is full again.
    pub(crate) fn headers(&self, policy: &str) -> (String, String) {
        let burst = self.rate.burst.get();
        let whole_after = self.rate.time_for(burst - self.remaining.min(burst));
        (
            format!("\"{policy}\";q={burst};w={}", self.rate.time_for(burst)),
            format!("\"{policy}\";r={};t={whole_after}", self.remaining),
        )
    }
}

impl Buckets {
    /// Buckets of this rate.
    pub fn new(rate: Rate) -> Self {
        let buckets = (0..BUCKETS).map(|_| Bucket::new(rate)).collect();
        Self { buckets, seed: RandomState::new() }
    }

    /// The bucket of a caller by its name, or whatever distinguishes it.
    pub fn of(&self, caller: &impl Hash) -> &Bucket {
        let place = usize::try_from(self.seed.hash_one(caller) % BUCKETS as u64).unwrap_or_default();
        &self.buckets[place]
    }

    /// The bucket of an address.
    pub fn of_address(&self, address: IpAddr) -> &Bucket {
        self.of(&network(address))
    }
}

/// The holder of an IPv6 address has the 2^64 addresses of its network.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_the_next_is_told_when_to_come() {
        let bucket = Bucket::new(Rate::new(2, 3).unwrap());
        let quotas: Vec<Quota> = (0..7).map(|_| bucket.take()).collect();
        assert!(quotas[..6].iter().all(|quota| quota.refused_for.is_none()));
        assert_eq!(quotas[0].headers("x"), ("\"x\";q=6;w=3".to_owned(), "\"x\";r=5;t=1".to_owned()));
        let wait = quotas[6].refused_for.unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        assert_eq!(quotas[6].headers("x").1, "\"x\";r=0;t=3");
    }

    #[test]
    fn a_rate_by_the_minute_lets_as_many_through_at_once() {
        let bucket = Bucket::new(Rate::per_minute(NonZeroU32::new(2).unwrap()));
        let quotas: Vec<Quota> = (0..3).map(|_| bucket.take()).collect();
        assert!(quotas[..2].iter().all(|quota| quota.refused_for.is_none()));
        assert_eq!(quotas[1].headers("x"), ("\"x\";q=2;w=60".to_owned(), "\"x\";r=0;t=60".to_owned()));
        let wait = quotas[2].refused_for.unwrap();
        assert!(wait > Duration::from_secs(29) && wait <= Duration::from_secs(30), "{wait:?}");
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::new(0, 5), None);
    }

    #[test]
    fn an_ipv6_network_has_one_bucket() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
