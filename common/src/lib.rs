//! The vocabulary that two or more of Voltgate's processes must agree on: identifiers, the decision, the clock, API keys,
//! roles, for whom a call is made, callback URLs and which addresses may be called back, webhook signatures. No I/O, no
//! settings, few dependencies.
#![warn(missing_docs)]

pub mod address_guard;
pub mod api_key;
pub mod callback_url;
pub mod clock;
pub mod decision;
pub mod error_chain;
pub mod ids;
pub mod key_store;
pub mod on_behalf_of;
pub mod role;
pub mod webhook_signature;
