//! `deliver_callback`: a further attempt to call the client back. It has its own queue, because a Python worker in a
//! mixed fleet would reject a task that it does not know.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use store::Record;

/// The task's name on the wire.
pub const NAME: &str = "voltgate.tasks.deliver_callback";

/// Its parameters in order.
pub const PARAMETERS: &[&str] =
    &["request_id", "station_id", "driver_token", "callback_url", "status", "start_time_ns", "attempts_made"];

/// The header with the time at which the delivery window began, in [`Nanos`].
pub const WINDOW_FROM_HEADER: &str = "voltgate_window_from_ns";
/// The header with the number of attempts made before the counted ones.
pub const UNCOUNTED_HEADER: &str = "voltgate_attempts_uncounted";

/// The header of a requested redelivery: it is made even if the record says that the callback was delivered.
pub const REDELIVERY_HEADER: &str = "voltgate_redelivery";

/// The limits of the attempts: a replay has its own window and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// The start of the window.
    pub window_from_ns: Nanos,
    /// How many attempts were made before the counted ones.
    pub uncounted: u32,
}

/// The queue of these tasks, next to the queue of the requests.
pub fn queue(task_queue: &str) -> String {
    format!("{task_queue}.callbacks")
}

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverCallback {
    /// The request; also the `webhook-id`.
    pub request_id: RequestId,
    /// As in the callback's body.
    pub station_id: StationId,
    /// As in the callback's body.
    pub driver_token: PresentedToken,
    /// The callback URL.
    pub callback_url: String,
    /// The decision.
    pub status: Decision,
    /// When the client called. It names the record and begins the delivery window.
    pub start_time_ns: Nanos,
    /// How many attempts were made before this task was first published.
    pub attempts_made: u32,
}

impl DeliverCallback {
    /// The delivery of a decision on record, after the attempts that were made; `None` if the request has no callback.
    pub fn of(record: Record) -> Option<Self> {
        Some(Self {
            attempts_made: record.attempts.last().map_or(0, |last| last.number),
            request_id: record.decided.request_id,
            station_id: record.key.station_id,
            driver_token: record.key.driver_token,
            callback_url: record.decided.callback_url?,
            status: record.decided.decision,
            start_time_ns: record.key.start_ns,
        })
    }

    /// The positional arguments, in the order of [`PARAMETERS`].
    pub fn to_args(&self) -> Vec<Value> {
        vec![
            json!(self.request_id),
            json!(self.station_id),
            json!(self.driver_token),
            json!(self.callback_url),
            json!(self.status),
            json!(self.start_time_ns),
            json!(self.attempts_made),
        ]
    }
}
