//! The single list of routes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{PresentedToken, RequestId, StationId};
use common::webhook_signature::WebhookSigner;
use http_server::observation::trace_of;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, ConflictingReuse, Invalid, Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem};
use http_server::{Resource, Status, healthz, resource};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::acceptance::Acceptance;
use crate::charge_service::{self, AccessEntries};
use crate::decisions::Decisions;
use crate::error::ApiError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::requests;

pub(crate) fn routes(
    acceptance: Acceptance,
    signer: WebhookSigner,
    decisions: Arc<Decisions>,
    charge_service: Option<AccessEntries>,
) -> impl Fn(&mut ServiceConfig) + Clone {
    let (acceptance, signer) = (Data::new(acceptance), Data::new(signer));
    let (decisions, charge_service) = (Data::from(decisions), charge_service.map(Data::new));
    move |config| {
        config.app_data(acceptance.clone()).app_data(signer.clone()).app_data(decisions.clone());
        for resource in resources() {
            config.service(resource);
        }
        if let Some(entries) = &charge_service {
            config.app_data(entries.clone());
            for resource in charge_service::resources() {
                config.service(resource);
            }
        }
    }
}

/// The resources, for registration and for the check against the document.
pub(crate) fn resources() -> Vec<Resource> {
    // An empty token is malformed like any other and called back as `invalid`; an empty station is rejected.
    let to_authorize = "/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/authorize";
    vec![
        healthz(),
        resource("/readyz", &[("GET, HEAD", Access::Open)])
            .route(web::get().to(readyz))
            .route(web::head().to(readyz)),
        resource("/.well-known/webhook-public-keys", &[("GET", Access::Open)])
            .route(web::get().to(webhook_public_keys)),
        resource(to_authorize, &[("GET, POST", Access::AUTHORIZE)])
            .route(web::get().to(authorize))
            .route(web::post().to(authorize_by_post)),
        resource("/requests", &[("GET", Access::READ)]).route(web::get().to(requests::list::list)),
        resource("/requests/stream", &[("GET", Access::READ)]).route(web::get().to(requests::stream::stream)),
        resource("/requests/{request_id}", &[("GET", Access::READ)]).route(web::get().to(requests::show)),
        resource("/requests/{request_id}/redeliver", &[("POST", Access::ADMIN)])
            .route(web::post().to(requests::redeliver)),
    ]
}

/// Verbatim as clients of the original systems know it.
pub(crate) const ACCEPTED: &str =
    "Request is being processed asynchronously. The result will be sent to the provided callback URL.";

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
    let question = acceptance.question(path.0.parse()?, PresentedToken::new(&path.1), callback_url)?;
    let key = match *request.method() {
        Method::POST => IdempotencyKey::of(request)?,
        _ => None,
    };
    let request_id = acceptance.accept(question, asked, key, &trace_of(request)).await?;
    let accepted = Accepted { status: "accepted", message: ACCEPTED, request_id };
    Ok(HttpResponse::Accepted().insert_header((LOCATION, format!("/requests/{request_id}"))).json(accepted))
}

/// Public keys, in the format of Standard Webhooks
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKeys {
    /// `whpk_` and base64
    keys: Vec<String>,
}

/// List the public keys that verify the `v1a` signatures of callbacks
#[utoipa::path(get, path = "/.well-known/webhook-public-keys", tag = "authorization",
    responses((status = 200, description = "The keys; none if callbacks are not signed with a private key", body = PublicKeys)))]
pub(crate) async fn webhook_public_keys(signer: Data<WebhookSigner>) -> HttpResponse {
    HttpResponse::Ok().json(PublicKeys { keys: signer.public_keys() })
}

/// Whether requests can be accepted
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "Requests can be accepted", body = Status), Unavailable))]
pub(crate) async fn readyz(acceptance: Data<Acceptance>) -> Result<HttpResponse, ApiError> {
    if !acceptance.queue.broker().is_ready() {
        let detail = "there is no connection to the broker";
        return Err(Problem::unavailable("task_queue", detail, Duration::from_secs(1)).into());
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
