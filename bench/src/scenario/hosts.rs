//! Whether a worker's memory stays bounded while it calls ten thousand hosts at once. All of 127.0.0.0/8 is this
//! machine, so each address acts as a separate host.

use std::collections::BTreeMap;

use anyhow::Result;
use load_generator::Drivers;
use serde::Serialize;

use crate::cpu;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::{Effort, Load, full_load};

/// The result of a worker with this number of hosts.
#[derive(Debug, Serialize)]
pub struct Hosts {
    /// Number of hosts called in turn.
    pub hosts: u32,
    /// The load and its result.
    pub load: Load,
    /// The peak memory of each process, in MiB.
    pub memory_mib: BTreeMap<String, f64>,
}

/// Full load, with the callbacks distributed over `hosts` hosts.
///
/// # Errors
/// Returns an error if a process does not start.
pub async fn hosts(servers: &Servers, hosts: u32, effort: &Effort) -> Result<Hosts> {
    let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
    let session = system.session(Drivers::default(), hosts).await?;
    let (_, load, _) = full_load(&system.parts(), session, effort).await?;
    Ok(Hosts { hosts, load, memory_mib: cpu::peak_memory(&system.parts()) })
}
