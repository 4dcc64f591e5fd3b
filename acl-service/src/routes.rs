//! The one list of routes.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, delete, get, head, post, put};
use http_api::server::{Status, healthz, resource};
use store::Store;

use crate::error::Answer;
use crate::{audit, copy, entries, groups, import};

pub(crate) fn routes(store: Store) -> impl Fn(&mut ServiceConfig) + Clone {
    let store = Data::new(store);
    move |config| {
        config.app_data(store.clone()).configure(healthz);
        config.service(resource("/readyz", "GET, HEAD").route(get().to(readyz)).route(head().to(readyz)));
        lists(config);
        of_groups(config);
    }
}

fn lists(config: &mut ServiceConfig) {
    config
        .service(
            resource("/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/acl", "GET, PUT, DELETE")
                .route(get().to(entries::check))
                .route(put().to(entries::allow))
                .route(delete().to(entries::deny)),
        )
        .service(
            resource("/station/{station_id:[^/]*}/acl", "GET, PUT")
                .route(get().to(entries::list))
                .route(put().to(entries::allow_many)),
        )
        .service(
            resource("/station/{station_id:[^/]*}/acl/timed", "GET").route(get().to(entries::list_timed)),
        )
        .service(resource("/station/{station_id:[^/]*}/acl/copy", "POST").route(post().to(copy::copy)))
        .service(resource("/acl/check", "POST").route(post().to(entries::check_many)))
        .service(resource("/acl/import", "POST").route(post().to(import::import)))
        .service(resource("/audit", "GET").route(get().to(audit::list)));
}

fn of_groups(config: &mut ServiceConfig) {
    config
        .service(resource("/groups", "GET").route(get().to(groups::list)))
        .service(
            resource("/groups/{name:[^/]*}", "GET, PUT, DELETE")
                .route(get().to(groups::show))
                .route(put().to(groups::create))
                .route(delete().to(groups::remove)),
        )
        .service(resource("/groups/{name:[^/]*}/stations", "GET").route(get().to(groups::stations)))
        .service(
            resource("/groups/{name:[^/]*}/stations/{station_id:[^/]*}", "PUT, DELETE")
                .route(put().to(groups::join))
                .route(delete().to(groups::leave)),
        )
        .service(resource("/groups/{name:[^/]*}/drivers", "GET").route(get().to(groups::drivers)))
        .service(
            resource("/groups/{name:[^/]*}/drivers/{driver_token:[^/]*}", "PUT, DELETE")
                .route(put().to(groups::admit))
                .route(delete().to(groups::dismiss)),
        );
}

async fn readyz(store: Data<Store>) -> Answer {
    store.keyed.ping().await?;
    Ok(HttpResponse::Ok().json(Status::READY))
}
