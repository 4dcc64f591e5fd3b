//! The only writer: a thread that takes all waiting writes, runs them in one transaction and commits once.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::DbError;
use crate::thread::Thread;

/// Maximum number of writes in one commit. With more, the first would wait for the last
/// and hardly save more of the sync.
const BATCH: usize = 512;

/// Capacity of the queue of writes. Beyond it callers wait for room, so that memory does not grow with the load.
const WAITING: usize = 4096;

/// One write. It runs within the transaction; its caller gets the result only after the commit.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

#[derive(Debug)]
pub(crate) struct Writer(Thread<Job>);

impl Writer {
    pub(crate) fn start(mut connection: Connection) -> Result<Self, DbError> {
        let thread = Thread::<Job>::start("db-writer", WAITING, move |waiting| {
            write_until_closed(&mut connection, waiting);
            if let Err(error) = close(connection) {
                tracing::warn!(%error, "the embedded database could not be closed; its data is safe in its -wal file");
            }
        });
        Ok(Self(thread?))
    }

    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = alone(transaction, work);
            Box::new(move |committed: Result<(), String>| {
                let _ = answer.send(match committed {
                    Ok(()) => result.map_err(DbError::Sqlite),
                    Err(why) => Err(DbError::Commit(why)),
                });
            })
        });
        self.0.send(job).await?;
        answered.await.map_err(|_| DbError::Closed)?
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// Runs a write within a savepoint, so that one that fails half-way leaves nothing in the commit of the others.
fn alone<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    transaction.prepare_cached("SAVEPOINT one_write")?.execute([])?;
    let result = work(transaction);
    if result.is_err() {
        transaction.prepare_cached("ROLLBACK TO one_write")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE one_write")?.execute([])?;
    result
}

fn write_until_closed(connection: &mut Connection, mut waiting: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        let committed = commit(connection, &mut batch, &mut answers).map_err(|error| error.to_string());
        if let Err(error) = &committed {
            tracing::error!(error, "a commit to the embedded database failed");
        }
        for answer in answers {
            answer(committed.clone());
        }
        // Jobs that never ran (the transaction did not begin) are dropped here, which notifies their callers.
        batch.clear();
    }
}

fn commit(
    connection: &mut Connection,
    batch: &mut Vec<Job>,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch.drain(..) {
        answers.push(job(&mut transaction));
    }
    transaction.commit()
}

/// Moves everything into the file itself. SQLite does so only for the last connection,
/// and another command may hold one.
fn close(connection: Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}
