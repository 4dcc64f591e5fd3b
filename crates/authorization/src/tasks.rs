//! The payloads of the tasks, one file each. The worker's handler of a task is in `worker/src/tasks/`, under the same
//! name.

pub mod authorize;
pub mod deliver_callback;
