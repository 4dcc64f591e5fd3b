//! A callback server of our own, for commands that wait for a decision.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path};
use common::decision::Decision;
use common::exit::Failure;
use http_api::Access;
use http_api::server::{Bound, resource};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a callback says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) station_id: String,
    pub(crate) driver_token: String,
    pub(crate) status: Decision,
}

/// A receiver that answers 200 for as long as it lives.
pub(crate) struct CallbackReceiver {
    base: String,
    received: mpsc::Receiver<(String, Received)>,
    stop: CancellationToken,
}

impl CallbackReceiver {
    /// Listens on a free port of this machine.
    pub(crate) fn start() -> Result<Self, Failure> {
        let bound = Bound::to(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)?;
        let base = format!("http://{}", bound.address());
        let (tell, received) = mpsc::channel(64);
        let (tell, stop) = (Data::new(tell), CancellationToken::new());
        let routes = move |config: &mut web::ServiceConfig| {
            config
                .app_data(tell.clone())
                .service(resource("/{name}", &[("POST", Access::Open)]).route(web::post().to(receive)));
        };
        tokio::spawn(bound.serve("callbacks", routes, Duration::from_secs(1), stop.clone()));
        Ok(Self { base, received, stop })
    }

    /// A URL of it; the name comes back with the callback.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// The next callback with this name; nothing when none comes in time.
    pub(crate) async fn next(&mut self, wanted: &str, limit: Duration) -> Option<Received> {
        let next = async {
            while let Some((name, received)) = self.received.recv().await {
                if name == wanted {
                    return Some(received);
                }
            }
            None
        };
        tokio::time::timeout(limit, next).await.ok().flatten()
    }
}

impl Drop for CallbackReceiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn receive(
    tell: Data<mpsc::Sender<(String, Received)>>,
    name: Path<String>,
    body: Json<Received>,
) -> HttpResponse {
    let _ = tell.send((name.into_inner(), body.into_inner())).await;
    HttpResponse::Ok().finish()
}
