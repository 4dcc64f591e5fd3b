//! Calling the client back: one attempt within one time limit, whatever the host does.

pub(crate) mod address_limits;
mod attempt_error;
mod connections;
pub(crate) mod origin_limits;
mod resolver;
pub(crate) mod retry;
pub(crate) mod standing;

use std::sync::Arc;
use std::time::Duration;

use common::address_guard::AddressGuard;
use common::callback_url::CallbackUrl;
use common::clock;
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use common::trace_context::TraceContext;
use common::webhook_signature::WebhookSigner;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Serialize;
use tracing::{Instrument, trace_span};
use url::Host;

pub(crate) use attempt_error::{AttemptError, root_cause};

use address_limits::{AddressLimits, Places};

use crate::config::Config;
use crate::error::WorkerError;
use crate::measurements::class;
use connections::Connections;
use origin_limits::most_of_one;
use resolver::VettedResolver;

/// A host that sends more is not listened to further.
const MOST_READ: usize = 4096;

/// The body, exactly as the contract has it.
#[derive(Debug, Serialize)]
pub(crate) struct Callback<'a> {
    pub(crate) station_id: StationId,
    pub(crate) driver_token: &'a PresentedToken,
    pub(crate) status: Decision,
}

/// What a host answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    /// The host's `Retry-After`, as it came.
    pub(crate) retry_after: Option<String>,
}

/// The one client for all callbacks. It dials only what the guard admits.
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
            connections: Arc::new(Connections::new(resolver.clone(), most_of_one(config.concurrency))?),
            resolver,
            addresses: AddressLimits::new(config.concurrency),
            guard: config.guard.clone(),
            signer: config.signer.clone(),
            timeout: config.callback.timeout,
        })
    }

    /// The URL as a type. Parsed anew for each attempt: a literal address is never looked up, so this is where it is vetted.
    pub(crate) fn admit(&self, url: &str) -> Result<CallbackUrl, AttemptError> {
        Ok(CallbackUrl::parse(url, &self.guard)?)
    }

    /// One attempt: look-up, connection, TLS, answer and its body within one limit. `well` is what [`AddressLimits`]
    /// wants to know of the origin.
    pub(crate) async fn attempt(
        &self,
        url: &CallbackUrl,
        well: bool,
        request: RequestId,
        callback: &Callback<'_>,
        trace: &TraceContext,
    ) -> Result<Answered, AttemptError> {
        // Nobody's but a collector's: without one it is not even made.
        let span = trace_span!("callback", otel.kind = "client");
        let trace = trace.within(&span);
        let attempt = async {
            let _places = self.places(url, well).await?;
            self.post(url, request, callback, &trace).await
        };
        let attempt = tokio::time::timeout(self.timeout, attempt).instrument(span.clone());
        let result = attempt.await.unwrap_or(Err(AttemptError::Timeout));
        // The host and no more of the URL: its path may hold a client's secrets.
        trace.annotate(&span, || {
            let host = url.url().host_str().unwrap_or_default().to_owned();
            [("server.address", host), ("voltgate.outcome", class(&result).to_owned())]
        });
        result
    }

    async fn places(&self, url: &CallbackUrl, well: bool) -> Result<Places, AttemptError> {
        let places = match url.url().host() {
            Some(Host::Ipv4(address)) => self.addresses.enter(&[address.into()], well),
            Some(Host::Ipv6(address)) => self.addresses.enter(&[address.into()], well),
            Some(Host::Domain(name)) => {
                let addresses = self.resolver.look_up(name).await;
                self.addresses.enter(&addresses.map_err(|error| AttemptError::from(&error))?, well)
            }
            None => None,
        };
        places.ok_or(AttemptError::Crowded)
    }

    async fn post(
        &self,
        url: &CallbackUrl,
        request: RequestId,
        callback: &Callback<'_>,
        trace: &TraceContext,
    ) -> Result<Answered, AttemptError> {
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
        let response = posting.send().await?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answered = Answered { status: response.status(), retry_after: retry_after.map(str::to_owned) };
        read_to_its_end(response).await?;
        Ok(answered)
    }
}

/// So that the connection can be used again; beyond the bound it is closed instead.
async fn read_to_its_end(mut response: Response) -> Result<(), AttemptError> {
    let mut read = 0;
    while let Some(chunk) = response.chunk().await? {
        read += chunk.len();
        if read > MOST_READ {
            break;
        }
    }
    Ok(())
}
