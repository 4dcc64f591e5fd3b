//! The broker without a server: one SQLite file. Each message is a row; delivering it marks the row, and acknowledging
//! it deletes the row.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use embedded_db::rusqlite::{self, OptionalExtension, Row, params};
use embedded_db::{DataFile, Database, DbError, DirectoryLock};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Broker, BrokerError, Deliveries, Delivery, PublishError, Settle, Settled};
use crate::message::Message;

/// The broker's files in a directory.
pub const QUEUE_FILE: DataFile = DataFile { stem: "queue", table: "message" };

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS message (
        seq        INTEGER PRIMARY KEY AUTOINCREMENT,
        queue      TEXT    NOT NULL,
        due_ms     INTEGER NOT NULL,
        taken      INTEGER NOT NULL DEFAULT 0,
        deliveries INTEGER NOT NULL DEFAULT 0,
        properties TEXT    NOT NULL,
        headers    TEXT    NOT NULL,
        body       BLOB    NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS message_waiting ON message (queue, due_ms, seq) WHERE taken = 0;";

/// How long a consumer sleeps without a notification: another process, such as a command that replays dead letters, may have
/// added a message.
const MAX_SLEEP: Duration = Duration::from_millis(500);

/// How long closing waits for messages that are being requeued.
const REQUEUE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct EmbeddedBroker {
    shared: Arc<Shared>,
    /// `None` for a guest.
    _lock: Option<DirectoryLock>,
}

#[derive(Debug)]
struct Shared {
    db: Database,
    /// Notified whenever a message may have become ready.
    ready: Notify,
    /// Consumers of this process; no other process may have any.
    consumers: AtomicU64,
    /// The consumers, and the tasks that requeue messages.
    tasks: TaskTracker,
}

impl EmbeddedBroker {
    /// Messages that were in flight when the process died are ready again.
    pub(super) fn open(directory: &Path) -> Result<Self, BrokerError> {
        let lock = DirectoryLock::take(directory, QUEUE_FILE)?;
        let recover = format!("{SCHEMA} UPDATE message SET taken = 0 WHERE taken = 1;");
        Ok(Self::of(Database::open(&QUEUE_FILE.within(directory), &recover)?, Some(lock)))
    }

    /// Opens the directory as a guest of the process that owns it. Messages in flight in that process stay in flight.
    pub(super) fn beside(directory: &Path) -> Result<Self, BrokerError> {
        let file = QUEUE_FILE.within(directory);
        if !QUEUE_FILE.is_in(directory) {
            return Err(BrokerError::unreachable(format!("{} does not exist", file.display())));
        }
        Ok(Self::of(Database::open_existing(&file, SCHEMA)?, None))
    }

    fn of(db: Database, lock: Option<DirectoryLock>) -> Self {
        let (ready, consumers, tasks) = (Notify::new(), AtomicU64::new(0), TaskTracker::new());
        Self { shared: Arc::new(Shared { db, ready, consumers, tasks }), _lock: lock }
    }
}

/// Only an error within the transaction proves that nothing was written: a failed commit may have reached the disk, and
/// a writer thread that has ended may have committed before.
fn unwritten(error: DbError) -> PublishError {
    match error {
        DbError::Sqlite(error) => PublishError::unavailable(error),
        error => PublishError::unconfirmed(error),
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<(), PublishError> {
        let due_ms =
            now_ms().saturating_add(i64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX));
        let json = |value: Result<String, serde_json::Error>| value.map_err(PublishError::unavailable);
        let properties = json(serde_json::to_string(&message.properties))?;
        let headers = json(serde_json::to_string(&message.headers))?;
        let (queue, body) = (queue.to_owned(), message.body.clone());
        let insert = move |tx: &rusqlite::Transaction<'_>| {
            tx.prepare_cached(
                "INSERT INTO message (queue, due_ms, properties, headers, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![queue, due_ms, properties, headers, &body[..]])
        };
        self.shared.db.write(insert).await.map_err(unwritten)?;
        self.shared.ready.notify_waiters();
        Ok(())
    }

    /// Nothing to send: callers of an embedded broker read no replies.
    async fn reply(&self, _queue: &str, _message: &Message) -> Result<(), PublishError> {
        Ok(())
    }

    /// The prefetch never changes, because there is no remote control here.
    async fn consume_adjustably(
        &self,
        queue: &str,
        prefetch: watch::Receiver<u16>,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError> {
        let prefetch = *prefetch.borrow();
        let (tell, deliveries) = mpsc::channel(usize::from(prefetch).max(1));
        let consumer = Consumer {
            shared: Arc::clone(&self.shared),
            queue: queue.into(),
            free: Arc::new(Semaphore::new(usize::from(prefetch))),
            tell,
        };
        self.shared.consumers.fetch_add(1, Ordering::Relaxed);
        self.shared.tasks.spawn(consumer.run(stop));
        Ok(deliveries)
    }

    async fn prepare_delays(&self) -> Result<(), PublishError> {
        Ok(())
    }

    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        let queue = queue.to_owned();
        let count = self.shared.db.read(move |connection| {
            let sql = "SELECT count(*) FROM message WHERE queue = ?1 AND taken = 0";
            connection.prepare_cached(sql)?.query_row([queue], |row| row.get::<_, i64>(0))
        });
        Ok(count.await?.unsigned_abs())
    }

    async fn consumers(&self, _queue: &str) -> Result<u64, BrokerError> {
        Ok(self.shared.consumers.load(Ordering::Relaxed))
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.shared.tasks.close();
        // What is not requeued by then is ready again at the next start.
        let _ = tokio::time::timeout(REQUEUE_LIMIT, self.shared.tasks.wait()).await;
        self.shared.db.close().await;
    }
}

struct Consumer {
    shared: Arc<Shared>,
    queue: Arc<str>,
    /// One permit for each message that may be in flight: the prefetch.
    free: Arc<Semaphore>,
    tell: mpsc::Sender<Delivery>,
}

/// A row that was delivered.
struct TakenRow {
    seq: i64,
    deliveries: u32,
    message: Message,
}

impl Consumer {
    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // Subscribed before reading, so that a message added in between wakes it.
            let ready = self.shared.ready.notified();
            let next = tokio::select! {
                next = self.take_some() => next,
                () = stop.cancelled() => return,
            };
            match next {
                Ok(Some(_)) => {}
                Ok(None) => self.sleep(ready, &stop).await,
                Err(error) => {
                    tracing::error!(queue = %self.queue, %error, "the embedded queue cannot be read");
                    let _ = tokio::time::timeout(MAX_SLEEP, stop.cancelled()).await;
                }
            }
        }
    }

    /// Takes ready messages, as far as the prefetch allows; `None` if there are none.
    async fn take_some(&self) -> Result<Option<usize>, DbError> {
        let Ok(first) = Arc::clone(&self.free).acquire_owned().await else { return Ok(None) };
        let room = 1 + self.free.available_permits().min(256);
        let queue = Arc::clone(&self.queue);
        // A caller that was cancelled midway would leave the rows marked until the next start. So the write, which is
        // short, is spawned and always completes together with the delivery.
        let (shared, free, tell) = (Arc::clone(&self.shared), Arc::clone(&self.free), self.tell.clone());
        let taking = self.shared.tasks.spawn(async move {
            let rows = shared.db.write(move |tx| take(tx, &queue, room)).await?;
            let count = rows.1.len();
            hand_on(&shared, &rows.0, rows.1, first, &free, &tell).await;
            Ok::<_, DbError>(count)
        });
        match taking.await {
            Ok(count) => Ok(Some(count?).filter(|count| *count > 0)),
            Err(_) => Err(DbError::Closed),
        }
    }

    async fn sleep(&self, ready: tokio::sync::futures::Notified<'_>, stop: &CancellationToken) {
        let due = self.next_due().await.unwrap_or(MAX_SLEEP).min(MAX_SLEEP);
        tokio::select! {
            () = ready => {}
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn next_due(&self) -> Option<Duration> {
        let queue = Arc::clone(&self.queue);
        let sql = "SELECT min(due_ms) FROM message WHERE queue = ?1 AND taken = 0";
        let earliest = self.shared.db.read(move |connection| {
            connection
                .prepare_cached(sql)?
                .query_row([&*queue], |row| row.get::<_, Option<i64>>(0))
                .optional()
        });
        let due_ms = earliest.await.ok()???;
        Some(
            Duration::from_millis(due_ms.saturating_sub(now_ms()).unsigned_abs())
                .max(Duration::from_millis(1)),
        )
    }
}

fn take(
    tx: &rusqlite::Transaction<'_>,
    queue: &Arc<str>,
    room: usize,
) -> rusqlite::Result<(Arc<str>, Vec<TakenRow>)> {
    let mut statement = tx.prepare_cached(
        "UPDATE message SET taken = 1, deliveries = deliveries + 1
         WHERE seq IN (SELECT seq FROM message WHERE queue = ?1 AND taken = 0 AND due_ms <= ?2
                       ORDER BY due_ms, seq LIMIT ?3)
         RETURNING seq, deliveries, properties, headers, body",
    )?;
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![&**queue, now_ms(), limit], taken)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.sort_unstable_by_key(|row| row.seq);
    Ok((Arc::clone(queue), rows))
}

fn taken(row: &Row<'_>) -> rusqlite::Result<TakenRow> {
    let json = |index: usize| row.get::<_, String>(index);
    let message = Message {
        properties: serde_json::from_str(&json(2)?).unwrap_or_default(),
        headers: serde_json::from_str(&json(3)?).unwrap_or_default(),
        body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
    };
    Ok(TakenRow { seq: row.get(0)?, deliveries: row.get(1)?, message })
}

async fn hand_on(
    shared: &Arc<Shared>,
    queue: &Arc<str>,
    rows: Vec<TakenRow>,
    first: OwnedSemaphorePermit,
    free: &Arc<Semaphore>,
    tell: &mpsc::Sender<Delivery>,
) {
    let mut first = Some(first);
    for row in rows {
        let permit = match first.take() {
            Some(permit) => permit,
            // Available at once: only this consumer takes permits, and it counted them before it took the rows.
            None => match Arc::clone(free).acquire_owned().await {
                Ok(permit) => permit,
                Err(_) => return,
            },
        };
        let lease = Lease { seq: row.seq, shared: Arc::clone(shared), settled: false, _permit: permit };
        let delivery = Delivery {
            message: row.message,
            queue: Arc::clone(queue),
            deliveries: row.deliveries,
            settle: Settle::Embedded(lease),
        };
        // If the worker has ended, the lease is dropped here, which requeues the message.
        let _ = tell.send(delivery).await;
    }
}

/// A message in flight. It is requeued when dropped unsettled.
#[derive(Debug)]
pub(super) struct Lease {
    seq: i64,
    shared: Arc<Shared>,
    settled: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) async fn ack(mut self) -> Result<Settled, BrokerError> {
        let seq = self.seq;
        let sql = "DELETE FROM message WHERE seq = ?1";
        self.shared.db.write(move |tx| tx.prepare_cached(sql)?.execute([seq])).await?;
        self.settled = true;
        Ok(Settled::Done)
    }

    pub(super) async fn requeue(mut self) -> Result<Settled, BrokerError> {
        self.settled = true;
        requeue(Arc::clone(&self.shared), self.seq).await?;
        Ok(Settled::Done)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.settled, tokio::runtime::Handle::try_current()) {
            let (shared, seq) = (Arc::clone(&self.shared), self.seq);
            let requeueing = async move {
                if let Err(error) = requeue(shared, seq).await {
                    tracing::error!(%error, "a message could not be requeued; it is delivered again after the next start");
                }
            };
            self.shared.tasks.spawn_on(requeueing, &runtime);
        }
    }
}

async fn requeue(shared: Arc<Shared>, seq: i64) -> Result<(), DbError> {
    let sql = "UPDATE message SET taken = 0 WHERE seq = ?1";
    shared.db.write(move |tx| tx.prepare_cached(sql)?.execute([seq])).await?;
    shared.ready.notify_waiters();
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
