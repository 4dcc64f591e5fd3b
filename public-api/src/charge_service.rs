//! The endpoints of charge-service, an older system of this kind that still has clients, over the same pipeline.
//! CHARGE_SERVICE_API enables them. Each answers 200 with the original's messages, including their misspellings, even
//! for an error. The gate's errors (keys, rate limits) are the same as everywhere.

mod access_entry;
mod check_authority;
mod request_log;

use std::time::Duration;

use actix_web::web::{self, Data, Json, Payload};
use actix_web::{HttpRequest, Responder};
use common::ids::{DriverToken, PresentedToken, RequestId, StationId};
use http_server::observation::trace_of;
use http_server::{Access, Resource, input, resource, slow_resource};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

pub(crate) use access_entry::AccessEntries;

use crate::acceptance::{ACCEPTED, Acceptance};
use crate::form::Form;
use crate::question::Question;

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

#[derive(Deserialize, ToSchema)]
struct ChargingRequest {
    #[serde(deserialize_with = "input::parsed")]
    station_id: StationId,
    driver_token: DriverToken,
    #[schema(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// The result of a charging request
#[derive(Serialize, ToSchema)]
#[schema(as = Validated)]
struct ChargingAnswer {
    /// `accepted`, or the name of the invalid field; `unknown` for any other error
    status: &'static str,
    message: String,
}

/// The answer, with the request's path in the header `location` if the request was accepted or may have been. The body
/// stays as the original's.
fn located<T: Serialize>(answer: T, request: Option<RequestId>) -> impl Responder {
    let answer = Json(answer).customize();
    match request {
        Some(request) => answer.insert_header(("location", format!("/requests/{request}"))),
        None => answer,
    }
}

/// Request a decision, in charge-service's format
#[utoipa::path(post, path = "/api/chargingRequestValidator/", tag = "charge-service",
    request_body(content((ChargingRequest = "application/json"),
        (ChargingRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "Accepted, or the invalid field", body = ChargingAnswer,
        headers(("location" = String, description = "The request's path, if it was accepted or may have been")))))]
async fn charging_request_validator(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
    payload: Payload,
) -> impl Responder {
    let accepting = async {
        let ChargingRequest { station_id, driver_token, callback_url } =
            Form::of_body(&request, payload).await?.parse()?;
        // A malformed token is rejected above, as in the original, and not called back as `invalid`.
        let token = PresentedToken::new(driver_token.expose());
        let question = Question::new(&acceptance.guard, station_id, token, callback_url)?;
        acceptance.accept(question, acceptance.asked_now(), None, &trace_of(&request)).await
    };
    match accepting.await {
        Ok(request) => {
            located(ChargingAnswer { status: "accepted", message: ACCEPTED.to_owned() }, Some(request))
        }
        Err(refusal) => {
            let answer = match refusal.count() {
                field @ ("station_id" | "driver_token" | "callback_url") => {
                    ChargingAnswer { status: field, message: format!("{field} is invalid.") }
                }
                _ => {
                    let message = "unknown error has been occured.".to_owned();
                    ChargingAnswer { status: "unknown", message }
                }
            };
            located(answer, refusal.unconfirmed())
        }
    }
}
