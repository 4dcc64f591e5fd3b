//! The public keys of callbacks' signatures.

use actix_web::HttpResponse;
use actix_web::web::Data;
use common::webhook_signature::WebhookSigner;
use serde::Serialize;
use utoipa::ToSchema;

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
