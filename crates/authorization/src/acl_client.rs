//! Asks acl-service within the rest of the deadline.

mod batcher;
mod calls;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics;
use ::metrics::histogram;
use common::api_key::ApiKey;
use common::clock::{self, Nanos};
use common::error_chain::{BoxError, root_cause};
use common::ids::{DriverToken, RequestId, StationId};
use reqwest::StatusCode;
use service_runtime::retry::RetryPolicy;
use service_runtime::settings::{Setting, SettingError, Settings, TLS_CA_FILE};
use service_runtime::trace_context::TraceContext;
use tracing::{Instrument, trace_span};
use url::Url;

use batcher::Batcher;
use calls::{CallContext, Calls, Question};

const RETRY: RetryPolicy =
    RetryPolicy { initial: Duration::from_millis(50), max: Duration::from_millis(500) };

/// The client of acl-service.
#[derive(Debug)]
pub struct AclClient {
    questions: Batcher,
}

/// The key to present to acl-service, and the authorities that may have signed its certificate.
#[derive(Debug, Clone, Default)]
pub struct AclAccess {
    /// The key, where one is set.
    pub key: Option<ApiKey>,
    /// Certificates of further authorities, as PEM.
    pub authorities: Option<Vec<u8>>,
}

impl AclAccess {
    /// The key of this setting, and the authorities of `TLS_CA_FILE`.
    ///
    /// # Errors
    /// Returns an error if the key is malformed, or the file cannot be read.
    pub fn from_settings(settings: &Settings, key: &Setting) -> Result<Self, SettingError> {
        Ok(Self {
            key: settings.list(key, |text| text.parse().ok())?.pop(),
            authorities: settings.file(&TLS_CA_FILE)?,
        })
    }
}

/// Why there is no answer. The decision is then `unknown`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// The deadline passed before there was an answer.
    #[error("the deadline passed")]
    Deadline,
    /// acl-service cannot be reached, or its answer cannot be read.
    #[error("the call to acl-service failed: {}", root_cause(&***.0))]
    Request(Arc<BoxError>),
    /// acl-service rejected the key.
    #[error("acl-service rejected the key: both services need the same AUTHORIZATION_SERVICE_KEY")]
    Key,
    /// acl-service answered with a status other than 200.
    #[error("acl-service answered {0}")]
    Status(StatusCode),
}

impl AclClient {
    /// A client for the service at this URL.
    ///
    /// # Errors
    /// Returns an error if the HTTP client cannot be created.
    pub fn new(base: Url, access: &AclAccess) -> Result<Self, reqwest::Error> {
        Ok(Self { questions: Batcher::new(Calls::new(base, access)?) })
    }

    /// Whether the driver may charge. Retries briefly while the deadline allows it.
    ///
    /// # Errors
    /// Returns an error if there is no answer in time, or the service refuses to answer.
    pub async fn is_allowed(
        &self,
        request: RequestId,
        station_id: StationId,
        driver_token: &DriverToken,
        deadline: Nanos,
        trace: &TraceContext,
    ) -> Result<bool, NoAnswer> {
        let left = clock::until(deadline);
        let asking = RETRY.run(left, || async {
            // Half of the remaining time, so that an instance that hangs leaves time to ask another.
            let limit = clock::until(deadline) / 2;
            // Only for a trace collector: without one the span is not created.
            let span = trace_span!("acl_check", otel.kind = "client");
            let asking = CallContext { limit, request, trace: trace.within(&span) };
            let question = Question { station_id, driver_token: driver_token.clone() };
            let began = Instant::now();
            let answer = self.questions.ask(question, asking).instrument(span).await;
            let result = if answer.is_ok() { "answered" } else { "failed" };
            histogram!(metrics::ACL_REQUEST, "result" => result).record(began.elapsed().as_secs_f64());
            answer
        });
        tokio::time::timeout(left, asking).await.map_err(|_| NoAnswer::Deadline)?
    }
}
