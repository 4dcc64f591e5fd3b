//! The one list of routes.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use common::clock;
use common::ids::RequestId;
use common::metrics;
use common::webhook_signature::WebhookSigner;
use http_api::observation::trace_of;
use http_api::server::{Status, healthz, resource};
use http_api::{Access, Problem};
use serde::Serialize;

use crate::acceptance::Acceptance;
use crate::callback_param::callback_url;
use crate::decisions::Decisions;
use crate::error::ApiError;
use crate::idempotency::IdempotencyKey;
use crate::requests;

pub(crate) fn routes(
    acceptance: Acceptance,
    signer: WebhookSigner,
    decisions: Arc<Decisions>,
) -> impl Fn(&mut ServiceConfig) + Clone {
    let (acceptance, signer) = (Data::new(acceptance), Data::new(signer));
    let decisions = Data::from(decisions);
    move |config| {
        config
            .app_data(acceptance.clone())
            .app_data(signer.clone())
            .app_data(decisions.clone())
            .configure(healthz)
            .service(
                resource("/readyz", &[("GET, HEAD", Access::Open)])
                    .route(web::get().to(readyz))
                    .route(web::head().to(readyz)),
            )
            .service(
                resource("/.well-known/webhook-public-keys", &[("GET", Access::Open)])
                    .route(web::get().to(webhook_public_keys)),
            )
            .service(
                // An empty token is malformed like any other and called back as `invalid`; an empty station is refused.
                resource(
                    "/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/authorize",
                    &[("GET, POST", Access::AUTHORIZE)],
                )
                .route(web::get().to(authorize))
                .route(web::post().to(authorize)),
            )
            .service(
                resource("/requests", &[("GET", Access::READ)]).route(web::get().to(requests::list::list)),
            )
            .service(
                resource("/requests/stream", &[("GET", Access::READ)])
                    .route(web::get().to(requests::stream::stream)),
            )
            .service(
                resource("/requests/{request_id}", &[("GET", Access::READ)])
                    .route(web::get().to(requests::show)),
            )
            .service(
                resource("/requests/{request_id}/redeliver", &[("POST", Access::ADMIN)])
                    .route(web::post().to(requests::redeliver)),
            );
    }
}

/// The body of a `202`, word for word as clients of the original system know it.
#[derive(Serialize)]
struct Accepted {
    status: &'static str,
    message: &'static str,
    request_id: RequestId,
}

async fn authorize(
    acceptance: Data<Acceptance>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    accept(&acceptance, &path, &request, payload).await.inspect_err(|refusal| {
        counter!(metrics::REQUESTS_REFUSED, "reason" => refusal.reason()).increment(1);
    })
}

async fn accept(
    acceptance: &Acceptance,
    path: &(String, String),
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let received = clock::now();
    let callback_url = callback_url(request, payload).await?;
    let question = acceptance.question(&path.0, &path.1, callback_url)?;
    let key = match *request.method() {
        Method::POST => IdempotencyKey::of(request)?,
        _ => None,
    };
    let request_id = acceptance.accept(question, received, key, &trace_of(request)).await?;
    let accepted = Accepted {
        status: "accepted",
        message: "Request is being processed asynchronously. The result will be sent to the provided callback URL.",
        request_id,
    };
    Ok(HttpResponse::Accepted().insert_header((LOCATION, format!("/requests/{request_id}"))).json(accepted))
}

#[derive(Serialize)]
struct PublicKeys {
    keys: Vec<String>,
}

/// What verifies the `v1a` signatures of callbacks.
async fn webhook_public_keys(signer: Data<WebhookSigner>) -> HttpResponse {
    HttpResponse::Ok().json(PublicKeys { keys: signer.public_keys() })
}

async fn readyz(acceptance: Data<Acceptance>) -> Result<HttpResponse, ApiError> {
    if !acceptance.queue.broker().is_ready() {
        let detail = "there is no connection to the broker";
        return Err(Problem::unavailable("task_queue", detail, Duration::from_secs(1)).into());
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
