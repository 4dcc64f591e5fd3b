//! A task queue that speaks Celery's protocol: its messages, the brokers that hold them (RabbitMQ, or a SQLite file), and
//! the worker that runs them. It knows nothing of what the tasks are about.
#![warn(missing_docs)]

pub mod broker;
pub mod dead_letter;
pub mod message;
pub mod protocol;
pub mod task;
pub mod worker;

pub use broker::{Broker, BrokerError, Delivery, PublishError, QueueType, Topology, connect, connect_beside};
pub use message::Message;
pub use protocol::{NotATask, TaskMessage, TaskRequest};
pub use task::{FollowUp, Outcome, Task, TaskContext, Tasks};
pub use worker::{Worker, WorkerConfig};
