//! `GET /healthz`, and what it and `/readyz` answer.

use actix_web::{HttpResponse, web};

use crate::Access;
use crate::resource::{Resource, resource};

/// `GET /healthz`: the process is alive.
pub fn healthz() -> Resource {
    resource("/healthz", &[("GET, HEAD", Access::Open)])
        .route(web::get().to(alive))
        .route(web::head().to(alive))
}

/// The service's status
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Status {
    /// `alive` or `ready`
    status: &'static str,
}

impl Status {
    /// The process is alive.
    pub const ALIVE: Self = Self { status: "alive" };
    /// The service can do its work.
    pub const READY: Self = Self { status: "ready" };
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "service",
    responses((status = 200, description = "The process is alive", body = Status)))]
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Status::ALIVE)
}
