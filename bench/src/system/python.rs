//! The Python reference: `bench/reference/`, under gunicorn and Celery's prefork pool. Its README explains the sizes.

use std::path::Path;

use anyhow::{Context, Result};
use test_servers::{free_port, python};

use super::process::{Program, Ready, Started};
use super::{System, local};
use crate::servers::Servers;

const REQUIREMENTS: &str = include_str!("../../reference/requirements.txt");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference");

/// Number of processes and threads.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// gunicorn's processes, for the API and for the access lists each.
    pub processes: u16,
    /// Threads in each of them.
    pub threads: u16,
    /// Processes in Celery's pool.
    pub pool: u16,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { processes: 2, threads: 8, pool: 8 }
    }
}

/// Starts it on these servers, which are emptied first. The first start downloads its packages from PyPI.
///
/// # Errors
/// Returns an error if its environment cannot be created, or if it does not start.
pub async fn reference(servers: &Servers, sizes: Sizes) -> Result<System> {
    let made = tokio::task::spawn_blocking(|| python::environment_of("bench-venv", REQUIREMENTS)).await?;
    let python = made.context("cannot make the reference's Python environment")?.python;
    let (api_port, acl_port) = (free_port()?, free_port()?);
    let (api, acl) = (local(api_port), local(acl_port));
    let directory = servers.directory();
    let ready_file = directory.join("celery-is-ready");
    // Left by an earlier run.
    let _ = std::fs::remove_file(&ready_file);
    let environment = [
        ("BROKER_URL", servers.emptied("python").await?),
        ("REDIS_URL", servers.redis.url()),
        ("AUTHORIZATION_SERVICE_URL", acl.clone()),
        ("PYTHONPATH", SOURCES.to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("READY_FILE", ready_file.display().to_string()),
    ];
    let start = async |name: &str, arguments: &[&str], ready: &Ready<'_>| {
        let program = Program { name, path: &python, arguments, environment: &environment, directory };
        Started::start(&program, ready).await
    };
    let (processes, threads) = (sizes.processes.to_string(), sizes.threads.to_string());
    let gunicorn = async |name: &str, app: &str, port: u16| {
        let bind = format!("127.0.0.1:{port}");
        let arguments = ["-m", "gunicorn", "--workers", &processes, "--worker-class", "gthread"];
        let more =
            ["--threads", &threads, "--keep-alive", "75", "--bind", &bind, "--log-level", "warning", app];
        start(name, &[&arguments[..], &more].concat(), &Ready::Url(format!("{}/readyz", local(port)))).await
    };
    let pool = sizes.pool.to_string();
    let celery = ["-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "--concurrency", &pool];
    let quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"];
    let processes = vec![
        gunicorn("python acl", "acl:app", acl_port).await?,
        gunicorn("python api", "api:app", api_port).await?,
        start("celery worker", &[&celery[..], &quiet].concat(), &Ready::File(Path::new(&ready_file))).await?,
    ];
    Ok(System { processes, ..System::at(api, acl, true) })
}
