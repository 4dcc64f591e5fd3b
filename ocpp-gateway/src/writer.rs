//! Writes what chargers report. What arrives while a transaction runs is written by the next one together, so that many
//! chargers share one commit. A charger has its answer only when its message is durable; while the database is away, boots and
//! statuses are kept and answered, and everything else stays unanswered, so that the charger keeps and repeats it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{counter, gauge};
use charging::chargers::boots::{self, Boot, Observed};
use charging::chargers::credentials::Match;
use charging::chargers::transfers::{self, Transfer, TransferKind};
use charging::chargers::{self, certificates, connections, security_events};
use charging::db::TxError;
use charging::sessions::meter_values::{self, Reading};
use charging::sessions::start::{self, Start, Started};
use charging::sessions::stop::{self, Stop};
use charging::sessions::{self, Session, StartAnswer};
use charging::stations::StationError;
use charging::stations::charging_stations;
use charging::stations::status_log::Sent;
use charging::{At, Db, DbError, Tx};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::{WRITES_KEPT, WRITES_LOST};

/// Transactions are short, so that others need not wait for the rows.
const AT_ONCE: usize = 32;
/// The same for what was kept while the database was away.
const KEPT_AT_ONCE: usize = 256;
const WAITING: usize = 4096;
/// How many boots and statuses are kept while the database is away.
const MAX_KEPT: usize = 10_000;
const TRY_AGAIN: Duration = Duration::from_secs(1);
const FOREVER: Duration = Duration::from_secs(3600);

/// What a charger has reported.
#[derive(Debug, Clone)]
pub(crate) enum Report {
    Connected { node: Uuid, subprotocol: &'static str, came_with: Option<Match> },
    Boot(Boot, At),
    Status(Sent),
    Observed(Observed),
    Disconnected { epoch: i64, reason: &'static str },
    Readings { number: Option<i64>, readings: Vec<Reading> },
    Start(Start),
    Stop(Stop, Vec<Reading>),
    Answered { session: Uuid, answer: StartAnswer },
    Security { kind: String, detail: Option<String> },
    Transfer(TransferKind, Transfer),
    Authorized { answer: &'static str },
    CertificateRequest { csr: String, at: At },
}

/// What was written.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    Done,
    Session(Box<Session>),
    /// The epoch of the connection; `None` if the station is gone.
    Connected(Option<i64>),
}

/// It could not be written: the database is away, or there is too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotWritten;

type Ack = oneshot::Sender<Result<Written, NotWritten>>;

struct Order {
    station: Uuid,
    report: Arc<Report>,
    ack: Option<Ack>,
}

/// Takes reports. Those of one station are written in their order.
#[derive(Clone)]
pub(crate) struct Writer(Vec<mpsc::Sender<Order>>);

/// The part that writes, which [`Orders::carry_out`] runs.
pub(crate) struct Orders(Vec<mpsc::Receiver<Order>>);

impl Report {
    /// Whether it is answered although it is not written yet.
    fn is_kept(&self) -> bool {
        !matches!(self, Self::Connected { .. } | Self::Readings { .. } | Self::Start(_) | Self::Stop(..))
    }
}

impl Order {
    /// Returns what has to be written in turn: a connection whose handshake was given up meanwhile ends.
    fn acknowledge(self, written: Result<Written, NotWritten>) -> Option<Self> {
        match self.ack?.send(written) {
            Err(Ok(Written::Connected(Some(epoch)))) => {
                let report = Arc::new(Report::Disconnected { epoch, reason: "lost" });
                Some(Self { station: self.station, report, ack: None })
            }
            // The socket may have stopped waiting.
            _ => None,
        }
    }
}

impl Writer {
    /// A writer with this many transactions at once.
    pub(crate) fn new(shards: usize) -> (Self, Orders) {
        let (senders, receivers) = (0..shards.max(1)).map(|_| mpsc::channel(WAITING)).unzip();
        (Self(senders), Orders(receivers))
    }

    /// Writes a report, and returns once it is durable or kept.
    pub(crate) async fn write(&self, station: Uuid, report: Report) -> Result<Written, NotWritten> {
        let (ack, written) = oneshot::channel();
        self.of(station)
            .send(Order { station, report: Arc::new(report), ack: Some(ack) })
            .await
            .map_err(|_| NotWritten)?;
        written.await.map_err(|_| NotWritten)?
    }

    /// Writes a report that is not waited for. It is lost if there is too much to do.
    pub(crate) fn note(&self, station: Uuid, report: Report) {
        if self.of(station).try_send(Order { station, report: Arc::new(report), ack: None }).is_err() {
            counter!(WRITES_LOST).increment(1);
        }
    }

    fn of(&self, station: Uuid) -> &mpsc::Sender<Order> {
        let shard = station.as_u128() % self.0.len() as u128;
        &self.0[usize::try_from(shard).unwrap_or_default()]
    }
}

impl Orders {
    /// Writes until `stop`, and then what was ordered until then.
    pub(crate) async fn carry_out(self, db: Db, stop: CancellationToken) {
        let shards = self.0.into_iter().map(|orders| shard(db.clone(), orders, stop.clone()));
        futures_util::future::join_all(shards).await;
    }
}

async fn shard(db: Db, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) {
    let mut kept: VecDeque<Order> = VecDeque::new();
    let mut batch = Vec::with_capacity(AT_ONCE);
    loop {
        // What is kept comes first, so that the reports of a station stay in their order.
        let wait = if kept.is_empty() { FOREVER } else { TRY_AGAIN };
        let received = tokio::select! {
            received = orders.recv_many(&mut batch, AT_ONCE) => Some(received),
            () = tokio::time::sleep(wait) => None,
            () = stop.cancelled(), if !orders.is_closed() => {
                orders.close();
                None
            }
        };
        let closed = received == Some(0);
        if closed && kept.is_empty() {
            return;
        }
        let was_kept = !kept.is_empty();
        let now: Vec<Order> = match was_kept {
            true => {
                batch.drain(..).for_each(|order| keep(&mut kept, order));
                kept.drain(..kept.len().min(KEPT_AT_ONCE)).collect()
            }
            false => std::mem::take(&mut batch),
        };
        let unwritten = write_all(&db, now).await;
        let away = !unwritten.is_empty();
        match was_kept {
            true => unwritten.into_iter().rev().for_each(|order| kept.push_front(order)),
            false => unwritten.into_iter().for_each(|order| keep(&mut kept, order)),
        }
        gauge!(WRITES_KEPT).set(u32::try_from(kept.len()).unwrap_or(u32::MAX));
        if away && closed {
            counter!(WRITES_LOST).increment(kept.len() as u64);
            return;
        }
        if away {
            tokio::time::sleep(TRY_AGAIN / 10).await;
        }
    }
}

/// Answers what is kept; what is not is left to the charger.
fn keep(kept: &mut VecDeque<Order>, mut order: Order) {
    if !order.report.is_kept() {
        order.acknowledge(Err(NotWritten));
        return;
    }
    if let Some(ack) = order.ack.take() {
        let _ = ack.send(Ok(Written::Done));
    }
    if kept.len() >= MAX_KEPT {
        kept.pop_front();
        counter!(WRITES_LOST).increment(1);
    }
    kept.push_back(order);
}

/// Writes these in one transaction; one by one if one of them is at fault. Returns what is still to be written: all of it while the
/// database is away.
async fn write_all(db: &Db, orders: Vec<Order>) -> Vec<Order> {
    let mut orders = orders;
    if orders.is_empty() {
        return orders;
    }
    // In one order on every node, so that no two transactions wait for each other.
    orders.sort_by_key(|order| order.station);
    let work: Vec<(Uuid, Arc<Report>)> =
        orders.iter().map(|order| (order.station, Arc::clone(&order.report))).collect();
    match db.write(async move |tx| apply_all(tx, &work).await).await {
        Ok(all) => {
            let acknowledged = orders.into_iter().zip(all);
            acknowledged.filter_map(|(order, written)| order.acknowledge(Ok(written))).collect()
        }
        Err(Failed(error)) if error.is_transient() => {
            tracing::warn!(%error, "reports of chargers cannot be written at present");
            orders
        }
        Err(Failed(error)) if orders.len() == 1 => {
            tracing::error!(%error, "a report of a charger cannot be written");
            counter!(WRITES_LOST).increment(1);
            for order in orders {
                order.acknowledge(Err(NotWritten));
            }
            Vec::new()
        }
        Err(_) => {
            let mut unwritten = Vec::new();
            for order in orders {
                unwritten.append(&mut Box::pin(write_all(db, vec![order])).await);
            }
            unwritten
        }
    }
}

struct Failed(DbError);

impl From<DbError> for Failed {
    fn from(error: DbError) -> Self {
        Self(error)
    }
}

impl TxError for Failed {
    fn database(&self) -> Option<&DbError> {
        Some(&self.0)
    }
}

async fn apply_all(tx: &mut Tx, work: &[(Uuid, Arc<Report>)]) -> Result<Vec<Written>, Failed> {
    let mut all = Vec::with_capacity(work.len());
    for (station, report) in work {
        all.push(apply(tx, *station, report).await?);
    }
    Ok(all)
}

async fn apply(tx: &mut Tx, station: Uuid, report: &Report) -> Result<Written, DbError> {
    match report {
        Report::Connected { node, subprotocol, came_with } => {
            let begun = connections::begin(tx, station, *node, subprotocol, *came_with).await?;
            return Ok(Written::Connected(begun));
        }
        Report::Boot(boot, at) => boots::record(tx, station, boot, *at).await?,
        Report::Status(sent) => {
            let recorded = charging_stations::record_status(tx, station, sent).await;
            // Otherwise the station is gone, or takes no more connectors.
            if let Err(StationError::Database(error)) = recorded {
                return Err(error);
            }
        }
        Report::Observed(observed) => boots::observe(tx, station, observed).await?,
        Report::Disconnected { epoch, reason } => connections::ended(tx, station, *epoch, reason).await?,
        Report::Readings { number, readings } => {
            meter_values::record(tx, station, *number, readings).await?;
        }
        Report::Start(start) => match start::record(tx, station, start).await? {
            Started::New(session) | Started::Again(session) => {
                return Ok(Written::Session(Box::new(session)));
            }
            Started::NoStation => {}
        },
        Report::Stop(stop, readings) => {
            let session = stop::record(tx, station, stop).await?;
            let number = session.as_ref().map(|session| session.number).or(stop.number);
            // A stop names no connector. Readings that came before it must be the same ones.
            let connector = session.as_ref().and_then(|session| session.connector_number).unwrap_or(0);
            let at_connector = |reading: &Reading| Reading { connector_number: connector, ..reading.clone() };
            let readings: Vec<Reading> = readings.iter().map(at_connector).collect();
            meter_values::record(tx, station, number, &readings).await?;
            return Ok(session.map_or(Written::Done, |session| Written::Session(Box::new(session))));
        }
        Report::Security { kind, detail } => {
            security_events::record(tx, station, kind, detail.as_deref()).await?;
        }
        Report::Authorized { answer } => chargers::authorized(tx, station, answer).await?,
        Report::Transfer(kind, transfer) => transfers::record(tx, station, *kind, transfer).await?,
        Report::CertificateRequest { csr, at } => certificates::requested(tx, station, csr, *at).await?,
        Report::Answered { session, answer } => sessions::answered(tx, *session, answer).await?,
    }
    Ok(Written::Done)
}
