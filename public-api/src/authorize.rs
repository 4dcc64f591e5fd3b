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
use serde::Serialize;
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
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "form.rs reads it, from the query or the body")]
struct CallbackParam {
    /// An absolute http or https URL whose host and port may be called back
    #[param(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// The same for a request that may have the URL in its body
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "form.rs reads it, from the query or the body")]
struct OptionalCallbackParam {
    /// Instead of the body's, or equal to it
    #[param(format = "uri", max_length = 2048)]
    callback_url: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "idempotency.rs reads it")]
struct KeyHeader {
    /// Repeated requests with the same key are one request, for a day
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    key: Option<String>,
}

/// Where to send the decision
#[derive(ToSchema)]
#[expect(dead_code, reason = "form.rs reads it, from the query or the body")]
pub(crate) struct Callback {
    /// An absolute http or https URL whose host and port may be called back; required unless it is in the query
    #[schema(format = "uri", max_length = 2048, nullable = false)]
    callback_url: Option<String>,
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
    params(("station_id" = StationId, Path), ("driver_token" = PresentedToken, Path), OptionalCallbackParam,
        KeyHeader),
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
    let mut form = Form::of_query(request, &[CALLBACK_URL])?;
    if request.method() == Method::POST {
        form = form.and(Form::of_body_with(request, payload, &[CALLBACK_URL]).await?);
    }
    let callback_url = form.text(CALLBACK_URL)?;
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
