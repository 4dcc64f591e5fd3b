//! Private RabbitMQ, Redis and PostgreSQL servers for tests, on their own ports, from the programs installed on the system.
//!
//! They do not use or touch the system's own servers, and leave nothing behind, however a test ends.

pub mod node;
pub mod packages;
mod ports;
mod postgres;
pub mod process;
pub mod python;
mod rabbitmq;
mod redis;

pub use ports::free_port;
pub use postgres::Postgres;
pub use process::descendants;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
