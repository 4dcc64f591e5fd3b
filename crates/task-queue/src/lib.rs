//! A task queue that speaks Celery's protocol: its messages, the brokers that hold them (RabbitMQ, or a SQLite file),
//! and the worker that runs them. It knows nothing of what the tasks do.
#![warn(missing_docs)]

mod backoff;
pub mod broker;
mod clock;
pub mod control;
pub mod dead_letter;
mod events;
mod execution;
pub mod message;
mod metrics;
mod node;
pub mod protocol;
mod python;
pub mod result_backend;
pub mod task;
pub mod timestamp;
pub mod worker;

pub use broker::{
    Broker, BrokerError, Delivery, PublishError, QUEUE_FILE, QueueType, Topology, connect, connect_beside,
};
pub use control::ControlConfig;
pub use execution::Autoscale;
pub use message::Message;
pub use node::Node;
pub use protocol::{NotATask, TaskMessage, TaskOptions, TaskRequest};
pub use result_backend::{ResultBackend, ResultError};
pub use task::{Failure, FollowUp, Outcome, Retry, Task, TaskContext, Tasks};
pub use timestamp::Timestamp;
pub use worker::{Worker, WorkerConfig};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
