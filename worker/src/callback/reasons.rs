//! Why a callback is dead-lettered, in addition to the reasons that apply to any task
//! (`task_queue::dead_letter::DeadReason`).

use task_queue::dead_letter::DeadReasonCode;

task_queue::dead_letter_reasons! {
    /// Why a callback is not attempted again.
    UndeliverableReason {
        /// The host answered with a final status.
        Rejected = "callback_rejected",
        /// The URL answered 410, now or a short while ago.
        Gone = "callback_gone",
        /// The URL may not be called.
        Refused = "callback_refused",
        /// The host's certificate is not valid.
        Tls = "callback_tls",
        /// Every attempt failed.
        Exhausted = "callback_exhausted",
        /// The window ended before an attempt succeeded.
        WindowOver = "callback_window_over",
    }
}

impl From<UndeliverableReason> for DeadReasonCode {
    fn from(reason: UndeliverableReason) -> Self {
        Self::Task(reason.as_str())
    }
}
