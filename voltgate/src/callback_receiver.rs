//! A callback server for commands that wait for a decision.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path};
use common::decision::Decision;
use http_server::Access;
use http_server::resource;
use http_server::server::Bound;
use serde::{Deserialize, Serialize};
use service_runtime::exit::Failure;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The content of a callback.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) station_id: String,
    pub(crate) driver_token: String,
    pub(crate) status: Decision,
}

/// How long the response to a callback in flight may take during shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// A receiver that answers 200 until it is stopped. It must be stopped: if the process ends between receiving a
/// callback and answering it, the worker retries at a port where nothing listens, and dead-letters a delivery that has
/// arrived.
#[must_use]
pub(crate) struct CallbackReceiver {
    base: String,
    received: mpsc::Receiver<(String, Received)>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), Failure>>,
}

impl CallbackReceiver {
    /// Listens on a free port of this machine, at this address.
    pub(crate) fn start(address: IpAddr) -> Result<Self, Failure> {
        let bound = Bound::to(address, 0)?;
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

    /// A callback URL of this receiver. The name is returned with the callback.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// The next callback with this name; `None` if the receiver was stopped.
    pub(crate) async fn next(&mut self, wanted: &str) -> Option<Received> {
        while let Some((name, received)) = self.received.recv().await {
            if name == wanted {
                return Some(received);
            }
        }
        None
    }

    /// Answers the callbacks that have arrived, and accepts no more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // It ends by itself within its grace period, unless something is broken.
        let _ = tokio::time::timeout(2 * GRACE, self.serving).await;
    }
}

async fn receive(
    tell: Data<mpsc::Sender<(String, Received)>>,
    name: Path<String>,
    body: Json<Received>,
) -> HttpResponse {
    // A full channel means that no receiver waits for it any more, and the response must not wait either.
    let _ = tell.try_send((name.into_inner(), body.into_inner()));
    // Closed, so that shutdown need not wait for a kept-alive connection.
    HttpResponse::Ok().force_close().finish()
}
