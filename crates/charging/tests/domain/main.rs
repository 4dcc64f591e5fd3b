//! The domain's promises, on PostgreSQL and on SQLite.
#![expect(clippy::unwrap_used, reason = "tests")]

mod accounts;
mod chargers;
mod commands;
mod core_sync;
mod databases;
mod drafts;
mod erasure;
mod fleets;
mod idempotency;
mod leases;
mod locations;
mod near;
mod notifications;
mod opening;
mod outage;
mod outbox;
mod people;
mod roles;
mod schema;
mod search;
mod second_factors;
mod session_histories;
mod session_stops;
mod sessions;
mod sign_ins;
mod stations;
mod statuses;
mod tokens;
mod transactions;
mod verification;
