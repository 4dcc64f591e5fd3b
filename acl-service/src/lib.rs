//! acl-service: the access lists over HTTP. No other process reads or writes their keys.

mod actor;
pub mod app;
mod audit;
mod changes;
pub mod config;
mod copy;
mod entries;
mod error;
mod groups;
mod import;
mod members;
pub mod metrics;
pub mod openapi;
mod paging;
mod platform_version;
mod public_stations;
mod routes;
mod scheduler;
mod validity;
