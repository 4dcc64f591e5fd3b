//! The command `voltgate`: the whole system in one process, a demonstration of it, and the operators' tools for a
//! running system.

mod acl;
mod authorize;
mod backup;
mod bench;
mod callback_receiver;
mod charger;
pub mod cli;
mod client;
mod dead;
mod demo;
mod doctor;
mod keys;
mod log;
mod manual;
mod places;
pub mod run;
mod seed;
pub mod settings;
pub mod tables;
mod terminal;
mod times;
pub mod up;
mod users;
