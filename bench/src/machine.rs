//! The machine on which the figures were measured.

use std::process::Command;

use serde::Serialize;

use crate::servers::Servers;

/// The machine and the software of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The CPU, as the kernel names it.
    pub cpu: String,
    /// Number of cores that the run could use.
    pub cores: usize,
    /// The kernel release.
    pub kernel: String,
    /// The version of RabbitMQ.
    pub rabbitmq: String,
    /// The version of Erlang.
    pub erlang: String,
    /// The version of Redis.
    pub redis: String,
    /// The version of Python.
    pub python: String,
    /// The Cargo profile of this build, found in the name of its directory; `dist` is the one that is released.
    pub build: String,
}

impl Machine {
    /// Describes this machine. What cannot be determined is `unknown`.
    pub async fn this(servers: &Servers) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let broker = servers.broker_overview().await.unwrap_or_default();
        let text = |name: &str| broker[name].as_str().unwrap_or("unknown").to_owned();
        Self {
            cpu: cpu.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
            rabbitmq: text("rabbitmq_version"),
            erlang: text("erlang_version"),
            redis: version("redis-server", "v=").unwrap_or_else(|| "unknown".to_owned()),
            python: version("python3", "Python ").unwrap_or_else(|| "unknown".to_owned()),
            build: profile().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, kernel, rabbitmq, erlang, redis, python, build } = self;
        write!(
            f,
            "{cpu}, {cores} cores, Linux {kernel}, RabbitMQ {rabbitmq} on Erlang {erlang}, Redis {redis}, \
             Python {python}, built with the profile `{build}`"
        )
    }
}

fn profile() -> Option<String> {
    Some(std::env::current_exe().ok()?.parent()?.file_name()?.to_str()?.to_owned())
}

fn version(program: &str, after: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.split_once(after)?.1.split_whitespace().next()?.to_owned())
}
