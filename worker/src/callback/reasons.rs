//! The words for why a callback is buried, beside those of any task (`task_queue::dead_letter::reasons`).

task_queue::dead_letter_reasons! {
    /// The host answered no.
    REJECTED = "callback_rejected";
    /// It answered 410, now or a short while ago.
    GONE = "callback_gone";
    /// It may not be called.
    REFUSED = "callback_refused";
    /// Its certificate is not good.
    TLS = "callback_tls";
    /// Every attempt failed.
    EXHAUSTED = "callback_exhausted";
    /// The window was over before an attempt succeeded.
    WINDOW_OVER = "callback_window_over";
}
