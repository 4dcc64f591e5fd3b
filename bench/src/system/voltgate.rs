//! Voltgate: its three services as processes, or all of it in one process with files instead of servers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::api_key::ApiKey;
use serde_json::Value;
use test_servers::free_port;

use super::process::{Program, Ready, Started};
use super::{System, local};
use crate::servers::Servers;

/// The processes to start, and the settings that differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Additional settings for every service.
    pub settings: Vec<(&'static str, String)>,
    /// Number of workers; 0 lets the requests wait.
    pub workers: usize,
    /// The URL through which workers reach acl-service, if not directly.
    pub acl_link: Option<String>,
}

/// Starts public-api, acl-service and workers on these servers, which are emptied first.
///
/// # Errors
/// Returns an error if one of them is not built or does not start.
pub async fn services(servers: &Servers, form: &Form) -> Result<System> {
    let broker = servers.emptied("voltgate").await?;
    let (api_port, acl_port) = (free_port()?, free_port()?);
    let (api, acl) = (local(api_port), local(acl_port));
    let acl_for_workers = form.acl_link.clone().unwrap_or_else(|| acl.clone());
    let mut environment = vec![
        ("BROKER_URL", broker),
        ("REDIS_URL", servers.redis.url()),
        ("BIND_ADDRESS", "127.0.0.1".to_owned()),
        ("PUBLIC_API_PORT", api_port.to_string()),
        ("AUTHORIZATION_SERVICE_PORT", acl_port.to_string()),
        ("AUTHORIZATION_SERVICE_URL", acl_for_workers),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned()),
    ];
    environment.extend(form.settings.clone());
    let mut system = System::at(api.clone(), acl.clone(), true);
    system.environment = environment.clone();
    for (name, url) in [("acl-service", &acl), ("public-api", &api)] {
        let (path, directory) = (program(name)?, servers.directory());
        let program = Program { name, path: &path, arguments: &[], environment: &environment, directory };
        system.processes.push(Started::start(&program, &Ready::Url(format!("{url}/readyz"))).await?);
    }
    for _ in 0..form.workers {
        system.start_worker(servers).await?;
    }
    Ok(system)
}

/// Starts public-api and a worker beside an acl-service that runs. The environment is that of all of them.
///
/// # Errors
/// Returns an error if one of them is not built or does not start.
pub(crate) async fn beside_acl(
    servers: &Servers,
    environment: &[(&'static str, String)],
    acl: &str,
) -> Result<System> {
    let (port, directory) = (free_port()?, servers.directory());
    let mut system = System::at(local(port), acl.to_owned(), true);
    system.environment = environment.to_vec();
    system.environment.push(("PUBLIC_API_PORT", port.to_string()));
    let path = program("public-api")?;
    let environment = &system.environment;
    let api = Program { name: "public-api", path: &path, arguments: &[], environment, directory };
    let ready = Ready::Url(format!("{}/readyz", system.api));
    system.processes.push(Started::start(&api, &ready).await?);
    system.start_worker(servers).await?;
    Ok(system)
}

/// Starts `voltgate up` with its queue and its store in this directory.
///
/// # Errors
/// Returns an error if it is not built or does not start.
pub async fn embedded(directory: &Path) -> Result<System> {
    let (api_port, acl_port) = (free_port()?, free_port()?);
    let (api, acl) = (local(api_port), local(acl_port));
    let environment = [
        ("PUBLIC_API_PORT", api_port.to_string()),
        ("AUTHORIZATION_SERVICE_PORT", acl_port.to_string()),
        ("PLATFORM_API_PORT", "0".to_owned()),
        ("OCPP_PORT", "0".to_owned()),
    ];
    let data = directory.join("data").display().to_string();
    let arguments = ["up", "--data", &data];
    let path = program("voltgate")?;
    let program = Program {
        name: "voltgate up",
        path: &path,
        arguments: &arguments,
        environment: &environment,
        directory,
    };
    let started = Started::start(&program, &Ready::Url(format!("{api}/readyz"))).await?;
    Ok(System { processes: vec![started], ..System::at(api, acl, false) })
}

/// `voltgate up` with the charging platform, and how to call it.
#[derive(Debug)]
pub struct Platform {
    /// The URL of platform-api.
    pub url: String,
    /// A key that may do everything.
    pub key: String,
    /// The environment of commands that work on the same database.
    pub environment: Vec<(&'static str, String)>,
    http: reqwest::Client,
    process: Started,
}

/// Starts `voltgate up` with its queue and its store in this directory, and with this database, or one in the same directory.
///
/// # Errors
/// Returns an error if it is not built or does not start.
pub async fn platform(directory: &Path, database: Option<String>) -> Result<Platform> {
    let (port, key) = (free_port()?, ApiKey::generate()?.reveal());
    let embedded = format!("embedded:{}", directory.join("data").display());
    let environment = vec![
        ("BROKER_URL", embedded.clone()),
        ("REDIS_URL", embedded.clone()),
        ("DATABASE_URL", database.unwrap_or(embedded)),
        ("PUBLIC_API_PORT", "0".to_owned()),
        ("AUTHORIZATION_SERVICE_PORT", "0".to_owned()),
        ("PLATFORM_API_PORT", port.to_string()),
        ("API_KEY_BOOTSTRAP", key.clone()),
    ];
    let path = program("voltgate")?;
    let program = Program {
        name: "voltgate up",
        path: &path,
        arguments: &["up"],
        environment: &environment,
        directory,
    };
    Platform::start(&program, local(port), key).await
}

/// Starts platform-api alone; the environment names its port and its servers.
///
/// # Errors
/// Returns an error if it is not built or does not start.
pub(crate) async fn platform_service(
    directory: &Path,
    environment: &[(&'static str, String)],
) -> Result<Platform> {
    let port = environment.iter().find(|(name, _)| *name == "PLATFORM_API_PORT");
    let port = port.context("the port of platform-api is not set")?.1.parse()?;
    let key = ApiKey::generate()?.reveal();
    let environment = [environment, &[("API_KEY_BOOTSTRAP", key.clone())]].concat();
    let path = program("platform-api")?;
    let program =
        Program { name: "platform-api", path: &path, arguments: &[], environment: &environment, directory };
    Platform::start(&program, local(port), key).await
}

impl Platform {
    async fn start(program: &Program<'_>, url: String, key: String) -> Result<Self> {
        let process = Started::start(program, &Ready::Url(format!("{url}/readyz"))).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { url, key, environment: program.environment.to_vec(), http, process })
    }

    /// The host and the port of platform-api.
    pub(crate) fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The process id.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// The JSON at a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send("GET", path, None, &Value::Null).await?.0)
    }

    /// Sends a request with the key; returns the JSON of the answer and its ETag.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Result<(Value, Option<String>)> {
        let url = format!("{}/api/v1/{path}", self.url);
        let mut request = self.http.request(method.parse()?, url).header("x-api-key", &self.key);
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let etag = answer.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let shown: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {shown}");
        }
        Ok((shown, etag))
    }
}

impl System {
    /// Starts one more worker.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub async fn start_worker(&mut self, servers: &Servers) -> Result<()> {
        let number = self.processes.iter().filter(|process| process.name.starts_with("worker")).count() + 1;
        let health = free_port()?;
        let name = if number == 1 { "worker".to_owned() } else { format!("worker {number}") };
        let mut environment = self.environment.clone();
        environment.push(("WORKER_HEALTH_PORT", health.to_string()));
        environment.push(("WORKER_HOSTNAME", format!("celery@bench-{number}")));
        let (path, directory) = (program("worker")?, servers.directory());
        let program =
            Program { name: &name, path: &path, arguments: &[], environment: &environment, directory };
        self.processes
            .push(Started::start(&program, &Ready::Url(format!("{}/readyz", local(health)))).await?);
        Ok(())
    }
}

/// The path of one of our programs, built next to this one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    let built = beside.exists().then_some(beside);
    built.with_context(|| format!("{name} is not built beside this program: run `make bench`"))
}
