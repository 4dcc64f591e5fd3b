//! What every process has: settings, logs and traces, metrics, exit codes, shutdown, retries, trace context, and how one
//! service calls another. [`run()`] starts a service.
#![warn(missing_docs)]

pub mod exit;
pub mod metrics;
pub mod retry;
mod run;
pub mod server_url;
pub mod service_client;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod trace_context;

pub use run::{Process, Service, run};
