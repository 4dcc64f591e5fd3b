//! The calls themselves: one question, or many of one moment.

use std::time::Duration;

use common::error_chain::root_cause;
use common::ids::{DriverToken, RequestId, StationId};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service_runtime::retry::RetryError;
use service_runtime::service_client;
use service_runtime::trace_context::{REQUEST_ID, TraceContext};
use url::Url;

use super::{AclAccess, NoAnswer};

/// Whether this driver may charge there.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Question {
    pub(super) station_id: StationId,
    pub(super) driver_token: DriverToken,
}

/// What a call is told beside its question: within which time, and for whom. A call for several is in the trace of the one
/// that set out.
pub(super) struct Asking {
    pub(super) limit: Duration,
    pub(super) request: RequestId,
    pub(super) trace: TraceContext,
}

pub(super) type Answer<T> = Result<T, RetryError<NoAnswer>>;

/// acl-service, through one client that keeps its connections.
#[derive(Debug)]
pub(super) struct Calls {
    http: reqwest::Client,
    base: Url,
}

#[derive(Serialize)]
struct Pairs<'a> {
    pairs: &'a [Question],
}

#[derive(Deserialize)]
struct Allowed<T> {
    allowed: T,
}

impl Calls {
    pub(super) fn new(base: Url, access: &AclAccess) -> Result<Self, reqwest::Error> {
        let builder = service_client::builder(access.key.as_ref(), access.authorities.as_deref())?;
        Ok(Self { http: builder.redirect(Policy::none()).build()?, base })
    }

    pub(super) async fn check(&self, question: &Question, asking: &Asking) -> Answer<bool> {
        let Question { station_id, driver_token } = question;
        let path = ["station", &station_id.to_string(), "driver", driver_token.expose(), "acl"];
        send(self.http.get(service_client::url(&self.base, &path)), asking).await
    }

    /// The answers in the order of the questions.
    pub(super) async fn check_many(&self, questions: &[Question], asking: &Asking) -> Answer<Vec<bool>> {
        let url = service_client::url(&self.base, &["acl", "check"]);
        let asked = self.http.post(url).json(&Pairs { pairs: questions });
        let allowed: Vec<bool> = send(asked, asking).await?;
        if allowed.len() == questions.len() {
            return Ok(allowed);
        }
        let why = format!("it gave {} answers to {} questions", allowed.len(), questions.len());
        Err(RetryError::Permanent(NoAnswer::Request(why)))
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder, asking: &Asking) -> Answer<T> {
    let transient =
        |error: reqwest::Error| RetryError::Transient(NoAnswer::Request(root_cause(&error.without_url())));
    let headers = asking.trace.headers().chain([(REQUEST_ID, asking.request.to_string())]);
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    let response = request.timeout(asking.limit).send().await.map_err(transient)?;
    match response.status() {
        StatusCode::OK => Ok(response.json::<Allowed<T>>().await.map_err(transient)?.allowed),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(RetryError::Transient(NoAnswer::Status(status)))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RetryError::Permanent(NoAnswer::Key)),
        status => Err(RetryError::Permanent(NoAnswer::Status(status))),
    }
}
