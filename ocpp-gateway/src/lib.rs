//! ocpp-gateway: the WebSockets of chargers. It turns messages into calls of the domain, and commands into messages.
//!
//! A frame is read by its `socket`, which knows the rules of the connection (`ocpp::connection`). `calls` carries a request out:
//! what must be durable goes through the `writer`, and drivers are looked up and decided by `authorize`. The `feed` hears of commands and
//! changes, which any process may have made.

pub mod app;
mod authorize;
mod calls;
mod certificates;
mod commands;
pub mod config;
mod feed;
mod handshake;
mod large_frames;
mod masking;
mod measurements;
mod message_log;
pub mod metrics;
mod node;
mod open_files;
mod readings;
mod routes;
pub mod settings;
mod socket;
mod sockets;
mod tags;
mod vendors;
mod writer;
