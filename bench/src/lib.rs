//! What `make bench` measures: Voltgate, the Python reference and the bare broker on the same RabbitMQ and Redis, in one run
//! on the same cores, and what comes out of it as ratios. How to read it is in `bench/README.md`.

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
