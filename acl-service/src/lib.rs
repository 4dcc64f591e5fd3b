//! acl-service: HTTP over the access lists. The only process that reads or writes their keys.

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
pub mod openapi;
mod paging;
mod routes;
mod scheduler;
mod times;
