//! worker: takes requests from the queue, asks acl-service, records the decision and calls the client back.

pub mod app;
mod callback;
pub mod config;
mod error;
mod measurements;
pub mod metrics;
mod overdue;
pub mod settings;
mod tasks;

pub use measurements::dead_letter_reasons;
