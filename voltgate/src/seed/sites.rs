//! Writes the sites of the network: locations, stations, and what their chargers have sent.

use std::collections::HashSet;
use std::time::Instant;

use charging::stations::{StationDraft, StationError, charging_stations, locations};
use charging::{At, DatabaseConfig, Db, DbError, Tx};
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use service_runtime::exit::Failure;
use uuid::Uuid;

use super::network::{Network, Site};
use super::random::Random;
use super::statuses;

/// A transaction has about this many stations, so that it is short. A site is never divided.
const AT_ONCE: usize = 20;
/// How many transactions run at the same time in PostgreSQL. A SQLite file has one writer.
const CONNECTIONS: usize = 4;
/// After a transaction on a file, its owner has this part of its time to write.
const PAUSE_PART: u32 = 10;
/// More stations than a site has.
const MAX_AT_SITE: i64 = 100;

/// What the database has of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seeded {
    pub(super) stations: u64,
    pub(super) new_stations: u64,
    pub(super) locations: u64,
    pub(super) new_locations: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SeedError {
    #[error("the network is defective: {0}")]
    Network(&'static str),
    #[error(transparent)]
    Station(#[from] StationError),
}

/// A site of which something is missing.
struct Gap<'a> {
    site: &'a Site,
    is_new: bool,
    stations: Vec<&'a StationDraft>,
}

impl SeedError {
    pub(super) fn failure(self, config: &DatabaseConfig) -> Failure {
        match self {
            Self::Station(StationError::Database(error)) => Failure::Unreachable {
                what: "the database (DATABASE_URL)",
                at: config.url().to_string(),
                why: error.to_string(),
            },
            Self::Station(StationError::Conflict(refused)) => Failure::Refused(format!(
                "{refused}, which is not of this network: a database holds the network of one --random-seed"
            )),
            other => Failure::broken(other),
        }
    }
}

/// Writes what the database does not have yet, until `interrupted`. Transactions that have begun by then are finished.
pub(super) async fn write(
    db: &Db,
    seed: u64,
    stations: u32,
    interrupted: impl Future<Output = ()>,
    progress: &ProgressBar,
) -> Result<Seeded, SeedError> {
    let at_once = match db {
        Db::Pg(_) => CONNECTIONS,
        Db::Lite(_) => 1,
    };
    let batches = stream::iter(batches(Network::of(seed, stations))).take_until(interrupted);
    let write = async |batch: Result<Vec<Site>, SeedError>| write_batch(db, seed, &batch?).await;
    let mut written = std::pin::pin!(batches.map(write).buffer_unordered(at_once));
    let mut all = Seeded::default();
    while let Some(batch) = written.next().await {
        let batch = batch?;
        all = all.and(batch);
        progress.inc(batch.stations);
    }
    Ok(all)
}

impl Seeded {
    fn and(self, other: Self) -> Self {
        Self {
            stations: self.stations + other.stations,
            new_stations: self.new_stations + other.new_stations,
            locations: self.locations + other.locations,
            new_locations: self.new_locations + other.new_locations,
        }
    }
}

fn batches(mut network: Network) -> impl Iterator<Item = Result<Vec<Site>, SeedError>> {
    std::iter::from_fn(move || {
        let (mut batch, mut stations) = (Vec::new(), 0);
        while stations < AT_ONCE {
            match network.next() {
                Some(Ok(site)) => {
                    stations += site.stations.len();
                    batch.push(site);
                }
                Some(Err(why)) => return Some(Err(SeedError::Network(why))),
                None => break,
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    })
}

async fn write_batch(db: &Db, seed: u64, sites: &[Site]) -> Result<Seeded, SeedError> {
    let gaps = db.read(async |tx| gaps(tx, sites).await).await.map_err(StationError::from)?;
    let count = |count: usize| count as u64;
    let seeded = Seeded {
        stations: count(sites.iter().map(|site| site.stations.len()).sum()),
        new_stations: count(gaps.iter().map(|gap| gap.stations.len()).sum()),
        locations: count(sites.len()),
        new_locations: count(gaps.iter().filter(|gap| gap.is_new).count()),
    };
    if gaps.is_empty() {
        return Ok(seeded);
    }
    let began = Instant::now();
    db.write(async |tx| fill(tx, seed, &gaps).await).await?;
    if matches!(db, Db::Lite(_)) {
        tokio::time::sleep(began.elapsed() / PAUSE_PART).await;
    }
    Ok(seeded)
}

async fn gaps<'a>(tx: &mut Tx, sites: &'a [Site]) -> Result<Vec<Gap<'a>>, DbError> {
    let mut gaps = Vec::new();
    for site in sites {
        let is_new = locations::find(tx, site.id).await?.is_none();
        let mut known = HashSet::new();
        if !is_new {
            let stations = charging_stations::list(tx, Some(site.id), Uuid::nil(), MAX_AT_SITE).await?;
            known.extend(stations.into_iter().map(|station| station.row.id));
        }
        let missing = |draft: &&StationDraft| draft.id.is_some_and(|id| !known.contains(&id));
        let stations: Vec<_> = site.stations.iter().filter(missing).collect();
        if is_new || !stations.is_empty() {
            gaps.push(Gap { site, is_new, stations });
        }
    }
    Ok(gaps)
}

async fn fill(tx: &mut Tx, seed: u64, gaps: &[Gap<'_>]) -> Result<(), StationError> {
    let now = At::now();
    for gap in gaps {
        if gap.is_new {
            locations::create(tx, &gap.site.location).await?;
        }
        for draft in &gap.stations {
            let station = charging_stations::create(tx, draft).await?.row.id;
            let mut random = Random::of(seed, "status", station.as_u64_pair().1);
            for sent in statuses::of(draft, &mut random, now) {
                charging_stations::record_status(tx, station, &sent).await?;
            }
        }
    }
    Ok(())
}
