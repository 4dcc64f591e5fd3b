//! A RabbitMQ broker with its management API, and the Erlang port mapper (epmd) that it needs.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::ports::free_port;
use crate::process::{Process, wait_until};

const READY_WITHIN: Duration = Duration::from_secs(60);
const EPMD_READY_WITHIN: Duration = Duration::from_secs(10);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const REGISTERED_WITHIN: Duration = Duration::from_secs(5);
const AMQP_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
const CREDENTIALS: &str = "Host: localhost\r\nConnection: close\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";

/// A RabbitMQ broker of one's own. Dropping it kills it; the directory is the caller's to remove.
#[derive(Debug)]
pub struct RabbitMq {
    dir: PathBuf,
    ports: Ports,
    // Declared before epmd, so that it is dropped first.
    broker: Option<Process>,
    epmd: Option<Process>,
}

#[derive(Debug)]
struct Ports {
    amqp: u16,
    api: u16,
    distribution: u16,
    epmd: u16,
}

impl RabbitMq {
    /// Starts a broker on free ports of 127.0.0.1 and waits until it takes connections. Its only user is `guest`, with
    /// the password `guest`. All it writes is below `dir`, with the logs in `log` and what may be big in `data`.
    ///
    /// # Errors
    /// RabbitMQ is not installed or does not start; the message has the end of its log.
    pub fn start(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir)?;
        let ports =
            Ports { amqp: free_port()?, api: free_port()?, distribution: free_port()?, epmd: free_port()? };
        write_settings(&dir, &ports).with_context(|| format!("cannot write below {}", dir.display()))?;
        let mut rabbitmq = Self { dir, ports, broker: None, epmd: None };
        rabbitmq.start_again()?;
        Ok(rabbitmq)
    }

    /// `amqp://guest:guest@127.0.0.1:PORT`, without a vhost.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.ports.amqp)
    }

    /// `http://guest:guest@127.0.0.1:PORT`, below which `/api/` is.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.ports.api)
    }

    /// Starts it with the same ports and data after [`RabbitMq::kill`] or [`RabbitMq::stop`], and waits until it takes
    /// connections.
    ///
    /// # Errors
    /// It still runs, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if self.broker.is_some() {
            bail!("RabbitMQ still runs at {}: kill or stop it first", self.amqp_url());
        }
        if self.epmd.is_none() {
            self.epmd = Some(self.start_epmd().context("epmd does not start")?);
        }
        let mut broker = self.start_broker()?;
        let Ports { amqp, api, .. } = self.ports;
        broker
            .wait_ready(READY_WITHIN, || api_answers(api) && amqp_answers(amqp))
            .context("RabbitMQ does not start")?;
        self.broker = Some(broker);
        Ok(())
    }

    /// SIGKILL to the broker and all it started; what was confirmed is still there after [`RabbitMq::start_again`],
    /// for which its latest declarations are waited for to be written, unless it is paused.
    ///
    /// # Errors
    /// It does not run, or does not vanish.
    pub fn kill(&mut self) -> Result<()> {
        let broker = self.take_running()?;
        flush_declarations(self.ports.api);
        self.wait_for_registrations();
        broker.kill().context("cannot kill RabbitMQ")
    }

    /// Lets it end in good order, which takes a few seconds.
    ///
    /// # Errors
    /// It does not run, or had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        let stopped = self.take_running()?.stop().context("cannot stop RabbitMQ");
        self.epmd = None;
        stopped
    }

    /// Makes it stand still, with its connections open, until [`RabbitMq::resume`].
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.running()?.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.running()?.resume()
    }

    /// Raises the memory alarm, or ends it: while it lasts the broker reads nothing from connections that have published.
    ///
    /// # Errors
    /// It does not run, or `rabbitmqctl` fails.
    pub fn alarm(&self, raised: bool) -> Result<()> {
        self.running()?;
        let script = packages::rabbitmq_server()?.with_file_name("rabbitmqctl");
        let mut command = Command::new(script);
        command.env_clear().env("PATH", packages::search_path()).env("HOME", &self.dir);
        command.env("LC_ALL", "C.UTF-8");
        self.node_environment(&mut command);
        command.args(["set_vm_memory_high_watermark", if raised { "0.0000001" } else { "0.9" }]);
        let output = command.output().context("cannot run rabbitmqctl")?;
        if !output.status.success() {
            bail!("rabbitmqctl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The registry of quorum queues is a file of Erlang's dets, which writes up to three seconds late. A queue of RabbitMQ
    /// 3.10 that is missing in it after a kill is started again without ever electing a leader: nobody can use it, and
    /// nobody is told. A broker that is paused does not answer and is not waited for.
    fn wait_for_registrations(&self) {
        let node = self.node();
        let registry = self.dir.join("data").join(&node).join("quorum").join(&node).join("names.dets");
        wait_until(REGISTERED_WITHIN, || {
            let queues = quorum_queues(self.ports.api).unwrap_or_default();
            let registry = fs::read(&registry).unwrap_or_default();
            queues.iter().all(|queue| holds_atom(&registry, queue))
        });
    }

    /// An address instead of a name, so that nothing depends on how names are resolved here.
    fn node(&self) -> String {
        format!("test-{}@127.0.0.1", self.ports.amqp)
    }

    fn running(&self) -> Result<&Process> {
        self.broker.as_ref().context("RabbitMQ does not run: call start_again first")
    }

    fn take_running(&mut self) -> Result<Process> {
        self.broker.take().context("RabbitMQ does not run: call start_again first")
    }

    /// Left to itself, Erlang starts one as a daemon, which nobody ever stops.
    fn start_epmd(&self) -> Result<Process> {
        let port = self.ports.epmd;
        let mut command = Process::command(packages::program("epmd")?, &packages::search_path(), &self.dir);
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
        let mut epmd = Process::start(command, &self.dir.join("log/epmd.log"))?;
        epmd.wait_ready(EPMD_READY_WITHIN, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        Ok(epmd)
    }

    fn start_broker(&self) -> Result<Process> {
        let program = packages::rabbitmq_server()?;
        let mut command = Process::command(program, &packages::search_path(), &self.dir);
        for (name, below) in [
            ("ERL_CRASH_DUMP", "log/erl_crash.dump"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "etc/advanced.config"),
            ("RABBITMQ_CONFIG_FILE", "etc/rabbitmq.conf"),
            ("RABBITMQ_CONFIG_FILES", "etc/conf.d"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "etc/enabled_plugins"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "data/config"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_SCHEMA_DIR", "data/schema"),
        ] {
            command.env(name, self.dir.join(below));
        }
        self.node_environment(&mut command);
        command
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("ERL_FLAGS", "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}")
            .env("RABBITMQ_LOGS", "-")
            // Makes the script become the Erlang machine instead of waiting for it, so that what we signal is the broker.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        Process::start(command, &self.dir.join("log/rabbitmq.log"))
    }

    /// What names the node, for itself and for the tools that speak to it.
    fn node_environment(&self, command: &mut Command) {
        command
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", self.node())
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string());
    }
}

/// Only what RabbitMQ 3.10 knows as well as 4: an unknown name keeps it from starting.
fn write_settings(dir: &Path, ports: &Ports) -> Result<()> {
    for needed in ["etc/conf.d", "data", "log"] {
        fs::create_dir_all(dir.join(needed))?;
    }
    let Ports { amqp, api, .. } = ports;
    // A full disk of a build machine must not make the broker block its publishers. The interval is that of the numbers
    // in the management API, for which 5 seconds, the usual ones, would be long in a test.
    let settings = format!(
        "listeners.tcp.local = 127.0.0.1:{amqp}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {api}\n\
         disk_free_limit.absolute = 50MB\n\
         collect_statistics_interval = 1000\n\
         management.sample_retention_policies.global.minute = 1\n\
         management.sample_retention_policies.basic.minute = 1\n\
         management.sample_retention_policies.detailed.minute = 1\n"
    );
    fs::write(dir.join("etc/rabbitmq.conf"), settings)?;
    // How long a message stays where it expired if the queue it was sent on to did not answer, which happens while a broker
    // that was killed is starting its queues. Three minutes, the usual ones, are longer than a test waits.
    let advanced = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n";
    fs::write(dir.join("etc/advanced.config"), advanced)?;
    fs::write(dir.join("etc/enabled_plugins"), "[rabbitmq_management].\n")?;
    Ok(())
}

/// Whether the broker answers the protocol header with `connection.start`, a method frame.
fn amqp_answers(port: u16) -> bool {
    exchange(port, AMQP_HEADER, 1).is_ok_and(|answer| answer == [1])
}

fn api_answers(port: u16) -> bool {
    let request = format!("GET /api/whoami HTTP/1.1\r\n{CREDENTIALS}\r\n");
    exchange(port, request.as_bytes(), 12).is_ok_and(|answer| answer == b"HTTP/1.1 200")
}

/// RabbitMQ's database Mnesia logs a declaration, says yes, and only then logs that it is committed; killed in between, it
/// drops it: of durable queues declared immediately before a kill of RabbitMQ 3.10, one in twenty was gone, and its
/// messages with it. Another change makes it write that. It does no harm where the database is Khepri.
fn flush_declarations(port: u16) {
    let change = r#"{"value":"flushed"}"#;
    let length = change.len();
    let request = format!(
        "PUT /api/global-parameters/test-servers HTTP/1.1\r\n{CREDENTIALS}Content-Length: {length}\r\n\r\n{change}"
    );
    // A broker that is paused cannot do it and dies all the same.
    let _ = exchange(port, request.as_bytes(), 12);
}

/// What Ra calls each of them: vhost and name.
fn quorum_queues(port: u16) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN)).ok()?;
    // HTTP 1.0, so that the answer comes in one piece and ends with the connection.
    write!(stream, "GET /api/queues?columns=vhost,name,type HTTP/1.0\r\n{CREDENTIALS}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let queues: Vec<serde_json::Value> = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let quorum = queues.iter().filter(|queue| queue["type"] == "quorum");
    let named = quorum.map(|queue| {
        let vhost = queue["vhost"].as_str()?.replace('/', "%2F");
        Some(format!("{vhost}_{}", queue["name"].as_str()?))
    });
    named.collect()
}

/// In Erlang's external term format the length of an atom stands before its characters.
fn holds_atom(terms: &[u8], atom: &str) -> bool {
    let Ok(length) = u8::try_from(atom.len()) else { return true };
    let encoded = [&[length], atom.as_bytes()].concat();
    terms.windows(encoded.len()).any(|window| window == encoded)
}

fn exchange(port: u16, request: &[u8], answer_length: usize) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.write_all(request)?;
    let mut answer = vec![0; answer_length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
