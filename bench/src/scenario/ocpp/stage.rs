//! The servers of a run: what ocpp-gateway needs, and the central systems that are compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use charging::Db;
use load_generator::Drivers;
use simulator::load::Target;
use test_servers::{Postgres, free_port, node, python};

use super::figures::{Book, CPU_OF_ALL, HTTP, Server};
use super::seed;
use super::{PREFIX, SIDE, SIDE_PREFIX, Size};
use crate::cpu::{Part, used};
use crate::servers::Servers;
use crate::system::local;
use crate::system::process::{Program, Ready, Started};
use crate::system::voltgate::{Platform, beside_acl, platform_service, program};
use crate::throughput::{Effort, full_load};

const NODE_PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ocpp-rpc/server.js");
const PYTHON_PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ocpp-py/server.py");
/// From one look at what is still worked on to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Less than this share of a core is idle.
const IDLE: f64 = 0.2;
const QUIET_WITHIN: u32 = 90;

/// What runs for the whole measurement. The order of the fields is that in which they end.
pub(super) struct Stage {
    pub(super) platform: Platform,
    pub(super) acl: Started,
    acl_url: String,
    pub(super) db: Db,
    environment: Vec<(&'static str, String)>,
    /// The folder `node_modules` with npm ocpp-rpc.
    peer: Option<PathBuf>,
    /// The interpreter that has PyPI ocpp, if it is to be measured.
    python: Option<PathBuf>,
    postgres: Postgres,
    servers: Arc<Servers>,
}

/// A central system.
pub(super) struct Central {
    pub(super) server: Server,
    pub(super) authority: String,
    process: Started,
}

impl Stage {
    /// Starts everything but the central systems, and creates the network.
    pub(super) async fn start(servers: Arc<Servers>, size: &Size, say: &dyn Fn(&str)) -> Result<Self> {
        let postgres = Postgres::start(&servers.directory().join("postgres"))?;
        let database = format!("{}/postgres", postgres.url());
        let (acl_port, platform_port) = (free_port()?, free_port()?);
        let acl_url = local(acl_port);
        let environment = vec![
            ("BROKER_URL", servers.emptied("voltgate").await?),
            ("REDIS_URL", servers.redis.url()),
            ("DATABASE_URL", database.clone()),
            ("BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("AUTHORIZATION_SERVICE_PORT", acl_port.to_string()),
            ("AUTHORIZATION_SERVICE_URL", acl_url.clone()),
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned()),
            ("PLATFORM_API_PORT", platform_port.to_string()),
            ("OCPP_ALLOW_OPEN", "true".to_owned()),
        ];
        let path = program("acl-service")?;
        let directory = servers.directory();
        let acl = Program {
            name: "acl-service",
            path: &path,
            arguments: &[],
            environment: &environment,
            directory,
        };
        let acl = Started::start(&acl, &Ready::Url(format!("{acl_url}/readyz"))).await?;
        let platform = platform_service(directory, &environment).await?;
        let db = Db::connect(&database, 4, Duration::from_secs(30)).await?;
        let peer = match tokio::task::spawn_blocking(node::modules).await? {
            Ok(modules) => Some(modules),
            Err(error) => {
                say(&format!("npm ocpp-rpc is left out: {error:#}"));
                None
            }
        };
        let python = match size.python {
            true => Some(tokio::task::spawn_blocking(python::environment).await??.python),
            false => None,
        };
        say(&format!("a network of {} chargers", size.sockets));
        let stations = seed::network(&db, PREFIX, size.sockets).await?;
        seed::network(&db, SIDE_PREFIX, SIDE).await?;
        let admitted = stations.get(..size.admitted()).context("too few stations")?;
        seed::tags(&db, &acl_url, admitted).await?;
        Ok(Self { platform, acl, acl_url, db, environment, peer, python, postgres, servers })
    }

    /// The central systems that can be measured.
    pub(super) fn comparable(&self) -> Vec<Server> {
        let peer = self.peer.as_ref().map(|_| Server::OcppRpc);
        let python = self.python.as_ref().map(|_| Server::OcppPy);
        [Some(Server::Voltgate), Some(Server::Ceiling), peer, python].into_iter().flatten().collect()
    }

    /// Starts a central system in a process of its own.
    pub(super) async fn central(&self, server: Server) -> Result<Central> {
        let (port, directory) = (free_port()?, self.servers.directory());
        let (text, mut environment) = (port.to_string(), Vec::new());
        let (path, arguments) = match server {
            Server::Voltgate => {
                environment.clone_from(&self.environment);
                environment.push(("OCPP_PORT", text));
                (program("ocpp-gateway")?, Vec::new())
            }
            Server::Ceiling => (program("ocpp-ceiling")?, vec![text.as_str()]),
            Server::OcppRpc => {
                let modules = self.peer.as_ref().context("ocpp-rpc is not installed")?;
                environment.push(("NODE_PATH", modules.display().to_string()));
                (node::program()?, vec![NODE_PEER, text.as_str()])
            }
            Server::OcppPy => {
                let python = self.python.clone().context("PyPI ocpp was not asked for")?;
                (python, vec![PYTHON_PEER, text.as_str()])
            }
        };
        let program = Program {
            name: server.name(),
            path: &path,
            arguments: &arguments,
            environment: &environment,
            directory,
        };
        let process = Started::start(&program, &Ready::Url(format!("{}/readyz", local(port)))).await?;
        Ok(Central { server, authority: format!("127.0.0.1:{port}"), process })
    }

    /// Everything that spends CPU time on a call; the central system itself comes first.
    pub(super) fn parts(&self, central: &Central) -> Vec<(String, Part)> {
        let own = (central.server.name().to_owned(), Part::Process(central.id()));
        match central.server {
            Server::Voltgate => std::iter::once(own).chain(self.others()).collect(),
            _ => vec![own],
        }
    }

    fn others(&self) -> Vec<(String, Part)> {
        let parts = [
            ("acl-service", Part::Process(self.acl.id())),
            ("platform-api", Part::Process(self.platform.process())),
            ("PostgreSQL", Part::Named("postgres")),
            ("Redis", Part::Named("redis-server")),
            ("RabbitMQ", Part::Named("beam.smp")),
        ];
        parts.map(|(name, part)| (name.to_owned(), part)).into()
    }

    /// Waits until what was ordered is done, so that the next measurement does not pay for it.
    pub(super) async fn quiet(&self) {
        let parts = self.others();
        let sum = || used(&parts).values().sum::<Duration>();
        let mut before = sum();
        for _ in 0..QUIET_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = sum();
            if now.saturating_sub(before).as_secs_f64() < IDLE * LOOK_EVERY.as_secs_f64() {
                return;
            }
            before = now;
        }
    }

    /// What the same decision costs that is asked for by HTTP, with its callback.
    pub(super) async fn by_http(&self, effort: &Effort, book: &mut Book) -> Result<()> {
        let system = beside_acl(&self.servers, &self.environment, &self.acl_url).await?;
        let mut parts = system.parts();
        parts.push(("acl-service".to_owned(), Part::Process(self.acl.id())));
        let session = system.session(Drivers::default(), 1).await?;
        let (_, load, _) = full_load(&parts, session, effort).await?;
        if !load.faults.is_none() {
            book.faults.push(format!("{HTTP}: {}", load.faults));
        }
        let ours = load.cpu_us.iter().filter(|(name, _)| !matches!(&***name, "generator" | "sink"));
        book.note((HTTP, CPU_OF_ALL), Server::Voltgate, ours.map(|(_, us)| us).sum());
        Ok(())
    }

    /// A directory on the disk that the database writes to.
    pub(super) fn directory(&self) -> &Path {
        self.servers.directory()
    }

    /// Ends the connections before the database.
    pub(super) async fn end(self) {
        self.db.close().await;
        drop(self.platform);
        drop(self.postgres);
    }
}

impl Central {
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The load client's target: chargers of the network, with this tag.
    pub(super) fn target(&self, chargers: u32, tag: &str, size: &Size) -> Result<Target> {
        Ok(Target {
            url: format!("ws://{}/ocpp", self.authority).parse()?,
            prefix: PREFIX.to_owned(),
            chargers,
            sources: size.sources,
            password: None,
            tls: None,
            rate: Some(size.rate),
            tag: tag.to_owned(),
            pid: Some(self.id()),
        })
    }
}
