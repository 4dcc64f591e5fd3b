//! The endpoints of charge-service, an older system of this kind that still has clients, over the same pipeline.
//! CHARGE_SERVICE_API enables them. Each answers 200 with the original's messages, including their misspellings, even
//! for an error. The gate's errors (keys, rate limits) are the same as everywhere.

mod access_entry;
mod check_authority;
mod request_log;

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Json, Payload};
use common::ids::{DriverToken, NotUuid, PresentedToken, StationId};
use http_server::observation::trace_of;
use http_server::{Access, Problem};
use http_server::{Resource, resource, slow_resource};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

pub(crate) use access_entry::AccessEntries;

use crate::acceptance::{ACCEPTED, Acceptance};
use crate::error::ApiError;
use crate::form::Form;
use crate::question::Question;

const STATION_ID: &str = "station_id";
const DRIVER_TOKEN: &str = "driver_token";
const CALLBACK_URL: &str = "callback_url";

/// The resources, for registration and for the check against the document.
pub(crate) fn resources() -> [Resource; 4] {
    let limit = check_authority::MAX_WAIT + Duration::from_secs(30);
    [
        resource("/api/chargingRequestValidator/", &[("POST", Access::AUTHORIZE)])
            .route(web::post().to(charging_request_validator)),
        resource("/api/insertACL/", &[("POST", Access::CHANGE_ACL)])
            .route(web::post().to(access_entry::insert)),
        resource("/api/getrequestlog/", &[("GET", Access::READ)])
            .route(web::get().to(request_log::request_log)),
        slow_resource("/api/checkauthority/", &[("POST", Access::AUTHORIZE)], limit)
            .route(web::post().to(check_authority::check_authority)),
    ]
}

/// The annotations for the document.
#[derive(OpenApi)]
#[openapi(
    paths(
        charging_request_validator,
        access_entry::insert,
        request_log::request_log,
        check_authority::check_authority
    ),
    tags((name = "charge-service", description = "The endpoints of charge-service, if CHARGE_SERVICE_API is set. Each answers \
        200, even for an error"))
)]
pub(crate) struct Annotations;

#[derive(ToSchema)]
#[expect(dead_code, reason = "form.rs reads it")]
struct ChargingRequest {
    station_id: StationId,
    driver_token: DriverToken,
    #[schema(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// The result of a charging request
#[derive(Serialize, ToSchema)]
struct Validated {
    /// `accepted`, or the name of the invalid field; `unknown` for any other error
    status: &'static str,
    message: String,
}

/// Request a decision, in charge-service's format
#[utoipa::path(post, path = "/api/chargingRequestValidator/", tag = "charge-service",
    request_body(content((ChargingRequest = "application/json"),
        (ChargingRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "Accepted, or the invalid field", body = Validated)))]
async fn charging_request_validator(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
    payload: Payload,
) -> Json<Validated> {
    let accepting = async {
        let question = question(&acceptance, &Form::of_body(&request, payload).await?)?;
        acceptance.accept(question, acceptance.asked_now(), None, &trace_of(&request)).await
    };
    Json(match accepting.await {
        Ok(_) => Validated { status: "accepted", message: ACCEPTED.to_owned() },
        Err(refusal) => match refusal.count() {
            field @ (STATION_ID | DRIVER_TOKEN | CALLBACK_URL) => {
                Validated { status: field, message: format!("{field} is invalid.") }
            }
            _ => Validated { status: "unknown", message: "unknown error has been occured.".to_owned() },
        },
    })
}

/// A malformed token is rejected here, as in the original, and not called back as `invalid`.
fn question(acceptance: &Acceptance, form: &Form) -> Result<Question, ApiError> {
    let (station, token) = station_and_driver(form)?;
    let (token, callback_url) = (PresentedToken::new(token.expose()), form.text(CALLBACK_URL)?);
    Ok(Question::new(&acceptance.guard, station, token, callback_url)?)
}

/// The two fields that all of these requests have. The station is checked first.
fn station_and_driver(form: &Form) -> Result<(StationId, DriverToken), Problem> {
    let station = form.text(STATION_ID)?.parse();
    let station = station.map_err(|error: NotUuid| Problem::invalid(STATION_ID, error.to_string()))?;
    let token = DriverToken::parse(&form.text(DRIVER_TOKEN)?);
    Ok((station, token.map_err(|error| Problem::invalid(DRIVER_TOKEN, error.to_string()))?))
}
