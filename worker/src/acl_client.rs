//! Asking acl-service, within what is left of the deadline.

mod calls;
mod gathering;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use common::clock::{self, Nanos};
use common::ids::{DriverToken, RequestId, StationId};
use common::retry::RetryPolicy;
use common::trace_context::TraceContext;
use reqwest::StatusCode;
use tracing::{Instrument, trace_span};
use url::Url;

use crate::config::AclAccess;
use crate::error::WorkerError;
use crate::measurements;
use calls::{Asking, Calls, Question};
use gathering::Gathering;

const RETRY: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), longest: Duration::from_millis(500) };

/// acl-service, as the tasks ask it.
#[derive(Debug)]
pub(crate) struct AclClient {
    questions: Gathering,
}

/// Why there is no answer. The decision will be `unknown`.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("the deadline passed")]
    Deadline,
    #[error("acl-service cannot be asked: {0}")]
    Request(String),
    #[error("acl-service does not admit this worker: see AUTHORIZATION_SERVICE_KEY, which both have")]
    Key,
    #[error("acl-service answered {0}")]
    Status(StatusCode),
}

impl AclClient {
    pub(crate) fn new(base: Url, access: &AclAccess) -> Result<Self, WorkerError> {
        Ok(Self { questions: Gathering::new(Calls::new(base, access)?) })
    }

    /// Whether the driver may charge. Tries again briefly while the deadline allows it.
    pub(crate) async fn is_allowed(
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
            // Nobody's but a collector's: without one it is not even made.
            let span = trace_span!("acl_check", otel.kind = "client");
            let asking = Asking { limit, request, trace: trace.within(&span) };
            let question = Question { station_id, driver_token: driver_token.clone() };
            let began = Instant::now();
            let answer = self.questions.ask(question, asking).instrument(span).await;
            measurements::acl_asked(answer.is_ok(), began.elapsed());
            answer
        });
        tokio::time::timeout(left, asking).await.map_err(|_| NoAnswer::Deadline)?
    }
}
