//! acl-service: HTTP over the access lists. The only process that reads or writes their keys.

pub mod app;
pub mod config;
mod error;
mod routes;
