//! What is counted here, by the facade `metrics`: whoever runs a worker installs a recorder, or nothing is counted.

/// Gauge: tasks in hand, waiting for a slot or running.
pub(crate) const TASKS_IN_FLIGHT: &str = "voltgate_tasks_in_flight";
/// Counter: tasks that were buried, by `reason`.
pub(crate) const DEAD_LETTERS: &str = "voltgate_dead_letters_total";
/// Gauge: 1 while there is a connection, by `role`.
pub(crate) const BROKER_CONNECTED: &str = "voltgate_broker_connected";
/// Counter: connections that were made anew, by `role`.
pub(crate) const BROKER_RECONNECTS: &str = "voltgate_broker_reconnects_total";
