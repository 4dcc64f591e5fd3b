//! The systems under test, each as the processes in which it is released.

pub(crate) mod process;
pub mod python;
pub mod voltgate;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use load_generator::{Drivers, FrontDoor, Origin, SINK_THREAD, Session, Sink};

use crate::cpu::Part;
use process::Started;

/// A running system. Dropping it stops it.
#[derive(Debug)]
pub struct System {
    /// The URL of public-api, or of its replacement.
    pub api: String,
    /// The URL of acl-service, or of its replacement.
    pub acl: String,
    processes: Vec<Started>,
    /// Whether it uses RabbitMQ and Redis.
    uses_servers: bool,
    /// The environment of further processes of the system.
    environment: Vec<(&'static str, String)>,
}

impl System {
    fn at(api: String, acl: String, uses_servers: bool) -> Self {
        Self { api, acl, processes: Vec::new(), uses_servers, environment: Vec::new() }
    }

    /// The time from the start of each process until it was ready.
    #[must_use]
    pub fn ready(&self) -> BTreeMap<String, Duration> {
        self.processes.iter().map(|process| (process.name.clone(), process.ready)).collect()
    }

    /// Everything that spends CPU time on a request, including the load generator and the sink.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, Part)> {
        let own = self.processes.iter();
        let own = own.map(|process| (process.name.clone(), Part::Process(process.id())));
        let servers = [("RabbitMQ", Part::Named("beam.smp")), ("Redis", Part::Named("redis-server"))];
        let servers = servers.into_iter().filter(|_| self.uses_servers);
        let load = [("generator", Part::OursWithout(SINK_THREAD)), ("sink", Part::Thread(SINK_THREAD))];
        own.chain(servers.chain(load).map(|(name, part)| (name.to_owned(), part))).collect()
    }

    /// A generator and a sink for it, with the access lists filled.
    ///
    /// # Errors
    /// Returns an error if the system does not answer.
    pub async fn session(&self, drivers: Drivers, hosts: u32) -> Result<Session> {
        // All of 127.0.0.0/8 is this machine, so each of its addresses is a host of the sink.
        let address = if hosts > 1 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let sink = Sink::start((IpAddr::V4(address), 0)).context("cannot start the sink")?;
        let front_door =
            FrontDoor { api: Origin::parse(&self.api)?, key: None, drivers, sink: sink.address(), hosts };
        front_door.admit(Origin::parse(&self.acl)?).await.context("cannot fill the access lists")?;
        Ok(Session { front_door, sink })
    }
}

pub(crate) fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
