//! The relay of the outbox: assigns positions to committed events, and publishes them at least once, the events of one
//! station in order.
//!
//! Any number of processes may run it. A lease keeps all but one from publishing, which saves work; the order does not
//! depend on it. Each relay publishes an event only after all earlier ones of its station are confirmed. So whichever
//! copy of an event comes first, it comes after the first copy of each earlier one.

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use ::metrics::gauge;
use common::error_chain::BoxError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Event, State, Written};
use crate::db::{Db, DbError};
use crate::events;
use crate::lease::Lease;
use crate::metrics::OUTBOX_UNPUBLISHED;

/// The lease of the relay that publishes.
const LEASE: &str = "outbox";
const LEASE_SPAN: Duration = Duration::from_secs(10);
/// How long an event of another process may wait for the next look.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many events are published before that is recorded.
const BATCH: i64 = 200;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How long stopping waits for the events in flight. Those that are not recorded by then are published again.
const GRACE: Duration = Duration::from_secs(2);

/// Publishes events.
pub trait Publish {
    /// Publishes these events in order. `Ok` means that all are durable. No two of them are about the same station, so it
    /// does not matter which of them are missing after an error.
    fn publish(&mut self, events: &[Event]) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Why a look at the outbox failed.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("{0}")]
    Publish(#[source] BoxError),
}

/// Publishes what has a position.
struct Publishing<'a, P> {
    db: &'a Db,
    publisher: P,
    lease: Lease,
}

/// Relays events until `shutdown`. Without a publisher they only get their positions. It survives the loss of the database
/// and of the publisher; without the publisher, events still get their positions at once.
pub async fn run<P: Publish>(db: &Db, publisher: Option<P>, written: &Written, shutdown: CancellationToken) {
    let numbered = Notify::new();
    let publishing = async {
        if let Some(publisher) = publisher {
            let lease = Lease::new(LEASE, LEASE_SPAN);
            Publishing { db, publisher, lease }.run(&numbered, &shutdown).await;
        }
    };
    tokio::join!(number(db, written, &numbered, &shutdown), publishing);
}

/// Assigns positions until `shutdown`.
async fn number(db: &Db, written: &Written, numbered: &Notify, shutdown: &CancellationToken) {
    let mut outage = Outage::of("events get no position");
    loop {
        // From here on, so that no event is missed that is written during the look.
        let mut written = pin!(written.notified());
        written.as_mut().enable();
        let looked = tokio::select! {
            looked = number_all(db, numbered) => looked,
            () = overdue(shutdown) => return,
        };
        let wait = outage.after(looked);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait.unwrap_or(LOOK_EVERY)) => {}
            () = written, if wait.is_none() => {}
        }
    }
}

async fn number_all(db: &Db, numbered: &Notify) -> Result<(), DbError> {
    while db.read(async |tx| events::are_unnumbered(tx).await).await? {
        db.write(async |tx| events::number(tx).await).await?;
        numbered.notify_one();
    }
    Ok(())
}

async fn overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

impl<P: Publish> Publishing<'_, P> {
    async fn run(mut self, numbered: &Notify, shutdown: &CancellationToken) {
        let mut outage = Outage::of("events cannot be published");
        loop {
            let looked = tokio::select! {
                looked = self.publish_all() => looked,
                () = overdue(shutdown) => break,
            };
            let wait = outage.after(looked);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(wait.unwrap_or(LOOK_EVERY)) => {}
                () = numbered.notified(), if wait.is_none() => {}
            }
        }
        self.lease.release(self.db).await;
    }

    async fn publish_all(&mut self) -> Result<(), RelayError> {
        loop {
            let state = self.db.read(async |tx| events::state(tx).await).await?;
            report_unpublished(state.last_position - state.published);
            if state.last_position <= state.published || !self.lease.hold(self.db).await? {
                return Ok(());
            }
            self.publish_batch(state).await?;
        }
    }

    async fn publish_batch(&mut self, state: State) -> Result<(), RelayError> {
        let after = state.published;
        let batch = self.db.read(async move |tx| events::after(tx, after, BATCH).await).await?;
        // Where nothing was published before, events may have been deleted unpublished.
        let done = batch.last().map_or(state.last_position, |last| last.position);
        for run in Runs(&batch) {
            if let Err(error) = self.publisher.publish(run).await {
                // Another process may have a connection that works.
                self.lease.release(self.db).await;
                return Err(RelayError::Publish(error));
            }
        }
        Ok(self.db.write(async move |tx| events::published(tx, done).await).await?)
    }
}

/// Logs the begin and the end of an outage, and says how long to wait in it.
struct Outage {
    what: &'static str,
    waited: Option<Duration>,
}

impl Outage {
    fn of(what: &'static str) -> Self {
        Self { what, waited: None }
    }

    /// How long to wait after a failure.
    fn after<E: fmt::Display>(&mut self, looked: Result<(), E>) -> Option<Duration> {
        let what = self.what;
        self.waited = match (looked, self.waited) {
            (Ok(()), None) => None,
            (Ok(()), Some(_)) => {
                tracing::info!("it is over: {what}");
                None
            }
            (Err(error), None) => {
                tracing::warn!(%error, "{what}; trying again");
                Some(FIRST_WAIT)
            }
            (Err(_), Some(waited)) => Some((waited * 2).min(MAX_WAIT)),
        };
        self.waited
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn report_unpublished(events: i64) {
    gauge!(OUTBOX_UNPUBLISHED).set(events as f64);
}

/// Cuts a batch into runs, each of which has at most one event of a station, or of a location if it is about no station. It
/// has at most one event that is about neither, too.
struct Runs<'a>(&'a [Event]);

impl<'a> Iterator for Runs<'a> {
    type Item = &'a [Event];

    fn next(&mut self) -> Option<&'a [Event]> {
        let mut seen: HashSet<Option<Uuid>> = HashSet::new();
        let repeated = self.0.iter().position(|event| !seen.insert(event.station_id.or(event.location_id)));
        let (run, rest) = self.0.split_at(repeated.unwrap_or(self.0.len()));
        self.0 = rest;
        (!run.is_empty()).then_some(run)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use sqlx::types::Json;

    use super::*;
    use crate::db::At;

    fn events(stations: &[u8]) -> Vec<Event> {
        let event = |(position, station): (i64, &u8)| Event {
            position,
            routing_key: "station.updated".to_owned(),
            station_id: Some(Uuid::from_u128(u128::from(*station))),
            location_id: None,
            data: Json(json!({})),
            at: At::now(),
        };
        (1..).zip(stations).map(event).collect()
    }

    proptest! {
        #[test]
        fn a_run_has_at_most_one_event_of_a_station(stations in prop::collection::vec(0_u8..6, 0..40)) {
            let batch = events(&stations);
            let runs: Vec<&[Event]> = Runs(&batch).collect();
            prop_assert_eq!(runs.concat(), batch.clone());
            for run in &runs {
                let stations: HashSet<_> = run.iter().map(|event| event.station_id).collect();
                prop_assert_eq!(stations.len(), run.len());
            }
            for pair in runs.windows(2) {
                prop_assert!(pair[0].iter().any(|event| event.station_id == pair[1][0].station_id));
            }
        }
    }

    /// Compiles only if the relay can be spawned. Bodies of transactions capture by value for that.
    #[expect(dead_code, reason = "only compiled")]
    fn it_can_be_spawned<P: Publish + Send + 'static>(db: Db, publisher: P) {
        tokio::spawn(async move {
            run(&db, Some(publisher), &Written::new(), CancellationToken::new()).await;
        });
    }

    #[test]
    fn an_outage_is_waited_out_with_growing_waits() {
        let mut outage = Outage::of("nothing works");
        assert_eq!(outage.after(Err(DbError::Slow)), Some(FIRST_WAIT));
        for _ in 0..10 {
            outage.after(Err(DbError::Slow));
        }
        assert_eq!(outage.after(Err(DbError::Slow)), Some(MAX_WAIT));
        assert_eq!(outage.after(Ok::<_, DbError>(())), None);
        assert_eq!(outage.after(Err(DbError::Slow)), Some(FIRST_WAIT));
    }
}
