//! The vocabulary that two or more of Voltgate's processes share: identifiers, the decision, task payloads, the address
//! guard for callbacks, settings, telemetry and shutdown. It contains no storage and no web framework.
#![warn(missing_docs)]

pub mod address_guard;
pub mod api_key;
pub mod callback_url;
pub mod clock;
pub mod decision;
pub mod error_chain;
pub mod exit;
pub mod ids;
pub mod metrics;
pub mod retry;
pub mod server_url;
pub mod service_client;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod trace_context;
pub mod webhook_signature;
