//! Why an attempt got no answer. Records use these words, so that operators can search for them.

use std::error::Error;

use common::callback_url::CallbackUrlError;
use common::error_chain::{cause, root_cause};

use super::resolver::NotResolved;

/// Why an attempt got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The URL, or an address of its host, may not be called.
    #[error("refused: {0}")]
    Refused(String),
    /// The certificate is for another host or not valid. A retry would fail in the same way.
    #[error("tls_error: {0}")]
    Tls(String),
    /// The name has no addresses at present.
    #[error("dns_error: {0}")]
    Dns(String),
    /// The connection could not be opened.
    #[error("connect_error: {0}")]
    Connect(String),
    /// The attempt exceeded its time limit.
    #[error("timeout")]
    Timeout,
    /// Not attempted: the same URL answered 410 a short while ago.
    #[error("gone: it answered 410 a short while ago and is not called for some minutes")]
    Gone,
    /// Not attempted: too much is in flight to its addresses, or too many names are being looked up. Never recorded.
    #[error("crowded")]
    Crowded,
    /// The connection broke before the head of the answer was complete, or the answer was not HTTP.
    #[error("broken_answer: {0}")]
    Broken(String),
}

impl AttemptError {
    /// The name in metrics, traces and records.
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

/// A wrong certificate stays wrong; any other TLS failure may be due to the connection.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let tls = cause::<rustls::Error>(error)?;
    matches!(tls, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        .then_some(tls)
}
