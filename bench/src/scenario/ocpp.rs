//! What ocpp-gateway costs beside other central systems on the same cores in the same minutes: a ceiling with fixed answers,
//! and npm ocpp-rpc. CPU time a call and memory a socket are its own; rates and latencies belong to the minute.

mod counters;
mod disk;
mod figures;
mod loads;
mod ours;
mod report;
mod seed;
mod stage;
mod targets;

use std::sync::Arc;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use self::figures::{Figure, Server};
pub use self::report::OcppReport;
pub use self::targets::{Judged, Verdict};

use self::figures::Book;
use self::stage::Stage;
use crate::machine::Machine;
use crate::servers::Servers;
use crate::throughput::Effort;

/// The names of the chargers, before their numbers.
const PREFIX: &str = "LOAD-";
/// The same of those that call beside others.
const SIDE_PREFIX: &str = "SIDE-";
const SIDE: u32 = 200;
/// A tag whose whitelist answers, and one for which a decision is always made.
const KNOWN_TAG: &str = "KNOWN-TAG";
const ASKED_TAG: &str = "ASKED-TAG";
const FLEET: u32 = 1_000;
const STORM: u32 = 2_000;
/// Files that the load client opens beside its sockets.
const OTHER_FILES: u64 = 500;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Sockets that are opened and held; every other load has no more of them.
    pub sockets: u32,
    /// New sockets a second.
    pub rate: f64,
    /// Addresses that they come from.
    pub sources: u8,
    /// Length of a load in seconds.
    pub seconds: f64,
    /// How long idle sockets are held, in seconds.
    pub hold: f64,
    /// Length of the soak in seconds.
    pub soak: f64,
    /// How often everything is measured.
    pub rounds: usize,
    /// Whether PyPI ocpp is measured too.
    pub python: bool,
}

impl Size {
    /// Sockets of an open loop.
    fn fleet(&self) -> u32 {
        FLEET.min(self.sockets)
    }

    fn storm(&self) -> u32 {
        STORM.min(self.sockets)
    }

    /// Stations at which the asked driver may charge.
    fn admitted(&self) -> usize {
        self.fleet() as usize
    }
}

/// Measures, round after round. `say` gets the progress.
///
/// # Errors
/// Returns an error if a server is missing or does not start.
pub async fn measure(
    servers: Servers,
    size: Size,
    effort: &Effort,
    say: impl Fn(&str),
) -> Result<OcppReport> {
    raise_open_files(size.sockets, &say)?;
    let servers = Arc::new(servers);
    let machine = Machine::this(&servers).await;
    let mut load = vec![load_average()];
    let stage = Stage::start(Arc::clone(&servers), &size, &say).await?;
    stage.quiet().await;
    let mut book = Book::default();
    for round in 1..=size.rounds.max(1) {
        let progress =
            |what: &str| say(&format!("round {round}: {what} (load average {:.1})", load_average()));
        one_round(&stage, &size, effort, &mut book, &progress).await?;
        load.push(load_average());
        // The next round takes minutes, and may fail.
        say(&OcppReport::of(&book, &machine, &size, &load).markdown());
    }
    stage.end().await;
    Ok(OcppReport::of(&book, &machine, &size, &load))
}

async fn one_round(
    stage: &Stage,
    size: &Size,
    effort: &Effort,
    book: &mut Book,
    say: &dyn Fn(&str),
) -> Result<()> {
    for server in stage.comparable() {
        say(&format!("{} sockets, {}", size.sockets, server.name()));
        loads::opened(stage, server, size, book).await?;
    }
    let mut centrals = Vec::new();
    for server in stage.comparable() {
        centrals.push(stage.central(server).await?);
    }
    for load in loads::LOADS {
        for central in &centrals {
            say(&format!("{}, {}", load.name(), central.server.name()));
            loads::call(stage, central, load, size, book).await?;
        }
    }
    for central in &centrals {
        say(&format!("storm of {}, {}", size.storm(), central.server.name()));
        loads::stormed(stage, central, size, book).await?;
    }
    let Some(ours) = centrals.iter().find(|central| central.server == Server::Voltgate) else {
        return Ok(());
    };
    say("sessions");
    ours::sessions(stage, ours, size, book).await?;
    say("the ACL hangs");
    ours::hung(stage, ours, size, book).await?;
    say("commands");
    ours::commands(stage, ours, size, book).await?;
    say("soak");
    ours::soak(ours, size, book).await?;
    stage.quiet().await;
    say(figures::HTTP);
    stage.by_http(effort, book).await
}

/// As far as the system lets it; the servers inherit the limit.
fn raise_open_files(sockets: u32, say: &dyn Fn(&str)) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let wanted = u64::from(sockets) + OTHER_FILES;
    if hard < wanted {
        say(&format!("a process may open {hard} files here, and {wanted} are needed: raise `ulimit -Hn`"));
    }
    Ok(())
}

/// The number of processes that wanted a core in the last minute.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
