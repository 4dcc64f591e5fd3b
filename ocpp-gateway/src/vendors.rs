//! Data of vendors (OCPP 1.6, section 4.3): forwarded to the endpoint that the operator has set for a vendor, or for one kind of its
//! messages. The endpoint is the operator's own, so it may be anywhere.

use std::time::Duration;

use common::error_chain::root_cause;
use ocpp::v16::answers::{DataTransferAnswer, DataTransferStatus};
use ocpp::v16::from_charger::VendorData;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use url::Url;

/// How long an endpoint may take. Chargers wait for about 30 s.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Where the data of one vendor goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    vendor: String,
    /// The kind of message; `None` for every other one.
    message: Option<String>,
    url: Url,
}

/// The handlers of the settings, and the client to call them.
pub(crate) struct Vendors {
    handlers: Vec<Handler>,
    http: Client,
}

/// What an endpoint is sent.
#[derive(Debug, Serialize)]
struct Asked<'a> {
    charger: &'a str,
    vendor_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

/// What an endpoint answers.
#[derive(Debug, Deserialize)]
struct Answered {
    status: DataTransferStatus,
    data: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{}", root_cause(.0))]
    Http(reqwest::Error),
    #[error("its answer is longer than 64 KiB")]
    TooLong,
    #[error("its answer is not understood: {0}")]
    Malformed(serde_json::Error),
}

impl Handler {
    /// `vendor=URL` or `vendor/message=URL`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, url) = text.split_once('=')?;
        let (vendor, message) = match name.split_once('/') {
            Some((vendor, message)) => (vendor, Some(message)),
            None => (name, None),
        };
        let url: Url = url.parse().ok()?;
        let is_good = !vendor.is_empty() && message != Some("") && matches!(url.scheme(), "http" | "https");
        is_good.then(|| Self { vendor: vendor.to_owned(), message: message.map(ToOwned::to_owned), url })
    }
}

impl Vendors {
    /// These handlers.
    ///
    /// # Errors
    /// Returns an error if the authorities are malformed.
    pub(crate) fn new(handlers: Vec<Handler>, authorities: Option<&[u8]>) -> reqwest::Result<Self> {
        let http = service_runtime::service_client::builder(None, authorities)?;
        let http = http.timeout(LIMIT).redirect(Policy::none()).build()?;
        Ok(Self { handlers, http })
    }

    /// What becomes of a vendor's data. It is never accepted unless a handler says so.
    pub(crate) async fn answer(&self, charger: &str, data: &VendorData) -> DataTransferAnswer {
        let status = match self.handler(data) {
            Ok(handler) => match self.call(handler, charger, data).await {
                Ok(answered) => return DataTransferAnswer { status: answered.status, data: answered.data },
                Err(error) => {
                    let vendor = &data.vendor_id;
                    tracing::warn!(charger, vendor, %error, "the handler of a vendor's data has failed");
                    DataTransferStatus::Rejected
                }
            },
            Err(status) => status,
        };
        DataTransferAnswer { status, data: None }
    }

    /// The handler of exactly this kind of message, or of its vendor.
    fn handler(&self, data: &VendorData) -> Result<&Handler, DataTransferStatus> {
        let of_vendor = || self.handlers.iter().filter(|handler| handler.vendor == data.vendor_id);
        let exact =
            of_vendor().find(|handler| handler.message.is_some() && handler.message == data.message_id);
        let found = exact.or_else(|| of_vendor().find(|handler| handler.message.is_none()));
        found.ok_or_else(|| match of_vendor().next() {
            Some(_) => DataTransferStatus::UnknownMessageId,
            None => DataTransferStatus::UnknownVendorId,
        })
    }

    async fn call(&self, handler: &Handler, charger: &str, data: &VendorData) -> Result<Answered, Failed> {
        let asked = Asked {
            charger,
            vendor_id: &data.vendor_id,
            message_id: data.message_id.as_deref(),
            data: data.data.as_deref(),
        };
        let sent = self.http.post(handler.url.clone()).json(&asked).send().await;
        let mut response = sent.and_then(reqwest::Response::error_for_status).map_err(Failed::Http)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Failed::Http)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Failed::TooLong);
            }
        }
        serde_json::from_slice(&body).map_err(Failed::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_of_the_message_comes_before_that_of_its_vendor() {
        let handlers =
            ["a=http://one.example/", "a/special=https://two.example/x", "b/only=http://three.example/"];
        let handlers: Vec<Handler> = handlers.iter().map(|text| Handler::parse(text).unwrap()).collect();
        let vendors = Vendors::new(handlers, None).unwrap();
        let found = |vendor: &str, message: Option<&str>| {
            let (vendor_id, message_id) = (vendor.to_owned(), message.map(ToOwned::to_owned));
            let data = VendorData { vendor_id, message_id, data: None };
            vendors.handler(&data).map(|handler| handler.url.host_str().unwrap().to_owned())
        };
        assert_eq!(found("a", None).unwrap(), "one.example");
        assert_eq!(found("a", Some("other")).unwrap(), "one.example");
        assert_eq!(found("a", Some("special")).unwrap(), "two.example");
        assert_eq!(found("b", Some("only")).unwrap(), "three.example");
        assert_eq!(found("b", None), Err(DataTransferStatus::UnknownMessageId));
        assert_eq!(found("c", None), Err(DataTransferStatus::UnknownVendorId));
    }

    #[test]
    fn a_handler_has_a_vendor_and_a_url() {
        for bad in ["", "a", "a=", "=http://one.example/", "a/=http://one.example/", "a=ftp://one.example/"] {
            assert_eq!(Handler::parse(bad), None, "{bad}");
        }
    }
}
