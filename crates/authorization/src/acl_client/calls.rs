//! The calls to acl-service: one question, or a batch.

use std::sync::Arc;
use std::time::Duration;

use common::error_chain::BoxError;
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

/// Whether this driver may charge at this station.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Question {
    pub(super) station_id: StationId,
    pub(super) driver_token: DriverToken,
}

/// The context of a call: its time limit, and the request it is made for. A batch belongs to the trace of the request
/// that started it.
pub(super) struct CallContext {
    pub(super) limit: Duration,
    pub(super) request: RequestId,
    pub(super) trace: TraceContext,
}

pub(super) type Answer<T> = Result<T, RetryError<NoAnswer>>;

/// The client of acl-service, which reuses its connections.
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

    pub(super) async fn check(&self, question: &Question, asking: &CallContext) -> Answer<bool> {
        let Question { station_id, driver_token } = question;
        let path = ["station", &station_id.to_string(), "driver", driver_token.expose(), "acl"];
        send(self.http.get(service_client::url(&self.base, &path)), asking).await
    }

    /// Returns the answers in the order of the questions.
    pub(super) async fn check_many(&self, questions: &[Question], asking: &CallContext) -> Answer<Vec<bool>> {
        let url = service_client::url(&self.base, &["acl", "check"]);
        let asked = self.http.post(url).json(&Pairs { pairs: questions });
        let allowed: Vec<bool> = send(asked, asking).await?;
        if allowed.len() == questions.len() {
            return Ok(allowed);
        }
        let why = format!("it returned {} answers to {} questions", allowed.len(), questions.len());
        Err(RetryError::Permanent(NoAnswer::Request(Arc::new(BoxError::from(why)))))
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder, asking: &CallContext) -> Answer<T> {
    let transient = |error: reqwest::Error| {
        RetryError::Transient(NoAnswer::Request(Arc::new(error.without_url().into())))
    };
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
