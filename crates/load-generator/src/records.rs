//! Checks through public-api that the requests that were called back are on record as delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::connection::Connection;
use crate::front_door::FrontDoor;

const CONNECTIONS: usize = 16;
/// The attempt is written only after the callback was answered.
const MAX_WAIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The result of a check.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked {
    /// Number of requests checked.
    pub looked_at: u64,
    /// Number of those that are not on record as delivered.
    pub unrecorded: u64,
}

/// Checks at most `most` of these requests, evenly spread.
pub async fn check_records(front_door: &FrontDoor, requests: &[Uuid], most: usize) -> Checked {
    if most == 0 {
        return Checked::default();
    }
    let step = requests.len().div_ceil(most).max(1);
    let some: Arc<[Uuid]> = requests.iter().copied().step_by(step).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let mut looking = JoinSet::new();
    for _ in 0..CONNECTIONS {
        looking.spawn(look(front_door.clone(), Arc::clone(&some), Arc::clone(&next)));
    }
    let mut checked = Checked { looked_at: some.len() as u64, unrecorded: 0 };
    while let Some(unrecorded) = looking.join_next().await {
        // A panicked task lost count of its share.
        checked.unrecorded += unrecorded.unwrap_or(checked.looked_at);
    }
    checked
}

async fn look(front_door: FrontDoor, requests: Arc<[Uuid]>, next: Arc<AtomicUsize>) -> u64 {
    let mut connection = Connection::to(front_door.api.clone());
    let mut unrecorded = 0;
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        while !is_delivered(&mut connection, &front_door.show(*request)).await {
            if began.elapsed() > MAX_WAIT {
                unrecorded += 1;
                break;
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }
    unrecorded
}

async fn is_delivered(connection: &mut Connection, call: &str) -> bool {
    let Ok(answer) = connection.exchange(call.as_bytes()).await else { return false };
    let shown = serde_json::from_slice::<serde_json::Value>(answer.body);
    answer.status == 200 && shown.is_ok_and(|shown| shown["state"] == "delivered")
}
