//! Mail: how it is written, and where it is delivered. What is due, and what becomes of it, is in `charging::notifications`.

mod config;
mod folder;
mod message;
mod send_error;
mod smtp;

use std::time::Duration;

use charging::notifications::{self, ClaimedMail, Templates};
use charging::{At, Db};
use lettre::message::Mailbox;
use metrics::gauge;

pub(crate) use config::Delivery;
pub use config::MailConfig;
pub use folder::{Announce, WrittenMail};
pub(crate) use send_error::SendError;
pub(crate) use smtp::LIMIT as SEND_LIMIT;

use crate::metrics::MAIL_OLDEST;

const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Writes mails and delivers them.
pub(crate) struct Mailer {
    from: Mailbox,
    templates: Templates,
    delivery: Delivery,
}

impl Mailer {
    pub(crate) fn new(config: &MailConfig) -> Self {
        let MailConfig { from, templates, delivery } = config.clone();
        Self { from, templates, delivery }
    }

    /// Whether mails can be delivered at all.
    pub(crate) fn can_deliver(&self) -> bool {
        !matches!(self.delivery, Delivery::Nowhere)
    }

    /// Delivers a mail. A further attempt has the same `Message-ID`.
    pub(crate) async fn send(&self, mail: &ClaimedMail) -> Result<(), SendError> {
        let rendered = self.templates.render(mail)?;
        let link = rendered.link.clone();
        let message = message::compose(&self.from, mail, rendered)?;
        match &self.delivery {
            Delivery::Smtp(server) => server.send(&message).await,
            Delivery::Folder(folder) => folder.write(mail, &message, link).await,
            Delivery::Nowhere => Err(SendError::Nowhere),
        }
    }
}

/// Updates the age of the oldest mail that is not sent, until dropped.
pub(crate) async fn watch(db: &Db) {
    let mut oldest = None;
    loop {
        // While the database is away the mail that was the oldest grows older.
        if let Ok(found) = db.read(async |tx| notifications::oldest(tx).await).await {
            oldest = found;
        }
        let age = oldest.map_or(0, |oldest: At| At::now().millis() - oldest.millis());
        gauge!(MAIL_OLDEST).set(Duration::from_millis(u64::try_from(age).unwrap_or(0)).as_secs_f64());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
