//! Takes each task from its queue to its end: it is received, waits for a slot, runs, and is settled once its outcome
//! is durable. Nothing here depends on `control`, which reads the state that is kept here.

mod canvas;
mod consumers;
mod dead_lettering;
mod errback;
mod in_flight;
mod job;
mod lifecycle;
mod limits;
mod pool;
mod queue_consumer;
mod registry;
mod results;
mod retry;
mod revoked;
mod unacked_delivery;

pub(crate) use canvas::Canvas;
pub(crate) use consumers::{Consumers, TaskQueue};
pub(crate) use in_flight::InFlight;
pub(crate) use job::Job;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use limits::{Limits, Rate};
pub use pool::Autoscale;
pub(crate) use pool::Pool;
pub(crate) use registry::{Registry, Stage};
pub(crate) use results::Results;
pub(crate) use revoked::{RevokedTasks, as_list};
