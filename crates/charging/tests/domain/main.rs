//! The domain's promises, on PostgreSQL and on SQLite.
#![expect(clippy::unwrap_used, reason = "tests")]

mod core_sync;
mod databases;
mod drafts;
mod fleets;
mod idempotency;
mod leases;
mod locations;
mod near;
mod opening;
mod outage;
mod outbox;
mod schema;
mod search;
mod stations;
mod statuses;
mod tokens;
mod transactions;
