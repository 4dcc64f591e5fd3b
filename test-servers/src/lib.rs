//! Private RabbitMQ and Redis servers for tests, on ports of their own, from the programs that the system has.
//!
//! Nothing of the system's own servers is used or touched, and nothing stays behind, however a test ends.

pub mod packages;
mod ports;
pub mod process;
pub mod python;
mod rabbitmq;
mod redis;

pub use ports::free_port;
pub use process::descendants;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
