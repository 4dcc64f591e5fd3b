//! Mails to people: written in the transaction of their cause, and sent after it by a worker. What a mail holds of a person
//! is deleted once it is sent, failed or dropped.

pub(crate) mod delivery;
mod kinds;
mod templates;

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

pub use self::delivery::{
    Claim, ClaimedMail, KEPT_FOR, claim, drop_stale, failed, oldest, prune, put_off, sent,
};
pub use self::kinds::{Language, MailKind};
pub use self::templates::{RenderedMail, TemplateError, Templates};
use crate::db::{At, DbError, Tx, on, statements};

statements! {
    QUEUE = "INSERT INTO mails (id, kind, dedupe, account_id, language, recipient, data, state, attempts, due_at, expires_at, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', 0, $8, $9, $8) ON CONFLICT (kind, dedupe) DO NOTHING";
    /// The mail about the erasure itself is sent after it.
    ERASE = "DELETE FROM mails WHERE account_id = $1 AND kind <> 'account_erased'";
}

/// A mail to be sent. It is shown without what it holds of a person.
#[derive(Clone)]
pub struct NewMail<'a> {
    /// Its kind.
    pub kind: MailKind,
    /// Whose account it is about.
    pub account_id: Option<Uuid>,
    /// The address of the recipient.
    pub to: &'a str,
    /// The language of the recipient.
    pub language: Language,
    /// Names the cause: a second mail of this kind for the same cause is not queued. It is kept for [`KEPT_FOR`], so it must
    /// hold no personal data: an id, and not an address.
    pub dedupe: String,
    /// How long the mail is of use, which its text states. It is dropped unsent after that.
    pub expires: Duration,
    /// What its template needs, as in [`MailKind::example`].
    pub data: Value,
}

impl fmt::Debug for NewMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMail")
            .field("kind", &self.kind)
            .field("dedupe", &self.dedupe)
            .finish_non_exhaustive()
    }
}

/// Queues a mail in the transaction of its cause. A repeat for the same cause does nothing.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn queue(tx: &mut Tx, mail: &NewMail<'_>) -> Result<(), DbError> {
    let now = At::now();
    on!(tx, |c| {
        let query = sqlx::query(QUEUE).bind(Uuid::now_v7()).bind(mail.kind).bind(&mail.dedupe);
        let query = query.bind(mail.account_id).bind(mail.language).bind(mail.to).bind(Json(&mail.data));
        query.bind(now).bind(now.plus(mail.expires)).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Deletes every mail about this account, sent or not, except the one about its erasure.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn erase(tx: &mut Tx, account_id: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ERASE).bind(account_id).execute(c).await.map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mail_is_shown_without_what_it_holds_of_a_person() {
        let mail = NewMail {
            kind: MailKind::VerifyEmail,
            account_id: None,
            to: "anna@example.com",
            language: Language::En,
            dedupe: "1".to_owned(),
            expires: Duration::from_secs(60),
            data: json!({"code": "s3cret"}),
        };
        let shown = format!("{mail:?}");
        assert!(
            shown.contains("VerifyEmail") && !shown.contains("anna") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
