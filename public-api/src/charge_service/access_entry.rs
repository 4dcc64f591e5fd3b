//! `insertACL`: admits a driver through acl-service, the only owner of the lists, with the caller's key.

use std::time::Duration;

use actix_web::web::{Data, Json, Payload};
use actix_web::{HttpRequest, http};
use common::ids::{DriverToken, StationId};
use http_server::input;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::service_client;
use url::Url;
use utoipa::ToSchema;

use crate::config::ChargeServiceConfig;
use crate::form::Form;

/// The time limit of the one call to acl-service.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The access lists, through acl-service.
#[derive(Debug, Clone)]
pub(crate) struct AccessEntries {
    http: Client,
    base: Url,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct NewEntry {
    #[serde(deserialize_with = "input::parsed")]
    station_id: StationId,
    driver_token: DriverToken,
}

/// The result of an insertion
#[derive(Serialize, ToSchema)]
#[schema(as = Inserted)]
pub(super) struct InsertAnswer {
    /// `success`, `exists` or `error`; after an `error` the entry may exist if acl-service did not answer in time
    flag: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    added: u64,
}

/// Why acl-service did not confirm the entry.
#[derive(Debug, thiserror::Error)]
enum NotInserted {
    #[error("{0}")]
    Request(#[from] http_server::Problem),
    #[error("acl-service: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("acl-service answered {0}")]
    Refused(reqwest::StatusCode),
}

impl AccessEntries {
    pub(crate) fn new(config: &ChargeServiceConfig) -> Result<Self, Failure> {
        let unusable =
            |error: reqwest::Error| Failure::broken(format!("the client for acl-service: {error}"));
        // It has no key of its own: it forwards the caller's.
        let builder = service_client::builder(None, config.authorities.as_deref()).map_err(unusable)?;
        let http = builder.redirect(Policy::none()).timeout(TIME_LIMIT).build().map_err(unusable)?;
        Ok(Self { http, base: config.acl_service.clone() })
    }

    /// Returns whether the entry is new. It is one call, so that of two concurrent callers only one gets `true`.
    async fn admit(
        &self,
        station: StationId,
        token: &DriverToken,
        caller: &HttpRequest,
    ) -> Result<bool, NotInserted> {
        let url = service_client::url(&self.base, &["station", &station.to_string(), "acl"]);
        let mut asking = self.http.put(url).json(&json!({ "driver_tokens": [token] }));
        // The audit trail has to name the caller, and acl-service has to check the caller's scopes.
        for name in [http::header::AUTHORIZATION.as_str(), "x-api-key"] {
            if let Some(key) = caller.headers().get(name) {
                asking = asking.header(name, key.as_bytes());
            }
        }
        let answer: Response = asking.send().await?;
        if !answer.status().is_success() {
            return Err(NotInserted::Refused(answer.status()));
        }
        Ok(answer.json::<Answer>().await?.added > 0)
    }
}

/// Admit a driver
#[utoipa::path(post, path = "/api/insertACL/", operation_id = "insert_acl", tag = "charge-service",
    request_body(content((NewEntry = "application/json"), (NewEntry = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "Whether the entry is new", body = InsertAnswer)))]
pub(super) async fn insert(
    entries: Data<AccessEntries>,
    request: HttpRequest,
    payload: Payload,
) -> Json<InsertAnswer> {
    let inserting = async {
        let NewEntry { station_id, driver_token } = Form::of_body(&request, payload).await?.parse()?;
        entries.admit(station_id, &driver_token, &request).await
    };
    let flag = match inserting.await {
        Ok(true) => "success",
        Ok(false) => "exists",
        Err(error) => {
            let made = matches!(&error, NotInserted::Unreachable(error) if !error.is_connect());
            tracing::warn!(%error, may_be_made = made, "insertACL: acl-service did not confirm the entry");
            "error"
        }
    };
    Json(InsertAnswer { flag })
}
