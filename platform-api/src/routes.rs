//! The single list of routes.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, delete, get, head, patch, post};
use authorization::AclAdmin;
use charging::Db;
use http_server::openapi::refusals::Unavailable;
use http_server::{Access, Problem, Resource, Status, healthz, resource, slow_resource};

use crate::accounts::Parts;
use crate::error::Answer;
use crate::live::Live;
use crate::{
    access, audit, auth, chargers, commands, fleets, live, locations, me, network, permissions, stations,
    tokens, transactions, users,
};

/// An import limits each of its steps instead.
pub(crate) const OF_ANY_LENGTH: Duration = Duration::from_secs(3600);

pub(crate) fn routes(
    db: Db,
    live: Live,
    parts: Parts,
    admin: AclAdmin,
) -> impl Fn(&mut ServiceConfig) + Clone {
    let (db, live, parts, admin) = (Data::new(db), Data::new(live), Data::new(parts), Data::new(admin));
    move |config| {
        config.app_data(db.clone()).app_data(live.clone()).app_data(parts.clone()).app_data(admin.clone());
        for resource in resources() {
            config.service(resource);
        }
    }
}

/// The resources, for registration and for the check against the document.
pub(crate) fn resources() -> Vec<Resource> {
    let readyz =
        resource("/readyz", &[("GET, HEAD", Access::Open)]).route(get().to(readyz)).route(head().to(readyz));
    let service = [healthz(), readyz].into_iter().chain(places()).chain(of_network()).chain(lively());
    let of_accounts = auth::resources().into_iter().chain(me::resources()).chain(users::resources());
    let of_access = tokens::resources().into_iter().chain(fleets::resources()).chain(access::resources());
    let of_ocpp =
        chargers::resources().into_iter().chain(transactions::resources()).chain(commands::resources());
    service.chain(of_ocpp).chain(of_accounts).chain(of_access).chain(audit::resources()).collect()
}

fn places() -> [Resource; 5] {
    let many = &[("GET", Access::Public), ("POST", Access::Granted(permissions::EDIT_NETWORK))];
    let one = &[("GET", Access::Public), ("PATCH, DELETE", Access::Granted(permissions::EDIT_NETWORK))];
    let log = &[("GET", Access::Granted(permissions::SEE_STATUS_LOG))];
    [
        resource("/api/v1/locations", many)
            .without_query()
            .route(get().to(locations::list))
            .route(post().to(locations::create)),
        resource("/api/v1/locations/{location_id:[^/]*}", one)
            .without_query()
            .route(get().to(locations::show))
            .route(patch().to(locations::change))
            .route(delete().to(locations::remove)),
        resource("/api/v1/stations", many)
            .without_query()
            .route(get().to(stations::list))
            .route(post().to(stations::create)),
        resource("/api/v1/stations/{station_id:[^/]*}", one)
            .without_query()
            .route(get().to(stations::show))
            .route(patch().to(stations::change))
            .route(delete().to(stations::remove)),
        resource("/api/v1/stations/{station_id:[^/]*}/status-log", log).route(get().to(stations::status_log)),
    ]
}

fn of_network() -> [Resource; 1] {
    let methods = &[
        ("GET", Access::Granted(permissions::EXPORT_NETWORK)),
        ("POST", Access::Granted(permissions::EDIT_NETWORK)),
    ];
    [slow_resource("/api/v1/network", methods, OF_ANY_LENGTH)
        .route(get().to(network::export))
        .route(post().to(network::import))]
}

fn lively() -> [Resource; 2] {
    let see = &[("GET", Access::Granted(permissions::SEE_LIVE))];
    [
        resource("/api/v1/live", see).route(get().to(live::stream)),
        resource("/ws/live", see).route(get().to(live::socket)),
    ]
}

/// Whether the database can be reached
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "The database can be reached", body = Status), Unavailable))]
pub(crate) async fn readyz(db: Data<Db>) -> Answer {
    db.probe().await.map_err(|error| {
        tracing::warn!(%error, "the database cannot be reached");
        Problem::unavailable("database", "the database cannot be reached", Duration::from_secs(1))
    })?;
    Ok(HttpResponse::Ok().json(Status::READY))
}
