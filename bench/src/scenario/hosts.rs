//! Whether a worker's memory stays bounded while it calls ten thousand hosts at once: all of 127.0.0.0/8 is this machine, so
//! that each address is a host of its own.

use std::collections::BTreeMap;

use anyhow::Result;
use load_generator::Drivers;
use serde::Serialize;

use crate::cpu;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::{Effort, Load, full_load};

/// What a worker did with so many hosts.
#[derive(Debug, Serialize)]
pub struct Hosts {
    /// How many were called in turn.
    pub hosts: u32,
    /// How that went.
    pub load: Load,
    /// The most memory that each process had, in MiB.
    pub memory_mib: BTreeMap<String, f64>,
}

/// Full load, with the callbacks going to so many hosts in turn.
///
/// # Errors
/// Something does not start.
pub async fn hosts(servers: &Servers, hosts: u32, effort: &Effort) -> Result<Hosts> {
    let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
    let session = system.session(Drivers::default(), hosts).await?;
    let (_, load, _) = full_load(&system.parts(), session, effort).await?;
    Ok(Hosts { hosts, load, memory_mib: cpu::peak_memory(&system.parts()) })
}
