//! The one list of routes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{PresentedToken, RequestId, StationId};
use common::webhook_signature::WebhookSigner;
use http_api::observation::trace_of;
use http_api::problem::refusals::{
    BodyTooLarge, BodyTooSlow, ConflictingReuse, Invalid, Unavailable, UnsupportedMediaType,
};
use http_api::server::{Resource, Status, healthz, resource};
use http_api::{Access, Problem};
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

/// To be registered, and to be held against the document.
pub(crate) fn resources() -> Vec<Resource> {
    // An empty token is malformed like any other and called back as `invalid`; an empty station is refused.
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

/// Word for word as clients of the original systems know it.
pub(crate) const ACCEPTED: &str =
    "Request is being processed asynchronously. The result will be sent to the provided callback URL.";

/// The one parameter.
const CALLBACK_URL: &str = "callback_url";

/// The broker has confirmed it
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// `accepted`
    status: &'static str,
    message: &'static str,
    request_id: RequestId,
}

/// Where the decision is to be sent
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "form.rs reads it, from wherever it may stand")]
struct CallbackParam {
    /// An absolute URL with http or https, whose host and port may be called back
    #[param(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// The same for a request that may have it in its body
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "form.rs reads it, from wherever it may stand")]
struct OptionalCallbackParam {
    /// In the place of the body, or the same as there
    #[param(format = "uri", max_length = 2048)]
    callback_url: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "idempotency.rs reads it")]
struct KeyHeader {
    /// What is asked again under the same key is the request that it was before, for a day
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    key: Option<String>,
}

/// Where the decision is to be sent
#[derive(ToSchema)]
#[expect(dead_code, reason = "form.rs reads it, from wherever it may stand")]
pub(crate) struct Callback {
    /// An absolute URL with http or https, whose host and port may be called back; needed unless it is in the query
    #[schema(format = "uri", max_length = 2048, nullable = false)]
    callback_url: Option<String>,
}

/// Ask whether a driver may charge
///
/// The decision is sent to the callback URL. A malformed driver token is accepted, and called back as `invalid`. Each call
/// is a request of its own: to repeat one safely, use POST with `Idempotency-Key`.
#[utoipa::path(get, path = "/station/{station_id}/driver/{driver_token}/authorize", tag = "authorization",
    params(("station_id" = StationId, Path), ("driver_token" = PresentedToken, Path), CallbackParam),
    responses((status = 202, description = "Accepted: the broker has it", body = Accepted,
        headers(("Location" = String, description = "Where to see what became of it"))), Invalid, Unavailable))]
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

/// Ask whether a driver may charge, and perhaps ask again
///
/// The callback URL is in the body, or in the query. With `Idempotency-Key`, for a day: what is asked again is the request
/// that it was before.
#[utoipa::path(post, path = "/station/{station_id}/driver/{driver_token}/authorize", tag = "authorization",
    params(("station_id" = StationId, Path), ("driver_token" = PresentedToken, Path), OptionalCallbackParam,
        KeyHeader),
    request_body(description = "Not needed where the query has it", content((Callback = "application/json"),
        (Callback = "application/x-www-form-urlencoded"))),
    responses((status = 202, description = "Accepted: the broker has it", body = Accepted,
        headers(("Location" = String, description = "Where to see what became of it"))), Invalid, BodyTooSlow,
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

/// Public keys, as Standard Webhooks has them
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKeys {
    /// `whpk_` and base64
    keys: Vec<String>,
}

/// What verifies the `v1a` signatures of callbacks
#[utoipa::path(get, path = "/.well-known/webhook-public-keys", tag = "authorization",
    responses((status = 200, description = "The keys; none where callbacks are not signed by any", body = PublicKeys)))]
pub(crate) async fn webhook_public_keys(signer: Data<WebhookSigner>) -> HttpResponse {
    HttpResponse::Ok().json(PublicKeys { keys: signer.public_keys() })
}

/// Whether requests can be accepted
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "They can", body = Status), Unavailable))]
pub(crate) async fn readyz(acceptance: Data<Acceptance>) -> Result<HttpResponse, ApiError> {
    if !acceptance.queue.broker().is_ready() {
        let detail = "there is no connection to the broker";
        return Err(Problem::unavailable("task_queue", detail, Duration::from_secs(1)).into());
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
