//! What every HTTP service of ours has: refusals as problem+json, bounded bodies, and a server that drains when it stops.

pub mod body;
pub mod observation;
pub mod problem;
mod route;
pub mod server;

pub use problem::Problem;
