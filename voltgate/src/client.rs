//! An HTTP client for a running system, which reports errors in the services' own words.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use crate::settings::VOLTGATE_KEY;
use common::api_key::ApiKey;
use common::error_chain::root_cause;
use platform_api::settings::PLATFORM_API_PORT;
use public_api::settings::PUBLIC_API_PORT;
use reqwest::{Request, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_runtime::exit::Failure;
use service_runtime::server_url::{self, without_password};
use service_runtime::service_client;
use service_runtime::settings::{Settings, TLS_CA_FILE};
use url::Url;

/// How long a command waits for a service that nothing listens for yet.
const STARTING: Duration = Duration::from_secs(10);

/// One of the services.
pub(crate) struct Service {
    http: reqwest::Client,
    base: Url,
    /// Its URL, without any password.
    shown: String,
    what: &'static str,
}

impl Service {
    /// public-api at the option's URL, or else at the settings'.
    pub(crate) fn public_api(settings: &Settings, option: Option<&str>) -> Result<Self, Failure> {
        let default = format!("{}:{}", settings.this_machine(), settings.port(&PUBLIC_API_PORT)?);
        Self::new(settings, "public-api", option.unwrap_or(&default))
    }

    /// platform-api at the option's URL, or else at the settings'.
    pub(crate) fn platform_api(settings: &Settings, option: Option<&str>) -> Result<Self, Failure> {
        let default = format!("{}:{}", settings.this_machine(), settings.port(&PLATFORM_API_PORT)?);
        Self::new(settings, "platform-api", option.unwrap_or(&default))
    }

    /// acl-service at the option's URL, or else at the settings'.
    pub(crate) fn acl(settings: &Settings, option: Option<&str>) -> Result<Self, Failure> {
        let default = settings.acl_service()?;
        Self::new(settings, "acl-service", option.unwrap_or(default.as_str()))
    }

    fn new(settings: &Settings, what: &'static str, base: &str) -> Result<Self, Failure> {
        let shown = without_password(base);
        let broken = |error: reqwest::Error| Failure::broken(format!("{what} at {shown}: {error}"));
        let expected = || Failure::Usage(format!("{what}: `{shown}` is not an http:// or https:// URL"));
        let base_url = server_url::http(base).ok_or_else(expected)?;
        let (key, authorities) = (settings.optional::<ApiKey>(&VOLTGATE_KEY)?, settings.file(&TLS_CA_FILE)?);
        let builder = service_client::builder(key.as_ref(), authorities.as_deref()).map_err(broken)?;
        let http = builder.timeout(Duration::from_secs(30)).build().map_err(broken)?;
        Ok(Self { http, shown: without_password(base_url.as_str()), base: base_url, what })
    }

    /// The service's name.
    pub(crate) fn name(&self) -> &'static str {
        self.what
    }

    /// The service's URL, safe to show.
    pub(crate) fn base(&self) -> &str {
        &self.shown
    }

    /// Its host and port.
    pub(crate) fn host_and_port(&self) -> Option<(&str, u16)> {
        Some((self.base.host_str()?.trim_matches(['[', ']']), self.base.port_or_known_default()?))
    }

    /// The client, and a URL of the service with escaped segments.
    pub(crate) fn url(&self, segments: &[&str]) -> (&reqwest::Client, Url) {
        (&self.http, service_client::url(&self.base, segments))
    }

    /// Sends the request and reads the response. An error response becomes a failure with the service's message.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| self.unreachable(error))?;
        let changes = !request.method().is_safe();
        let unanswered = |error: reqwest::Error| match changes && !error.is_connect() {
            true => self.undecided(&error.without_url()),
            false => self.unreachable(error),
        };
        let response = self.execute(&http, request).await.map_err(unanswered)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(unanswered)?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        let foreign = |error: serde_json::Error| {
            Failure::broken(format!("{} sent an unexpected response: {error}", self.what))
        };
        serde_json::from_value(body).map_err(foreign)
    }

    /// A service that is starting refuses connections for a moment.
    async fn execute(&self, http: &reqwest::Client, request: Request) -> Result<Response, reqwest::Error> {
        let began = Instant::now();
        let mut waits = false;
        while let Some(again) = request.try_clone() {
            match http.execute(again).await {
                Err(error) if is_refused(&error) && began.elapsed() < STARTING => {
                    if !std::mem::replace(&mut waits, true) {
                        eprintln!("waiting for {} at {}", self.what, self.shown);
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                ended => return ended,
            }
        }
        http.execute(request).await
    }

    /// Sends the request and returns the response before its body is read, for callers that read it piece by piece.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| self.unreachable(error))?;
        let response = self.execute(&http, request).await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(self.refused(status, &response.json().await.unwrap_or_default()))
    }

    /// The failure of a service that did not answer, with the cause.
    pub(crate) fn unreachable(&self, error: reqwest::Error) -> Failure {
        Failure::Unreachable {
            what: self.what,
            at: self.shown.clone(),
            why: root_cause(&error.without_url()),
        }
    }

    /// After a timeout or a lost connection it is unknown whether the request took effect.
    fn undecided(&self, error: &reqwest::Error) -> Failure {
        let (what, at, why) = (self.what, &self.base, root_cause(error));
        Failure::broken(format!(
            "{what} at {at} did not answer; the request may still have taken effect: {why}"
        ))
    }

    fn refused(&self, status: StatusCode, body: &Value) -> Failure {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("?");
        if let Some(request) = body.get("request_id").and_then(Value::as_str) {
            let (what, detail) = (self.what, text("detail"));
            return Failure::broken(format!("{what} ({status}): request {request}: {detail}"));
        }
        Failure::Refused(format!("{} refused ({status}): {}: {}", self.what, text("field"), text("detail")))
    }
}

/// Whether nothing listens there.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
