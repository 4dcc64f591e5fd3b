//! Whether the store can be reached, and how fast it is, for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{gauge, histogram};

use crate::metrics::{STORE_PROBE, STORE_REACHABLE};
use crate::{AccessStore, KeyValue, Store, Writes};

const PROBE_EVERY: Duration = Duration::from_secs(5);
/// A probe that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);

impl Store {
    /// Updates the metrics of the store, until dropped, by probing what this process writes.
    pub async fn watch(&self, writes: Writes) {
        watch(&self.key_values, writes).await;
    }
}

impl AccessStore {
    /// Updates the metrics of the store, until dropped.
    pub async fn watch(&self) {
        watch(&self.key_values, Writes::AccessLists).await;
    }
}

async fn watch(store: &Arc<dyn KeyValue>, writes: Writes) {
    loop {
        let began = Instant::now();
        let reached = matches!(tokio::time::timeout(LIMIT, store.probe(writes)).await, Ok(Ok(())));
        if reached {
            histogram!(STORE_PROBE).record(began.elapsed().as_secs_f64());
        }
        gauge!(STORE_REACHABLE, "writes" => writes.as_str()).set(f64::from(u8::from(reached)));
        tokio::time::sleep(PROBE_EVERY).await;
    }
}
