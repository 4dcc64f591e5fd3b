//! Requests for a new password, which are carried out after their answer: neither the answer nor its time says whether an
//! account has the address. They are carried out one after another, also those that wait when the process stops.

use std::time::Duration;

use charging::Db;
use charging::accounts::{Email, verification};
use http_server::Problem;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many may wait.
const WAITING: usize = 256;
/// How often one is tried while the database is away.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Takes requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Resets(mpsc::Sender<Email>);

/// The requests that wait.
pub(crate) struct WaitingResets(mpsc::Receiver<Email>);

/// Where requests go in, and where they come out.
pub(crate) fn queue() -> (Resets, WaitingResets) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Resets(sender), WaitingResets(receiver))
}

impl Resets {
    /// Takes a request.
    pub(crate) fn request(&self, email: Email) -> Result<(), Problem> {
        let full = || Problem::unavailable("mails", "too many requests at once", Duration::from_secs(2));
        self.0.try_send(email).map_err(|_| full())
    }
}

impl WaitingResets {
    /// Carries requests out until `stop`, and then those that wait.
    pub(crate) async fn carry_out(mut self, db: &Db, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                next = self.0.recv() => next,
                () = stop.cancelled() => break,
            };
            match next {
                Some(email) => carry_out(db, email).await,
                None => return,
            }
        }
        self.0.close();
        while let Some(email) = self.0.recv().await {
            carry_out(db, email).await;
        }
    }
}

async fn carry_out(db: &Db, email: Email) {
    for _ in 0..TRIES {
        let address = email.clone();
        match db.write(async move |tx| verification::request_reset(tx, &address).await).await {
            Ok(()) => return,
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::error!(%error, "a new password was requested, and no mail could be queued");
                return;
            }
        }
    }
    tracing::warn!("a new password was requested while the database was away, and no mail was queued");
}
