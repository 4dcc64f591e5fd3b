//! platform-api: the charging platform over HTTP: locations, stations, and a live stream of what happens.

mod answer;
pub mod app;
pub mod config;
mod error;
mod idempotent;
mod live;
mod locations;
pub mod metrics;
mod network;

pub mod openapi;
mod paging;
mod patch;
mod routes;
pub mod settings;
mod stations;
