//! Asking acl-service, within what is left of the deadline.

use std::time::{Duration, Instant};

use common::clock::{self, Nanos};
use common::ids::{DriverToken, RequestId, StationId};
use common::retry::{RetryError, RetryPolicy};
use common::trace_context::{REQUEST_ID, TraceContext};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode};
use serde::Deserialize;
use tracing::{Instrument, error_span};
use url::Url;

use crate::callback::root_cause;
use crate::config::AclAccess;
use crate::error::WorkerError;
use crate::measurements;

const RETRY: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(50), longest: Duration::from_millis(500) };

/// acl-service, through one client that keeps its connections.
#[derive(Debug, Clone)]
pub(crate) struct AclClient {
    http: reqwest::Client,
    base: Url,
}

/// Why there is no answer. The decision will be `unknown`.
#[derive(Debug, thiserror::Error)]
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

#[derive(Deserialize)]
struct Answer {
    allowed: bool,
}

impl AclClient {
    pub(crate) fn new(base: Url, access: &AclAccess) -> Result<Self, WorkerError> {
        let mut headers = HeaderMap::new();
        let bearer =
            access.key.as_ref().map(|key| HeaderValue::from_str(&format!("Bearer {}", key.reveal())));
        if let Some(Ok(mut bearer)) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let mut builder =
            reqwest::Client::builder().no_proxy().redirect(Policy::none()).default_headers(headers);
        if let Some(authorities) = &access.authorities {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(authorities)?);
        }
        Ok(Self { http: builder.build()?, base })
    }

    /// Whether the driver may charge. Tries again briefly while the deadline allows it.
    pub(crate) async fn is_allowed(
        &self,
        request: RequestId,
        station: StationId,
        token: &DriverToken,
        deadline: Nanos,
        trace: &TraceContext,
    ) -> Result<bool, NoAnswer> {
        let left = clock::until(deadline);
        let asking = RETRY.run(left, || async {
            // Half of what is left: an instance that hangs must not cost the chance to ask another.
            let limit = clock::until(deadline) / 2;
            let span = error_span!("acl_check", otel.kind = "client");
            let headers = trace.within(&span).headers().chain([(REQUEST_ID, request.to_string())]).collect();
            let began = Instant::now();
            let answer = self.ask(station, token, limit, headers).instrument(span).await;
            measurements::acl_asked(answer.is_ok(), began.elapsed());
            answer
        });
        tokio::time::timeout(left, asking).await.map_err(|_| NoAnswer::Deadline)?
    }

    async fn ask(
        &self,
        station: StationId,
        token: &DriverToken,
        limit: Duration,
        headers: Vec<(&'static str, String)>,
    ) -> Result<bool, RetryError<NoAnswer>> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["station", &station.to_string(), "driver", token.expose(), "acl"]);
        }
        let transient = |error: reqwest::Error| {
            RetryError::Transient(NoAnswer::Request(root_cause(&error.without_url())))
        };
        let asking =
            headers.into_iter().fold(self.http.get(url), |asking, (name, value)| asking.header(name, value));
        let response = asking.timeout(limit).send().await.map_err(transient)?;
        match response.status() {
            StatusCode::OK => Ok(response.json::<Answer>().await.map_err(transient)?.allowed),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(RetryError::Transient(NoAnswer::Status(status)))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RetryError::Permanent(NoAnswer::Key)),
            status => Err(RetryError::Permanent(NoAnswer::Status(status))),
        }
    }
}
