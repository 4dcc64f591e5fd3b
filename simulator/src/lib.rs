//! An OCPP 1.6J charge point, and ten thousand of them: a charger that boots, charges and keeps what it could not send,
//! and that misbehaves on demand; and the load client that measures a central system.
#![warn(missing_docs)]

pub mod charger;
pub mod clock;
pub mod command;
pub mod configuration;
pub mod event;
pub mod frame;
pub mod link;
pub mod load;
pub mod message;
pub mod misbehaviour;
pub mod outbox;
pub mod shape;
pub mod station;
pub mod terminal;
