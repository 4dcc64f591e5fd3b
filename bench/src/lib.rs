//! The measurements of `make bench`: Voltgate, the Python reference and the bare broker on the same RabbitMQ and Redis,
//! in one run on the same cores, with the results as ratios. `bench/README.md` explains how to read them.

pub mod bare;
pub mod cpu;
pub mod delay;
pub mod hot_pieces;
pub mod machine;
pub mod report;
pub mod scenario;
pub mod servers;
pub mod system;
pub mod throughput;
