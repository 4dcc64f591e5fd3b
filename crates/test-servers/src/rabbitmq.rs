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

/// A private RabbitMQ broker. Dropping it kills it; the caller removes the directory.
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
    /// Starts a broker on free ports of 127.0.0.1 and waits until it accepts connections. Its only
    /// user is `guest`, with the password `guest`. Everything it writes is below `dir`: logs in `log`,
    /// files that may grow large in `data`.
    ///
    /// # Errors
    /// Returns an error if RabbitMQ is not installed or does not start; the message contains the end of its log.
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

    /// `http://guest:guest@127.0.0.1:PORT`; the API is below `/api/`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.ports.api)
    }

    /// Starts it with the same ports and data after [`RabbitMq::kill`] or [`RabbitMq::stop`], and
    /// waits until it accepts connections.
    ///
    /// # Errors
    /// Returns an error if it is still running, or does not start.
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

    /// Sends SIGKILL to the broker and all processes that it started. Confirmed messages are still
    /// there after [`RabbitMq::start_again`]: unless the broker is paused, this first waits until its
    /// latest declarations are written.
    ///
    /// # Errors
    /// Returns an error if it is not running, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        let broker = self.take_running()?;
        flush_declarations(self.ports.api);
        self.wait_for_registrations();
        broker.kill().context("cannot kill RabbitMQ")
    }

    /// Shuts it down in order, which takes a few seconds.
    ///
    /// # Errors
    /// Returns an error if it is not running, or had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        let stopped = self.take_running()?.stop().context("cannot stop RabbitMQ");
        self.epmd = None;
        stopped
    }

    /// Pauses it, with its connections open, until [`RabbitMq::resume`].
    ///
    /// # Errors
    /// Returns an error if it is not running.
    pub fn pause(&self) -> Result<()> {
        self.running()?.pause()
    }

    /// Resumes it.
    ///
    /// # Errors
    /// Returns an error if it is not running.
    pub fn resume(&self) -> Result<()> {
        self.running()?.resume()
    }

    /// Raises or clears the memory alarm. While it lasts, the broker reads nothing from
    /// connections that have published.
    ///
    /// # Errors
    /// Returns an error if it is not running, or if `rabbitmqctl` fails.
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

    /// The registry of quorum queues is a file of Erlang's dets, which is written up to three seconds late. If RabbitMQ
    /// 3.10 is killed before, it restarts a queue missing from that file without ever electing a leader: no client can
    /// use the queue, and none gets an error. A paused broker does not answer and is not waited for.
    fn wait_for_registrations(&self) {
        let node = self.node();
        let registry = self.dir.join("data").join(&node).join("quorum").join(&node).join("names.dets");
        wait_until(REGISTERED_WITHIN, || {
            let queues = quorum_queues(self.ports.api).unwrap_or_default();
            let registry = fs::read(&registry).unwrap_or_default();
            queues.iter().all(|queue| holds_atom(&registry, queue))
        });
    }

    /// An address instead of a name, so that it does not depend on name resolution.
    fn node(&self) -> String {
        format!("test-{}@127.0.0.1", self.ports.amqp)
    }

    fn running(&self) -> Result<&Process> {
        self.broker.as_ref().context("RabbitMQ does not run: call start_again first")
    }

    fn take_running(&mut self) -> Result<Process> {
        self.broker.take().context("RabbitMQ does not run: call start_again first")
    }

    /// Otherwise Erlang starts one as a daemon that never stops.
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
            // Makes the script exec the Erlang machine instead of waiting for it, so that our signals reach the broker.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        Process::start(command, &self.dir.join("log/rabbitmq.log"))
    }

    /// The environment that names the node, for the broker and for the tools that connect to it.
    fn node_environment(&self, command: &mut Command) {
        command
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", self.node())
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string());
    }
}

/// Only settings that both RabbitMQ 3.10 and 4 know: an unknown name prevents the start.
fn write_settings(dir: &Path, ports: &Ports) -> Result<()> {
    for needed in ["etc/conf.d", "data", "log"] {
        fs::create_dir_all(dir.join(needed))?;
    }
    let Ports { amqp, api, .. } = ports;
    // A full disk of a build machine must not make the broker block its publishers. The interval is that of the
    // statistics in the management API; its default of 5 seconds would be long in a test.
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
    // How long a message stays where it expired if the queue it was dead-lettered to did not answer. That happens while
    // a killed broker starts its queues. The default of three minutes is longer than a test waits.
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

/// RabbitMQ's database Mnesia logs a declaration, confirms it, and only then logs that it is committed. Killed in
/// between, it drops the declaration: of durable queues declared immediately before a kill of RabbitMQ 3.10, one in
/// twenty was gone, and its messages with it. Another change forces the commit to be written. With Khepri as the
/// database it does no harm.
fn flush_declarations(port: u16) {
    let change = r#"{"value":"flushed"}"#;
    let length = change.len();
    let request = format!(
        "PUT /api/global-parameters/test-servers HTTP/1.1\r\n{CREDENTIALS}Content-Length: {length}\r\n\r\n{change}"
    );
    // A paused broker cannot answer, and is killed all the same.
    let _ = exchange(port, request.as_bytes(), 12);
}

/// Ra's name for each of them, made of vhost and queue name.
fn quorum_queues(port: u16) -> Option<Vec<String>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN)).ok()?;
    // HTTP 1.0, so that the answer is not chunked and ends with the connection.
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

/// In Erlang's external term format the length of an atom precedes its characters.
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
