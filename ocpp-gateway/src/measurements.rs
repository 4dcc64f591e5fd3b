//! Begins at zero what the table of metrics cannot: the values of a metric with two labels, and those that another list has.

use ::metrics::{counter, gauge, histogram};

use crate::metrics::{ANSWERS, CALL, CALLS, COMMANDS, DROPPED, LENIENCIES, SOCKETS, WRITES_KEPT};

const RESULTS: [&str; 3] = ["answered", "refused", "unanswered"];

/// Begins them, so that a rate is known from the first event on.
pub(crate) fn begin() {
    for name in [SOCKETS, WRITES_KEPT] {
        gauge!(name).set(0.0);
    }
    for action in ocpp::v16::THEIRS {
        let _ = histogram!(CALL, "action" => *action);
        for result in RESULTS {
            counter!(CALLS, "action" => *action, "result" => result).absolute(0);
        }
    }
    for reason in ["not_json", "late", "binary"] {
        counter!(DROPPED, "reason" => reason).absolute(0);
    }
    for kind in ocpp::Leniency::ALL {
        counter!(LENIENCIES, "kind" => kind.as_str()).absolute(0);
    }
    for (answer, because) in [("Accepted", "decision"), ("Invalid", "decision"), ("Invalid", "unknown")] {
        counter!(ANSWERS, "answer" => answer, "because" => because).absolute(0);
    }
    for state in ["answered", "error", "timeout", "busy", "unknown"] {
        counter!(COMMANDS, "state" => state).absolute(0);
    }
}
