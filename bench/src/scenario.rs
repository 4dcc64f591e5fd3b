//! The scenarios; each can be measured alone.

pub mod backlog;
pub mod everything;
pub mod hosts;
pub mod ocpp;
pub mod platform;
pub mod profile;
pub mod skeleton;
pub mod workers;
