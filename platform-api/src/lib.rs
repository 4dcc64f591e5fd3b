//! platform-api: the charging platform over HTTP: accounts, locations, stations, and a live stream of what happens.

mod access;
mod accounts;
mod answer;
pub mod app;
mod audit;
mod auth;
pub mod config;
mod core_sync;
mod error;
mod fleets;
mod idempotent;
mod import;
mod live;
mod locations;
mod me;
pub mod metrics;
mod network;
pub mod openapi;
mod paging;
mod patch;
mod permissions;
mod routes;
pub mod settings;
mod stations;
mod tokens;
mod users;
