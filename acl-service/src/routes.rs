//! The one list of routes.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, delete, get, head, post, put};
use http_api::Access;
use http_api::server::{Status, healthz, resource, slow_resource};
use store::Store;

use crate::error::Answer;
use crate::{audit, copy, entries, groups, import};

/// What goes over a whole list, or a body of any length, has bounds of its own on each step.
const OF_ANY_LENGTH: Duration = Duration::from_secs(3600);

pub(crate) fn routes(store: Store) -> impl Fn(&mut ServiceConfig) + Clone {
    let store = Data::new(store);
    move |config| {
        config.app_data(store.clone()).configure(healthz);
        config.service(
            resource("/readyz", &[("GET, HEAD", Access::Open)])
                .route(get().to(readyz))
                .route(head().to(readyz)),
        );
        lists(config);
        of_groups(config);
    }
}

fn lists(config: &mut ServiceConfig) {
    config
        .service(
            resource(
                "/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/acl",
                &[("GET", Access::CHECK_ACL), ("PUT, DELETE", Access::CHANGE_ACL)],
            )
            .route(get().to(entries::check))
            .route(put().to(entries::allow))
            .route(delete().to(entries::deny)),
        )
        .service(
            resource(
                "/station/{station_id:[^/]*}/acl",
                &[("GET", Access::SEE_ACL), ("PUT", Access::CHANGE_ACL)],
            )
            .route(get().to(entries::list))
            .route(put().to(entries::allow_many)),
        )
        .service(
            resource("/station/{station_id:[^/]*}/acl/timed", &[("GET", Access::SEE_ACL)])
                .route(get().to(entries::list_timed)),
        )
        .service(
            slow_resource(
                "/station/{station_id:[^/]*}/acl/copy",
                &[("POST", Access::CHANGE_ACL)],
                OF_ANY_LENGTH,
            )
            .route(post().to(copy::copy)),
        )
        .service(resource("/acl/check", &[("POST", Access::CHECK_ACL)]).route(post().to(entries::check_many)))
        .service(
            slow_resource("/acl/import", &[("POST", Access::CHANGE_ACL)], OF_ANY_LENGTH)
                .route(post().to(import::import)),
        )
        .service(resource("/audit", &[("GET", Access::SEE_ACL)]).route(get().to(audit::list)));
}

fn of_groups(config: &mut ServiceConfig) {
    config
        .service(resource("/groups", &[("GET", Access::SEE_ACL)]).route(get().to(groups::list)))
        .service(
            resource(
                "/groups/{name:[^/]*}",
                &[("GET", Access::SEE_ACL), ("PUT, DELETE", Access::CHANGE_ACL)],
            )
            .route(get().to(groups::show))
            .route(put().to(groups::create))
            .route(delete().to(groups::remove)),
        )
        .service(
            resource("/groups/{name:[^/]*}/stations", &[("GET", Access::SEE_ACL)])
                .route(get().to(groups::stations)),
        )
        .service(
            slow_resource(
                "/groups/{name:[^/]*}/stations/{station_id:[^/]*}",
                &[("PUT, DELETE", Access::CHANGE_ACL)],
                OF_ANY_LENGTH,
            )
            .route(put().to(groups::join))
            .route(delete().to(groups::leave)),
        )
        .service(
            resource("/groups/{name:[^/]*}/drivers", &[("GET", Access::SEE_ACL)])
                .route(get().to(groups::drivers)),
        )
        .service(
            slow_resource(
                "/groups/{name:[^/]*}/drivers/{driver_token:[^/]*}",
                &[("PUT, DELETE", Access::CHANGE_ACL)],
                OF_ANY_LENGTH,
            )
            .route(put().to(groups::admit))
            .route(delete().to(groups::dismiss)),
        );
}

async fn readyz(store: Data<Store>) -> Answer {
    store.keyed.ping().await?;
    Ok(HttpResponse::Ok().json(Status::READY))
}
