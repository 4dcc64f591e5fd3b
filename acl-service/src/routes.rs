//! The single list of routes.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, delete, get, head, post, put};
use http_server::Access;
use http_server::openapi::refusals::Unavailable;
use http_server::{Problem, Resource, Status, healthz, resource, slow_resource};
use store::AccessStore;

use crate::error::Answer;
use crate::{audit, copy, entries, groups, import, members, platform_version, public_stations};

/// Operations on a whole list, or on a body of any length, limit each of their steps instead.
const OF_ANY_LENGTH: Duration = Duration::from_secs(3600);

pub(crate) fn routes(store: AccessStore) -> impl Fn(&mut ServiceConfig) + Clone {
    let store = Data::new(store);
    move |config| {
        config.app_data(store.clone());
        for resource in resources() {
            config.service(resource);
        }
    }
}

/// The resources, for registration and for the check against the document.
pub(crate) fn resources() -> Vec<Resource> {
    let readyz =
        resource("/readyz", &[("GET, HEAD", Access::Open)]).route(get().to(readyz)).route(head().to(readyz));
    [healthz(), readyz].into_iter().chain(lists()).chain(of_groups()).chain(of_platform()).collect()
}

fn lists() -> [Resource; 7] {
    let entry = "/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/acl";
    let see_or_change = &[("GET", Access::SEE_ACL), ("PUT", Access::CHANGE_ACL)];
    let copy_to = "/station/{station_id:[^/]*}/acl/copy";
    [
        resource(entry, &[("GET", Access::CHECK_ACL), ("PUT, DELETE", Access::CHANGE_ACL)])
            .without_query()
            .route(get().to(entries::check))
            .route(put().to(entries::allow))
            .route(delete().to(entries::deny)),
        resource("/station/{station_id:[^/]*}/acl", see_or_change)
            .route(get().to(entries::list))
            .route(put().to(entries::allow_many)),
        resource("/station/{station_id:[^/]*}/acl/timed", &[("GET", Access::SEE_ACL)])
            .route(get().to(entries::list_timed)),
        slow_resource(copy_to, &[("POST", Access::CHANGE_ACL)], OF_ANY_LENGTH)
            .without_query()
            .route(post().to(copy::copy)),
        resource("/acl/check", &[("POST", Access::CHECK_ACL)])
            .without_query()
            .route(post().to(entries::check_many)),
        slow_resource("/acl/import", &[("POST", Access::CHANGE_ACL)], OF_ANY_LENGTH)
            .route(post().to(import::import)),
        resource("/audit", &[("GET", Access::SEE_ACL)]).route(get().to(audit::list)),
    ]
}

fn of_groups() -> [Resource; 6] {
    let group = &[("GET", Access::SEE_ACL), ("PUT, DELETE", Access::CHANGE_ACL)];
    let (see, change) = (&[("GET", Access::SEE_ACL)], &[("PUT, DELETE", Access::CHANGE_ACL)]);
    let member = "/groups/{name:[^/]*}/stations/{station_id:[^/]*}";
    let driver = "/groups/{name:[^/]*}/drivers/{driver_token:[^/]*}";
    [
        resource("/groups", see).route(get().to(groups::list)),
        resource("/groups/{name:[^/]*}", group)
            .without_query()
            .route(get().to(groups::show))
            .route(put().to(groups::create))
            .route(delete().to(groups::remove)),
        resource("/groups/{name:[^/]*}/stations", see).route(get().to(groups::stations)),
        slow_resource(member, change, OF_ANY_LENGTH)
            .without_query()
            .route(put().to(groups::join))
            .route(delete().to(groups::leave)),
        resource("/groups/{name:[^/]*}/drivers", see).route(get().to(groups::drivers)),
        slow_resource(driver, change, OF_ANY_LENGTH)
            .without_query()
            .route(put().to(groups::admit))
            .route(delete().to(groups::dismiss)),
    ]
}

fn of_platform() -> [Resource; 5] {
    let one = &[("GET", Access::SEE_ACL), ("PUT, DELETE", Access::CHANGE_ACL)];
    let all = &[("GET", Access::SEE_ACL), ("POST", Access::CHANGE_ACL)];
    [
        resource("/public-stations", all)
            .route(get().to(public_stations::list))
            .route(post().to(public_stations::change)),
        resource("/public-stations/{station_id:[^/]*}", one)
            .without_query()
            .route(get().to(public_stations::show))
            .route(put().to(public_stations::put))
            .route(delete().to(public_stations::remove)),
        resource("/members", all).route(get().to(members::list)).route(post().to(members::change)),
        resource("/members/{driver_token:[^/]*}", one)
            .without_query()
            .route(get().to(members::show))
            .route(put().to(members::put))
            .route(delete().to(members::remove)),
        resource("/platform-version", &[("GET", Access::SEE_ACL), ("PUT", Access::CHANGE_ACL)])
            .without_query()
            .route(get().to(platform_version::show))
            .route(put().to(platform_version::put)),
    ]
}

/// Whether the access lists can be reached and changed
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "The access lists can be reached and changed", body = Status), Unavailable))]
pub(crate) async fn readyz(store: Data<AccessStore>) -> Answer {
    store.probe().await.map_err(|error| {
        tracing::warn!(%error, "the access lists cannot be reached or changed");
        Problem::unavailable("store", "the access lists cannot be reached or changed", Duration::from_secs(1))
    })?;
    Ok(HttpResponse::Ok().json(Status::READY))
}
