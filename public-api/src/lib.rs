//! public-api: the HTTP entry point. It rejects what can never be decided, publishes the rest, and answers `202` once
//! the task is confirmed.

mod acceptance;
mod accepted_notes;
pub mod app;
mod charge_service;
pub mod config;
mod decisions;
mod error;
mod form;
mod gauges;
mod idempotency;
pub mod metrics;
pub mod openapi;
mod queue_age;
mod requests;
mod routes;
pub mod settings;
