//! What all HTTP services share: errors as problem+json, bounded bodies, the gate that checks callers, TLS, and a
//! server that drains when it stops.

mod access;
pub mod accounts;
pub mod body;
pub mod caller;
mod client_address;
pub mod conditional;
pub mod config;
mod gate;
mod health;
pub mod input;
pub mod metrics;
pub mod observation;
pub mod openapi;
pub mod problem;
pub mod query;
pub mod rate_limit;
mod resource;
mod route;
mod security_headers;
pub mod server;
pub mod settings;
mod tls;
mod verified_keys;

pub use access::Access;
pub use caller::{Caller, caller};
pub use health::{Status, healthz};
pub use problem::Problem;
pub use query::Query;
pub use resource::{Resource, resource, slow_resource};
pub use route::OPTIONAL_SLASH;
pub use tls::{ClientAuthorities, PeerTls};
