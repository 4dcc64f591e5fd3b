//! The bare broker, the skeleton, Voltgate, the Python reference and the embedded form, one after the other on the same
//! machine, repeated for the medians.

use anyhow::Result;

use crate::bare;
use crate::machine::Machine;
use crate::report::{Report, Round};
use crate::scenario::skeleton::skeleton;
use crate::servers::Servers;
use crate::system::python::{Sizes, reference};
use crate::system::voltgate::{Form, embedded, services};
use crate::throughput::{Effort, measure};

/// The worker's default, also used for the bare broker's consumer.
pub const PREFETCH: u16 = 200;
/// More requests would only wait: see bench/reference/README.md.
const IN_FLIGHT_OF_PYTHON: usize = 64;

/// Runs all systems; calls `tell` with the current step.
///
/// # Errors
/// Returns an error if a system does not start.
pub async fn everything(
    servers: &Servers,
    effort: &Effort,
    rounds: usize,
    tell: impl Fn(&str),
) -> Result<Report> {
    let mut done = Vec::new();
    for number in 1..=rounds {
        let tell = |what: &str| tell(&format!("{number} of {rounds}: {what}"));
        tell("bare broker");
        let samples = bare::samples(servers).await?;
        let bare = bare::run(servers, samples.clone(), PREFETCH, effort.measured).await?;
        tell("the skeleton");
        let skeleton = skeleton(servers, samples, PREFETCH, effort).await?;
        tell("Voltgate on RabbitMQ and Redis");
        let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
        let voltgate = measure("Voltgate", &system, Some(servers), effort).await?;
        drop(system);
        tell("the Python reference");
        let system = reference(servers, Sizes::default()).await?;
        // The reference has no endpoint to look up requests; its records are counted instead.
        let of_python =
            Effort { in_flight: IN_FLIGHT_OF_PYTHON.min(effort.in_flight), looked_up: 0, ..*effort };
        let python = measure("Python", &system, Some(servers), &of_python).await?;
        drop(system);
        tell("voltgate up, embedded");
        let directory = tempfile::Builder::new().prefix("voltgate-bench-").tempdir()?;
        let system = embedded(directory.path()).await?;
        let embedded = measure("Voltgate, embedded", &system, None, effort).await?;
        done.push(Round { bare, skeleton, voltgate, python, embedded });
    }
    Ok(Report::of(Machine::this(servers).await, done))
}
