//! Celery's message protocol, as Celery 5.3 to 5.7 send and read it. Version 2 is used throughout; version 1 and the
//! hybrid of both are converted to it on receipt.

pub(crate) mod binding;
mod body;
mod compression;
pub mod protocol1;
mod publish;
mod repr;
mod request;
mod signature;
pub mod typed_json;

pub(crate) use publish::{Envelope, replaced, with_arguments};
pub use publish::{Origin, TaskMessage, TaskOptions, retried};
pub use repr::repr;
pub use request::{TaskRequest, TimeLimit, Timing};
pub use signature::Signature;

/// The Celery version that messages, events and remote control answers follow. Monitors judge a worker by it.
pub(crate) const CELERY_VERSION: &str = "5.7.0";

/// Why a message is not a task that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATask {
    /// It has no task name and id: Celery did not send it.
    #[error(
        "it has neither `task` and `id` headers nor a JSON body of protocol 1, so it is not a Celery task"
    )]
    Foreign,
    /// Its body cannot be read.
    #[error("its body cannot be decoded: {0}")]
    Undecodable(String),
    /// Its `eta` or `expires` cannot be read as a time.
    #[error("its `{header}` {problem}")]
    BadMoment {
        /// `eta` or `expires`.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}
