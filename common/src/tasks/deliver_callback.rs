//! `deliver_callback`: a further attempt to tell the client what was decided. It has a queue of its own, because a Python
//! worker of a mixed fleet would reject a task that it does not know.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Nanos;
use crate::decision::Decision;
use crate::ids::{PresentedToken, RequestId, StationId};

/// The task's name on the wire.
pub const NAME: &str = "voltgate.tasks.deliver_callback";

/// Its parameters in order.
pub const PARAMETERS: &[&str] =
    &["request_id", "station_id", "driver_token", "callback_url", "status", "start_time_ns", "attempts_made"];

/// The header with the moment that the delivery window began, in [`Nanos`].
pub const WINDOW_FROM_HEADER: &str = "voltgate_window_from_ns";
/// The header with how many attempts were made before those that count.
pub const UNCOUNTED_HEADER: &str = "voltgate_attempts_uncounted";

/// The header of a delivery that somebody asked for once more: it is made although the record may say that the client has it.
pub const REDELIVERY_HEADER: &str = "voltgate_redelivery";

/// What bounds the attempts: a replay has a window and a count of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// Where the window begins.
    pub window_from_ns: Nanos,
    /// How many attempts were made before those that count.
    pub uncounted: u32,
}

/// The queue of these tasks beside the queue of the requests.
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
    /// Where to.
    pub callback_url: String,
    /// What was decided.
    pub status: Decision,
    /// When the client called: names the record and begins the delivery window.
    pub start_time_ns: Nanos,
    /// How many attempts were made before this task was first published.
    pub attempts_made: u32,
}

impl DeliverCallback {
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
