//! The platform on the broker: the exchange of its events, and the queue of its tasks.
#![warn(missing_docs)]

pub mod events;
pub mod tasks;

pub use events::{EVENTS_EXCHANGE, EventPublisher};
pub use tasks::{PlatformQueue, QUEUE};
