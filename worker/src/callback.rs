//! Calls the client back: one attempt within one time limit, whatever the host does.

pub(crate) mod address_limits;
mod attempt_error;
pub(crate) mod circuit_breaker;
mod connections;
pub(crate) mod origin_limits;
mod reasons;
mod resolver;
pub(crate) mod retry;

use std::sync::Arc;
use std::time::Duration;

use common::address_guard::AddressGuard;
use common::callback_url::CallbackUrl;
use common::clock;
use common::decision::Decision;
use common::error_chain::root_cause;
use common::ids::{PresentedToken, RequestId, StationId};
use common::webhook_signature::WebhookSigner;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Serialize;
use service_runtime::trace_context::TraceContext;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, trace_span};
use url::Host;

pub(crate) use attempt_error::AttemptError;
pub(crate) use reasons::UndeliverableReason;

use address_limits::{AddressLimits, Permits};

use crate::config::Config;
use crate::error::WorkerError;
use connections::Connections;
use origin_limits::max_per_origin;
use resolver::VettedResolver;

/// The most that is read of an answer's body.
const MAX_READ: usize = 4096;

/// The body of a callback, exactly as specified in the contract.
#[derive(Debug, Serialize)]
pub(crate) struct Callback<'a> {
    pub(crate) station_id: StationId,
    pub(crate) driver_token: &'a PresentedToken,
    pub(crate) status: Decision,
}

/// A host's answer. The status alone decides how the attempt ended (RFC 9110 section 15); errors in the body after it
/// do not change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    /// The host's `Retry-After` header, unparsed.
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Body,
}

/// How the body of an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Whole,
    /// It was longer than [`MAX_READ`].
    TooLong,
    /// It did not end within the attempt's time limit.
    TooSlow,
    /// It was cut off, or did not match its headers.
    Broken(String),
}

/// The result of an attempt, as named in metrics and traces.
pub(crate) fn class(result: &Result<Answered, AttemptError>) -> &'static str {
    match result {
        Ok(answered) => answered.class(),
        Err(error) => error.class(),
    }
}

impl Answered {
    fn class(&self) -> &'static str {
        match self.status.as_u16() {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "broken",
        }
    }
}

/// The client for all callbacks. It connects only to addresses that the guard admits.
#[derive(Clone)]
pub(crate) struct CallbackClient {
    connections: Arc<Connections>,
    resolver: VettedResolver,
    addresses: AddressLimits,
    guard: AddressGuard,
    signer: WebhookSigner,
    timeout: Duration,
}

impl CallbackClient {
    pub(crate) fn new(config: &Config) -> Result<Self, WorkerError> {
        let resolver =
            VettedResolver::new(config.guard.clone(), config.concurrency).map_err(WorkerError::Resolver)?;
        Ok(Self {
            connections: Arc::new(Connections::new(resolver.clone(), max_per_origin(config.concurrency))?),
            resolver,
            addresses: AddressLimits::new(config.concurrency),
            guard: config.guard.clone(),
            signer: config.signer.clone(),
            timeout: config.callback.timeout,
        })
    }

    /// Parses and checks the URL. This is repeated for each attempt: a literal address is never looked up, so it is
    /// checked here.
    pub(crate) fn admit(&self, url: &str) -> Result<CallbackUrl, AttemptError> {
        Ok(CallbackUrl::parse(url, &self.guard)?)
    }

    /// One attempt: look-up, connection, TLS, and the answer's head and body within one limit. `healthy` describes the
    /// origin to [`AddressLimits`].
    pub(crate) async fn attempt(
        &self,
        url: &CallbackUrl,
        healthy: bool,
        request: RequestId,
        callback: &Callback<'_>,
        trace: &TraceContext,
    ) -> Result<Answered, AttemptError> {
        // Only for a trace collector: without one the span is not created.
        let span = trace_span!("callback", otel.kind = "client");
        let trace = trace.within(&span);
        let deadline = Instant::now() + self.timeout;
        let attempt = async {
            let answering = async {
                let permits = self.permits(url, healthy).await?;
                Ok((permits, self.post(url, request, callback, &trace).await?))
            };
            let answered = timeout_at(deadline, answering).await;
            let (_permits, response) = answered.unwrap_or(Err(AttemptError::Timeout))?;
            // The head came in time, which decides the attempt.
            Ok(answered_by(response, deadline).await)
        };
        let result = attempt.instrument(span.clone()).await;
        // Only the host of the URL: the path may contain a client's secrets.
        trace.annotate(&span, || {
            let host = url.url().host_str().unwrap_or_default().to_owned();
            [("server.address", host), ("voltgate.outcome", class(&result).to_owned())]
        });
        result
    }

    async fn permits(&self, url: &CallbackUrl, healthy: bool) -> Result<Permits, AttemptError> {
        let permits = match url.url().host() {
            Some(Host::Ipv4(address)) => self.addresses.enter(&[address.into()], healthy),
            Some(Host::Ipv6(address)) => self.addresses.enter(&[address.into()], healthy),
            Some(Host::Domain(name)) => {
                let addresses = self.resolver.look_up(name).await;
                self.addresses.enter(&addresses.map_err(|error| AttemptError::from(&error))?, healthy)
            }
            None => None,
        };
        permits.ok_or(AttemptError::Crowded)
    }

    async fn post(
        &self,
        url: &CallbackUrl,
        request: RequestId,
        callback: &Callback<'_>,
        trace: &TraceContext,
    ) -> Result<Response, AttemptError> {
        let timestamp = clock::now() / 1_000_000_000;
        let body = serde_json::to_vec(callback).unwrap_or_default();
        let id = request.to_string();
        let signature = self.signer.sign(&id, timestamp, &body);
        let mut posting = self
            .connections
            .to(url.origin())
            .post(url.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .body(body);
        if let Some(signature) = signature {
            posting = posting.header("webhook-signature", signature);
        }
        for (name, value) in trace.headers() {
            posting = posting.header(name, value);
        }
        Ok(posting.send().await?)
    }
}

async fn answered_by(response: Response, deadline: Instant) -> Answered {
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status(), retry_after.map(str::to_owned));
    let body = timeout_at(deadline, read_to_its_end(response)).await.unwrap_or(Body::TooSlow);
    Answered { status, retry_after, body }
}

/// Reads the body so that the connection can be reused. If it exceeds the limit, the connection is closed instead.
async fn read_to_its_end(mut response: Response) -> Body {
    let mut read = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => return Body::Whole,
            Err(error) => return Body::Broken(root_cause(&error.without_url())),
        }
        if read > MAX_READ {
            return Body::TooLong;
        }
    }
}
