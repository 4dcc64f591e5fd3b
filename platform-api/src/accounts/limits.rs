//! How often someone may try to sign in, to register or to ask for a code. An address that comes too often is refused. A name
//! that is tried too often is slowed down and never locked, as a lock would be a weapon against its owner.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::HttpRequest;
use charging::accounts::comparable;
use http_server::rate_limit::{Buckets, Rate};
use http_server::{Problem, caller};

/// The longest pause before an attempt on a name that is tried too often.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The limits of one process.
pub(crate) struct Limits(Option<Attempts>);

struct Attempts {
    by_address: Buckets,
    by_name: Buckets,
}

impl Limits {
    /// No limits without a rate.
    pub(crate) fn new(per_minute: Option<NonZeroU32>) -> Self {
        let buckets = |requests| Buckets::new(Rate::per_minute(requests));
        Self(per_minute.map(|rate| Attempts { by_address: buckets(rate), by_name: buckets(rate) }))
    }

    /// Counts an attempt from the caller's address.
    pub(crate) fn address(&self, request: &HttpRequest) -> Result<(), Problem> {
        let (Some(attempts), Some(address)) = (&self.0, caller(request).address) else { return Ok(()) };
        attempts.by_address.of_address(address).take().admit("address").map(drop)
    }

    /// Counts an attempt on a name, whether it exists or not, and pauses if there are too many.
    pub(crate) async fn name(&self, name: &str) {
        let Some(attempts) = &self.0 else { return };
        if let Some(wait) = attempts.by_name.of(&comparable(name)).take().refused_for {
            tokio::time::sleep(wait.min(MAX_PAUSE)).await;
        }
    }
}
