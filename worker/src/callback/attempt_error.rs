//! Why an attempt got no answer, in words that records and operators can be searched by.

use std::error::Error;

use common::callback_url::CallbackUrlError;
use common::error_chain::{cause, root_cause};

use super::resolver::NotResolved;

/// An attempt without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The URL, or an address behind its name, may not be called.
    #[error("refused: {0}")]
    Refused(String),
    /// The certificate is not the host's, or not valid. Trying again would end the same way.
    #[error("tls_error: {0}")]
    Tls(String),
    /// The name has no addresses, now.
    #[error("dns_error: {0}")]
    Dns(String),
    /// No connection.
    #[error("connect_error: {0}")]
    Connect(String),
    /// Everything together took too long.
    #[error("timeout")]
    Timeout,
    /// Not tried: the same URL answered 410 a short while ago.
    #[error("gone: it answered 410 a short while ago and is not called for some minutes")]
    Gone,
    /// Not tried: its addresses, or the look-up of names, have all that they may have in flight. Never in a record.
    #[error("crowded")]
    Crowded,
    /// The connection broke before the head of an answer was there, or what came over it was not HTTP.
    #[error("broken_answer: {0}")]
    Broken(String),
}

impl AttemptError {
    /// As metrics, traces and records name it.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Tls(_) => "tls",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Crowded => "crowded",
            Self::Broken(_) => "broken",
        }
    }
}

impl From<CallbackUrlError> for AttemptError {
    fn from(error: CallbackUrlError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<&NotResolved> for AttemptError {
    fn from(error: &NotResolved) -> Self {
        match error {
            NotResolved::Refused(refused) => Self::Refused(refused.to_string()),
            NotResolved::Unknown(_) => Self::Dns(error.to_string()),
            NotResolved::Crowded => Self::Crowded,
        }
    }
}

impl From<reqwest::Error> for AttemptError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(not_resolved) = cause::<NotResolved>(&error) {
            return Self::from(not_resolved);
        }
        if let Some(tls) = tls_error(&error) {
            return Self::Tls(tls.to_string());
        }
        let root = root_cause(&error);
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect(root)
        } else {
            Self::Broken(root)
        }
    }
}

/// A certificate that is wrong stays wrong; any other failure of TLS may be the connection's.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let tls = cause::<rustls::Error>(error)?;
    matches!(tls, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        .then_some(tls)
}
