//! The heartbeat, which shows that a worker is alive and how busy it is.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Events;
use crate::protocol::CELERY_VERSION;

/// Celery's interval. A worker without a heartbeat for twice this long counts as offline.
const EVERY: Duration = Duration::from_secs(2);

/// The load of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Tasks in flight.
    pub(crate) active: usize,
    /// Tasks begun since the start.
    pub(crate) processed: u64,
}

impl Vitals {
    /// The fields of a worker's event.
    pub(crate) fn fields(self, freq: f64) -> Value {
        json!({
            "freq": freq, "active": self.active, "processed": self.processed, "loadavg": load_average(),
            "sw_ident": env!("CARGO_PKG_NAME"), "sw_ver": CELERY_VERSION, "sw_sys": "Linux",
        })
    }
}

/// Reports the worker as online until `stop`, and then as offline.
pub(crate) async fn beat(events: &Events, vitals: impl Fn() -> Vitals, stop: &CancellationToken) {
    let send = |kind| events.worker(kind, vitals().fields(EVERY.as_secs_f64()));
    send("worker-online");
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        send("worker-heartbeat");
    }
    send("worker-offline");
}

/// The load averages over one, five and fifteen minutes.
fn load_average() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}
