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
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a callback says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) station_id: String,
    pub(crate) driver_token: String,
    pub(crate) status: Decision,
}

/// How long a callback in hand may take to be answered when nothing is waited for any more.
const GRACE: Duration = Duration::from_secs(5);

/// A receiver that answers 200 until it is stopped. It must be: a process that ends between hearing a callback and answering
/// it makes the worker try again at a port where nothing listens, and a dead letter of what arrived.
#[must_use]
pub(crate) struct CallbackReceiver {
    base: String,
    received: mpsc::Receiver<(String, Received)>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), Failure>>,
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
        let serving = tokio::spawn(bound.serve("callbacks", routes, GRACE, stop.clone()));
        Ok(Self { base, received, stop, serving })
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

    /// Answers what has come, and takes no more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // It ends by itself within its grace, unless something is broken.
        let _ = tokio::time::timeout(2 * GRACE, self.serving).await;
    }
}

async fn receive(
    tell: Data<mpsc::Sender<(String, Received)>>,
    name: Path<String>,
    body: Json<Received>,
) -> HttpResponse {
    // Without room nobody waits for it any more, and the answer must not either.
    let _ = tell.try_send((name.into_inner(), body.into_inner()));
    // Closed, so that stopping need not wait for a connection that is kept for another call.
    HttpResponse::Ok().force_close().finish()
}
