//! Why a mail could not be sent: for ever, or for now. None of it holds an address: answers of servers are known by their
//! code only, because their texts repeat the address.

use charging::notifications::TemplateError;

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address of the recipient is malformed.
    #[error("the recipient's address is malformed")]
    BadAddress,
    /// The part before the `@` is not ASCII, and the server does not take that.
    #[error("the recipient's address needs SMTPUTF8, which the server does not have")]
    NeedsUtf8,
    /// The texts cannot be made.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The message cannot be made.
    #[error("the message cannot be composed: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server refused the recipient, or the message.
    #[error("the server refused {what} with {code}")]
    Refused {
        /// What it refused.
        what: &'static str,
        /// The code of SMTP, 500 to 599.
        code: u16,
    },
    /// The server does not take this mail for now, such as the first one of a sender that it does not know.
    #[error("the server answered {what} with {code}")]
    PutOff {
        /// What it answered.
        what: &'static str,
        /// The code of SMTP, 400 to 499.
        code: u16,
    },
    /// The server takes no mail from us: for now, or until an operator corrects the settings.
    #[error("the server answered {what} with {code}")]
    NotFromUs {
        /// What it answered.
        what: &'static str,
        /// The code of SMTP.
        code: u16,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("the connection to the server failed ({what}): {why}")]
    Connection {
        /// What was being done.
        what: &'static str,
        /// The cause, by its kind.
        why: String,
    },
    /// A password is not sent in clear.
    #[error("the server offers no TLS; a password is sent without it only to this machine")]
    NoTls,
    /// The server takes no password, or not by a mechanism that we have.
    #[error("the server offers no login that could be used")]
    NoLogin,
    /// The time limit passed.
    #[error("the server did not take the mail in time")]
    Slow,
    /// The folder cannot be written to.
    #[error("the mail cannot be written to the folder: {0}")]
    Folder(#[source] std::io::Error),
    /// Nothing says where mails go.
    #[error("SMTP_URL is not set")]
    Nowhere,
}

impl SendError {
    /// Whether the cause is this mail, and another one may be sent.
    pub(crate) fn is_of_this_mail(&self) -> bool {
        self.is_final() || matches!(self, Self::PutOff { .. })
    }

    /// Whether another attempt cannot succeed.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::BadAddress | Self::NeedsUtf8 | Self::Template(_) | Self::Message(_) | Self::Refused { .. }
        )
    }
}
