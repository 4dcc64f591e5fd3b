//! A thread that owns a connection and runs the jobs sent to it until it is closed. Closing waits for
//! the end of the thread: a connection that is still open when the process ends leaves part of its data
//! in the `-wal` next to the file.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;

use crate::DbError;

pub(crate) struct Thread<Job> {
    /// `None` once it is closed.
    running: Mutex<Option<Running<Job>>>,
}

struct Running<Job> {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl<Job: Send + 'static> Thread<Job> {
    /// `work` returns when it has received all jobs.
    pub(crate) fn start(
        name: &str,
        waiting: usize,
        work: impl FnOnce(mpsc::Receiver<Job>) + Send + 'static,
    ) -> Result<Self, DbError> {
        let (jobs, received) = mpsc::channel(waiting);
        let thread = Builder::new().name(name.to_owned()).spawn(move || work(received));
        let thread = thread.map_err(|error| DbError::Commit(error.to_string()))?;
        Ok(Self { running: Mutex::new(Some(Running { jobs, thread })) })
    }

    pub(crate) async fn send(&self, job: Job) -> Result<(), DbError> {
        let jobs = self.running().as_ref().map(|running| running.jobs.clone()).ok_or(DbError::Closed)?;
        jobs.send(job).await.map_err(|_| DbError::Closed)
    }

    /// Accepts no more jobs, and waits until the queued ones are done and the thread has ended.
    pub(crate) async fn close(&self) {
        let Some(Running { jobs, thread }) = self.running().take() else { return };
        drop(jobs);
        let _ = tokio::task::spawn_blocking(|| thread.join()).await;
    }
}

impl<Job> Thread<Job> {
    fn running(&self) -> MutexGuard<'_, Option<Running<Job>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Job> Drop for Thread<Job> {
    fn drop(&mut self) {
        let Some(Running { jobs, thread }) = self.running().take() else { return };
        drop(jobs);
        let _ = thread.join();
    }
}

impl<Job> fmt::Debug for Thread<Job> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("running", &self.running().is_some()).finish()
    }
}
