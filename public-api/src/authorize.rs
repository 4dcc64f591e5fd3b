//! `…/authorize`: a client asks for a decision, and gets it at its callback URL.

use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{PresentedToken, RequestId, StationId};
use http_server::observation::trace_of;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, ConflictingReuse, Invalid, Unavailable, UnsupportedMediaType,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::acceptance::{ACCEPTED, Acceptance};
use crate::error::ApiError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::question::Question;

/// The one parameter.
const CALLBACK_URL: &str = "callback_url";

/// An accepted request, which the broker has confirmed
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// `accepted`
    status: &'static str,
    message: &'static str,
    request_id: RequestId,
}

/// Where to send the decision
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CallbackParam {
    /// An absolute http or https URL whose host and port may be called back
    #[param(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// Where to send the decision
#[derive(Deserialize, ToSchema)]
pub(crate) struct Callback {
    /// An absolute http or https URL whose host and port may be called back; required unless it is in the query
    #[schema(format = "uri", max_length = 2048, required = false)]
    callback_url: String,
}

/// Request a decision
///
/// The decision is sent to the callback URL. A malformed driver token is accepted, and called back as `invalid`. Each
/// call is a new request: to repeat one safely, use POST with `Idempotency-Key`.
#[utoipa::path(get, path = "/station/{station_id}/driver/{driver_token}/authorize", tag = "authorization",
    params(("station_id" = StationId, Path), ("driver_token" = PresentedToken, Path), CallbackParam),
    responses((status = 202, description = "The broker has confirmed the request", body = Accepted,
        headers(("Location" = String, description = "The URL of the request"))), Invalid, Unavailable))]
pub(crate) async fn authorize(
    acceptance: Data<Acceptance>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    accept(&acceptance, &path, &request, payload).await.inspect_err(|refusal| {
        refusal.count();
    })
}

/// Request a decision, safe to repeat
///
/// The callback URL is in the body or in the query. With `Idempotency-Key`, repeated calls are one request, for a day.
#[utoipa::path(post, path = "/station/{station_id}/driver/{driver_token}/authorize", tag = "authorization",
    params(("station_id" = StationId, Path), ("driver_token" = PresentedToken, Path),
        ("callback_url" = Option<String>, Query, format = "uri", max_length = 2048,
            description = "Instead of the body's, or equal to it"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Repeated requests with the same key are one request, for a day")),
    request_body(description = "Not needed if the query has the callback URL", content((Callback = "application/json"),
        (Callback = "application/x-www-form-urlencoded"))),
    responses((status = 202, description = "The broker has confirmed the request", body = Accepted,
        headers(("Location" = String, description = "The URL of the request"))), Invalid, BodyTooSlow,
        BodyTooLarge, UnsupportedMediaType, ConflictingReuse, Unavailable))]
pub(crate) async fn authorize_by_post(
    acceptance: Data<Acceptance>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    authorize(acceptance, path, request, payload).await
}

async fn accept(
    acceptance: &Acceptance,
    path: &(String, String),
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked = acceptance.asked_now();
    let form = Form::of_query(request, &[CALLBACK_URL])?;
    let callback_url = if request.method() == Method::POST {
        let body = Form::of_body_with(request, payload, &[CALLBACK_URL]).await?;
        form.and(body).parse::<Callback>()?.callback_url
    } else {
        form.parse::<CallbackParam>()?.callback_url
    };
    let question =
        Question::new(&acceptance.guard, path.0.parse()?, PresentedToken::new(&path.1), callback_url)?;
    let key = match *request.method() {
        Method::POST => IdempotencyKey::of(request)?,
        _ => None,
    };
    let request_id = acceptance.accept(question, asked, key, &trace_of(request)).await?;
    let accepted = Accepted { status: "accepted", message: ACCEPTED, request_id };
    Ok(HttpResponse::Accepted().insert_header((LOCATION, format!("/requests/{request_id}"))).json(accepted))
}
