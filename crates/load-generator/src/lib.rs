//! Load against a running Voltgate, or any system with the same API: requests in open or closed loop, a sink for the
//! callbacks, and an account of every `202`. `bench/README.md` says what is measured and what is not.

mod account;
mod connection;
mod drivers;
mod front_door;
mod generator;
mod latency;
mod plot;
mod records;
mod schedule;
mod sink;

pub use account::{Faults, Outcome};
pub use connection::{Connection, ConnectionError, Origin};
pub use drivers::Drivers;
pub use front_door::FrontDoor;
pub use generator::{Plan, Progress, Session, THREAD as GENERATOR_THREAD};
pub use latency::{Latency, Percentiles};
pub use plot::percentile_curves;
pub use records::{Checked, check_records};
pub use schedule::Pace;
pub use sink::{Sink, THREAD as SINK_THREAD};
