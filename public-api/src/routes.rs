//! The single list of routes.

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use common::webhook_signature::WebhookSigner;
use http_server::{Access, Resource, healthz, resource};

use crate::acceptance::Acceptance;
use crate::charge_service::{self, AccessEntries};
use crate::decisions::Decisions;
use crate::{authorize, readyz, requests, webhook_keys};

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
            .route(web::get().to(readyz::readyz))
            .route(web::head().to(readyz::readyz)),
        resource("/.well-known/webhook-public-keys", &[("GET", Access::Open)])
            .route(web::get().to(webhook_keys::webhook_public_keys)),
        resource(to_authorize, &[("GET, POST", Access::AUTHORIZE)])
            .route(web::get().to(authorize::authorize))
            .route(web::post().to(authorize::authorize_by_post)),
        resource("/requests", &[("GET", Access::READ)]).route(web::get().to(requests::list::list)),
        resource("/requests/stream", &[("GET", Access::READ)]).route(web::get().to(requests::stream::stream)),
        resource("/requests/{request_id}", &[("GET", Access::READ)]).route(web::get().to(requests::show)),
        resource("/requests/{request_id}/redeliver", &[("POST", Access::ADMIN)])
            .route(web::post().to(requests::redeliver)),
    ]
}
