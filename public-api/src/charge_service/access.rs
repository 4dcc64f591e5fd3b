//! `POST /api/insertACL/`: admits a driver at a station. acl-service owns the lists, so it is asked, in the caller's name.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{DriverToken, StationId};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Refused;
use super::form::Form;

const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Where a client may put its key; acl-service looks at it as public-api has.
const KEYS: [&str; 2] = [AUTHORIZATION.as_str(), "x-api-key"];

/// The client of acl-service could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made: {0}")]
pub(crate) struct NoClient(#[from] reqwest::Error);

/// acl-service.
pub(super) struct AccessClient {
    http: reqwest::Client,
    base: Url,
}

#[derive(Serialize)]
struct Inserted {
    flag: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    allowed: bool,
}

impl AccessClient {
    pub(super) fn new(base: Url) -> Result<Self, NoClient> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(TIME_LIMIT).build()?;
        Ok(Self { http, base })
    }

    /// Whether the driver was not on the list before.
    async fn insert(&self, caller: &HttpRequest, station: StationId, driver: &DriverToken) -> Result<bool, Refused> {
        let unavailable = |error: reqwest::Error| {
            tracing::warn!(error = %error.without_url(), "acl-service did not admit a driver");
            Refused::Unavailable
        };
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["station", &station.to_string(), "driver", driver.expose(), "acl"]);
        }
        let call = |method| in_the_name_of(caller, self.http.request(method, url.clone()));
        let held = call(Method::GET).send().await.and_then(reqwest::Response::error_for_status).map_err(unavailable)?;
        if held.json::<Answer>().await.map_err(unavailable)?.allowed {
            return Ok(false);
        }
        call(Method::PUT).send().await.and_then(reqwest::Response::error_for_status).map_err(unavailable)?;
        Ok(true)
    }
}

pub(super) async fn insert(
    access: Data<AccessClient>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let form = Form::read(&request, payload).await;
    let inserted = async { access.insert(&request, form.station()?, &form.driver()?).await }.await;
    let flag = match inserted {
        Ok(true) => "success",
        Ok(false) => "exists",
        Err(_) => "error",
    };
    HttpResponse::Ok().json(Inserted { flag })
}

fn in_the_name_of(caller: &HttpRequest, call: RequestBuilder) -> RequestBuilder {
    KEYS.iter().fold(call, |call, name| match caller.headers().get(*name) {
        Some(key) => call.header(*name, key.as_bytes()),
        None => call,
    })
}
