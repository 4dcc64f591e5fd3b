//! The payloads of the tasks, one file each. What a worker does with them is in `worker/src/tasks/`, under the same name.

pub mod authorize;
pub mod deliver_callback;
