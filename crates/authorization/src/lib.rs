//! How a driver is authorized, whichever way the request came in. This crate has the tasks of the queue, the code that
//! publishes them, and the one place that decides and records ([`Decider`]). public-api publishes; the worker decides
//! and delivers. [`AclAdmin`] changes what acl-service keeps.

mod acl_admin;
mod acl_client;
mod backoff;
pub mod config;
mod decider;
pub mod metrics;
mod queue;
pub mod settings;
pub mod tasks;

pub use acl_admin::{AclAdmin, AclAdminError, GroupChanged};
pub use acl_client::{AclAccess, AclClient, NoAnswer};
pub use backoff::{Abandoned, retry_until_stored};
pub use decider::{AccessRequest, Decider, RecordedDecision};
pub use queue::AuthorizationQueue;
