//! Reads: a thread with a connection of its own, so that no read waits for a commit and none blocks the async runtime.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::DbError;

/// Reads that may wait; a caller beyond waits for room.
const WAITING: usize = 4096;

type Job = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Debug, Clone)]
pub(crate) struct Reader {
    jobs: mpsc::Sender<Job>,
}

impl Reader {
    pub(crate) fn start(connection: Connection) -> Result<Self, DbError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING);
        std::thread::Builder::new()
            .name("db-reader".to_owned())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    job(&connection);
                }
            })
            .map_err(|error| DbError::Commit(error.to_string()))?;
        Ok(Self { jobs })
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
        self.jobs.send(job).await.map_err(|_| DbError::Closed)?;
        Ok(answered.await.map_err(|_| DbError::Closed)??)
    }
}
