//! Begins every counter and gauge at zero, so that a rate is known from the first event on.

use ::metrics::{counter, gauge, histogram};

use crate::metrics::{
    ANSWERS, CALL, CALLS, COMMANDS, DISCONNECTS, DROPPED, HANDSHAKES, LENIENCIES, MESSAGES_LOST, SOCKETS,
    WRITES_KEPT, WRITES_LOST,
};

const RESULTS: [&str; 3] = ["answered", "refused", "unanswered"];
const HANDSHAKE_RESULTS: [&str; 8] =
    ["accepted", "malformed", "unknown", "disabled", "credentials", "subprotocol", "full", "unavailable"];

/// Begins them.
pub(crate) fn begin() {
    for name in [SOCKETS, WRITES_KEPT] {
        gauge!(name).set(0.0);
    }
    for name in [WRITES_LOST, MESSAGES_LOST] {
        counter!(name).increment(0);
    }
    for action in ocpp::v16::THEIRS {
        let _ = histogram!(CALL, "action" => *action);
        for result in RESULTS {
            counter!(CALLS, "action" => *action, "result" => result).increment(0);
        }
    }
    for result in HANDSHAKE_RESULTS {
        counter!(HANDSHAKES, "result" => result).increment(0);
    }
    for reason in ["closed", "lost", "silent", "superseded"] {
        counter!(DISCONNECTS, "reason" => reason).increment(0);
    }
    for reason in ["not_json", "late", "binary"] {
        counter!(DROPPED, "reason" => reason).increment(0);
    }
    for kind in ocpp::Leniency::ALL {
        counter!(LENIENCIES, "kind" => kind.as_str()).increment(0);
    }
    for (answer, because) in [("Accepted", "decision"), ("Invalid", "decision"), ("Invalid", "unknown")] {
        counter!(ANSWERS, "answer" => answer, "because" => because).increment(0);
    }
    for state in ["answered", "error", "timeout", "busy", "unknown"] {
        counter!(COMMANDS, "state" => state).increment(0);
    }
}
