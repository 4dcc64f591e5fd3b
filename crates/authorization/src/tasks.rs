//! The payloads of the tasks, one file each. The worker's handler of a task has the same file name in
//! `worker/src/tasks/`.

pub mod authorize;
pub mod deliver_callback;
