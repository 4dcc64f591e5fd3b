//! Whether two workers have twice the throughput of one when neither the broker nor the cores are the bottleneck: the
//! access lists answer late, and each worker has a limited number of slots.

use std::time::Duration;

use anyhow::Result;
use load_generator::Drivers;

use crate::delay::DelayedLink;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::{Effort, Load, full_load};

/// Delay of acl-service's answers.
const LATE: Duration = Duration::from_millis(200);
/// Few enough that two workers leave the cores idle.
const SLOTS: usize = 50;

/// Measures this number of workers at full load.
///
/// # Errors
/// Returns an error if a process does not start.
pub async fn workers(servers: &Servers, count: usize, effort: &Effort) -> Result<Load> {
    let link = DelayedLink::start(LATE).await?;
    let settings = vec![("WORKER_CONCURRENCY", SLOTS.to_string())];
    let form = Form { settings, workers: count, acl_link: Some(link.url()) };
    let system = services(servers, &form).await?;
    link.lead_to(&system.acl)?;
    let session = system.session(Drivers::default(), 1).await?;
    let (_, load, _) =
        full_load(&system.parts(), session, &Effort { in_flight: SLOTS * count * 2, ..*effort }).await?;
    Ok(load)
}
