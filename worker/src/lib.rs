//! worker: takes requests from the queue, asks acl-service, records the decision and calls the client back. With a
//! database it also runs the platform's tasks, and the scheduler of the periodic ones.

pub mod app;
mod callback;
pub mod config;
mod error;
pub mod mail;
mod measurements;
pub mod metrics;
mod overdue;
pub mod scheduler;
pub mod settings;
mod tasks;

pub use measurements::dead_letter_reasons;
