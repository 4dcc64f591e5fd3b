//! The single list of routes.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, get, head};
use http_server::{Access, Problem, Status, healthz, resource};

use crate::handshake;
use crate::node::Node;

pub(crate) fn routes(node: Arc<Node>) -> impl Fn(&mut ServiceConfig) + Clone {
    let node = Data::new(node);
    move |config| {
        let readyz = resource("/readyz", &[("GET, HEAD", Access::Open)]);
        // Chargers have passwords of their own, and many of them one address.
        let sockets = resource("/ocpp/{charger:[^/]*}", &[("GET", Access::Open)]);
        config.app_data(node.clone());
        config.service(healthz());
        config.service(readyz.route(get().to(ready)).route(head().to(ready)));
        config.service(sockets.route(get().to(handshake::connect)));
    }
}

/// Ready to take chargers: the database answers. Those that are connected stay, also while it does not.
async fn ready(node: Data<Arc<Node>>) -> Result<HttpResponse, Problem> {
    let away = |_| {
        Problem::unavailable("database", "the database does not answer", std::time::Duration::from_secs(1))
    };
    node.db.probe().await.map_err(away)?;
    Ok(HttpResponse::Ok().json(Status::READY))
}
