//! Sends queued mails. A mail is sent at least once: if a worker dies between sending it and recording that, or the database
//! does, it is sent again with the same `Message-ID`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use charging::DbError;
use charging::notifications::{self, ClaimedMail};
use futures_util::future::join_all;
use task_queue::{Outcome, Task, TaskContext};
use tokio::sync::Semaphore;

use super::prune::{NoArguments, PIECE};
use super::{PlatformParts, failed};
use crate::mail::{Mailer, SEND_LIMIT, SendError};
use crate::measurements::{self, MailEnd};

/// How many mails are sent at the same time, each over a connection of its own.
const AT_ONCE: u8 = 8;
/// More than a mail takes, so that no other worker sends it meanwhile.
const CLAIM: Duration = SEND_LIMIT.saturating_add(Duration::from_secs(20));
/// The bounds of one run. The next one continues.
const LIMIT: Duration = Duration::from_secs(20);
const MAX_PIECES: u32 = 50;

/// Sends mails, one run at a time: a server that hangs must not take the slots of the other tasks.
pub(crate) struct Sender {
    mailer: Mailer,
    at_work: Semaphore,
    is_failing: AtomicBool,
}

/// `voltgate.platform.send_mails`.
pub(crate) struct SendMails(pub(super) Arc<PlatformParts>);

#[async_trait]
impl Task for SendMails {
    const NAME: &'static str = "voltgate.platform.send_mails";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let Ok(_one_run) = self.0.mails.at_work.try_acquire() else { return Outcome::Done };
        let sending = async {
            drop_stale(&self.0).await?;
            if self.0.mails.mailer.can_deliver() { send(&self.0).await } else { warn_once(&self.0).await }
        };
        tokio::select! {
            sent = sending => match sent {
                Ok(()) => Outcome::Done,
                Err(error) => {
                    tracing::warn!(%error, "mails cannot be sent without the database");
                    failed(&error)
                }
            },
            // The claims of the mails that are being sent end by themselves.
            () = context.cancel.cancelled() => Outcome::Done,
        }
    }
}

impl Sender {
    pub(super) fn new(mailer: Mailer) -> Self {
        Self { mailer, at_work: Semaphore::new(1), is_failing: AtomicBool::new(false) }
    }

    /// Logs only the first of many failures, and the end of them.
    fn report(&self, result: Result<(), &SendError>) {
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Ok(()) if was_failing => tracing::info!("mails are sent again"),
            Err(error) if !was_failing => tracing::warn!(%error, "mails cannot be sent yet; trying again"),
            Err(error) => tracing::debug!(%error, "mails cannot be sent yet; trying again"),
            Ok(()) => {}
        }
    }
}

async fn drop_stale(parts: &PlatformParts) -> Result<(), DbError> {
    for _ in 0..MAX_PIECES {
        let stale = parts.db.write(async move |tx| notifications::drop_stale(tx, i64::from(PIECE)).await);
        let stale = stale.await?;
        for kind in &stale {
            measurements::mail_ended(kind.parse().ok(), MailEnd::Dropped);
        }
        if !stale.is_empty() {
            tracing::warn!(count = stale.len(), "mails were dropped, because they could not be sent in time");
        }
        if stale.len() < usize::from(PIECE) {
            break;
        }
    }
    Ok(())
}

async fn send(parts: &PlatformParts) -> Result<(), DbError> {
    let began = Instant::now();
    for _ in 0..MAX_PIECES {
        let claimed =
            parts.db.write(async move |tx| notifications::claim(tx, i64::from(AT_ONCE), CLAIM).await);
        let claimed = claimed.await?;
        let is_last = claimed.len() < usize::from(AT_ONCE);
        for sent in join_all(claimed.iter().map(|mail| send_one(parts, mail))).await {
            sent?;
        }
        if is_last || began.elapsed() > LIMIT {
            break;
        }
    }
    Ok(())
}

async fn send_one(parts: &PlatformParts, mail: &ClaimedMail) -> Result<(), DbError> {
    let (db, claim, kind) = (&parts.db, mail.claim, mail.kind);
    match parts.mails.mailer.send(mail).await {
        Ok(()) => {
            parts.mails.report(Ok(()));
            db.write(async move |tx| notifications::sent(tx, claim).await).await?;
            measurements::mail_ended(Some(kind), MailEnd::Sent);
        }
        Err(error) if error.is_final() => {
            tracing::warn!(mail = %claim.id, %kind, %error, "a mail can never be sent");
            db.write(async move |tx| notifications::failed(tx, claim).await).await?;
            measurements::mail_ended(Some(kind), MailEnd::Failed);
        }
        Err(error) => {
            if error.is_of_this_mail() {
                tracing::info!(mail = %claim.id, %kind, %error, "a mail is put off");
            } else {
                parts.mails.report(Err(&error));
            }
            db.write(async move |tx| notifications::put_off(tx, claim).await).await?;
        }
    }
    Ok(())
}

/// Mails wait for an operator, who is notified once.
async fn warn_once(parts: &PlatformParts) -> Result<(), DbError> {
    let oldest = parts.db.read(async |tx| notifications::oldest(tx).await).await?;
    if oldest.is_some() && !parts.mails.is_failing.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "mails wait and are not sent: set SMTP_URL, or MAIL_FOLDER to have them written to files"
        );
    }
    Ok(())
}
