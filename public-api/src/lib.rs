//! public-api: the front door. Refuses what can never be answered, publishes the rest, and says `202` once it is confirmed.

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
pub mod openapi;
mod queue_age;
mod requests;
mod routes;
