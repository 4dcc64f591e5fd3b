//! Reads: a thread with its own connection, so that no read waits for a commit and none blocks the async runtime.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::DbError;
use crate::thread::Thread;

/// Capacity of the queue of reads. Beyond it callers wait for room.
const WAITING: usize = 4096;

type Job = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Debug)]
pub(crate) struct Reader(Thread<Job>);

impl Reader {
    pub(crate) fn start(connection: Connection) -> Result<Self, DbError> {
        let thread = Thread::<Job>::start("db-reader", WAITING, move |mut waiting| {
            while let Some(job) = waiting.blocking_recv() {
                job(&connection);
            }
        });
        Ok(Self(thread?))
    }

    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = answer.send(work(connection));
        });
        self.0.send(job).await?;
        Ok(answered.await.map_err(|_| DbError::Closed)??)
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}
