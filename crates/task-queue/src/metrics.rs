//! The metrics of this crate, recorded through the `metrics` facade. The names have no prefix: the program that
//! installs a recorder adds its own.

/// Gauge: tasks in flight, waiting for a slot or running.
pub(crate) const TASKS_IN_FLIGHT: &str = "tasks_in_flight";
/// Counter: dead-lettered tasks, by `reason`.
pub(crate) const DEAD_LETTERS: &str = "dead_letters_total";
/// Histogram: from a publish to the broker's confirm, in seconds.
pub(crate) const PUBLISH: &str = "publish_seconds";
/// Gauge, by `role`: 1 while connected.
pub(crate) const BROKER_CONNECTED: &str = "broker_connected";
/// Counter: reconnects, by `role`.
pub(crate) const BROKER_RECONNECTS: &str = "broker_reconnects_total";
