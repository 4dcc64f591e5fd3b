//! Asking acl-service, within what is left of the deadline.

mod batcher;
mod calls;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::metrics;
use ::metrics::histogram;
use common::api_key::ApiKey;
use common::clock::{self, Nanos};
use common::ids::{DriverToken, RequestId, StationId};
use reqwest::StatusCode;
use service_runtime::retry::RetryPolicy;
use service_runtime::trace_context::TraceContext;
use tracing::{Instrument, trace_span};
use url::Url;

use batcher::Batcher;
use calls::{Asking, Calls, Question};

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

/// Why there is no answer. The decision will be `unknown`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// The deadline passed first.
    #[error("the deadline passed")]
    Deadline,
    /// It cannot be reached, or its answer cannot be read.
    #[error("acl-service cannot be asked: {0}")]
    Request(String),
    /// It does not accept the key.
    #[error("acl-service does not admit this worker: see AUTHORIZATION_SERVICE_KEY, which both have")]
    Key,
    /// It answered with another status than 200.
    #[error("acl-service answered {0}")]
    Status(StatusCode),
}

impl AclClient {
    /// A client for the service at this URL.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(base: Url, access: &AclAccess) -> Result<Self, reqwest::Error> {
        Ok(Self { questions: Batcher::new(Calls::new(base, access)?) })
    }

    /// Whether the driver may charge. Tries again briefly while the deadline allows it.
    ///
    /// # Errors
    /// There is no answer in time, or the service refuses to answer.
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
            // Half of what is left: an instance that hangs must not cost the chance to ask another.
            let limit = clock::until(deadline) / 2;
            // Only for a collector: without one it is not made.
            let span = trace_span!("acl_check", otel.kind = "client");
            let asking = Asking { limit, request, trace: trace.within(&span) };
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
