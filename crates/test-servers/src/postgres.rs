//! A PostgreSQL server that writes to disk before it confirms a commit.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use crate::packages;
use crate::ports::free_port;
use crate::process::{Process, QUITS_WITHIN};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// The user of Debian's package. PostgreSQL refuses to run as root.
const UNPRIVILEGED: &str = "postgres";
/// A start-up message of protocol 3.0: user and database `postgres`.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

/// A private PostgreSQL server. Dropping it ends it; the caller removes the directory.
#[derive(Debug)]
pub struct Postgres {
    data: PathBuf,
    log: PathBuf,
    port: u16,
    server: Option<Process>,
}

impl Postgres {
    /// Creates a cluster, starts it on a free port of 127.0.0.1 and waits until it accepts connections. Its only user is
    /// `postgres`, without a password. Everything it writes is below `dir`: logs in `log`, the cluster in `data`, which
    /// belongs to the system's user `postgres` if root calls this.
    ///
    /// # Errors
    /// Returns an error if PostgreSQL is not installed or does not start; the message contains the end of its log.
    pub fn start(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir)?;
        let (data, log) = (dir.join("data"), dir.join("log"));
        for needed in [&data, &log] {
            fs::create_dir_all(needed).with_context(|| format!("cannot create {}", needed.display()))?;
        }
        if Uid::effective().is_root() {
            let user = User::from_name(UNPRIVILEGED)?.with_context(|| {
                format!("PostgreSQL does not run as root, and there is no user {UNPRIVILEGED}")
            })?;
            chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .context("cannot change the owner of the cluster")?;
        }
        let mut postgres = Self { data, log, port: free_port()?, server: None };
        postgres.create_cluster()?;
        postgres.start_again()?;
        Ok(postgres)
    }

    /// `postgres://postgres@127.0.0.1:PORT`, without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Starts it with the same port and data after [`Postgres::kill`] or [`Postgres::stop`], and waits until it accepts
    /// connections.
    ///
    /// # Errors
    /// Returns an error if it is still running, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if self.server.is_some() {
            bail!("PostgreSQL still runs at {}: kill or stop it first", self.url());
        }
        let [program, arguments @ ..] = &unprivileged("postgres")?[..] else { bail!("no command") };
        let mut command = Process::command(program, &packages::search_path(), &self.data);
        command.args(arguments).arg("-D").arg(&self.data).env(QUITS_WITHIN, "1");
        let port = format!("port={}", self.port);
        for option in [
            &port,
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=on",
            "synchronous_commit=on",
            // In the cluster, because a killed server leaves it behind.
            "dynamic_shared_memory_type=mmap",
            "max_connections=300",
            "logging_collector=off",
            "log_destination=stderr",
        ] {
            command.args(["-c", option]);
        }
        let mut server = Process::start(command, &self.log.join("postgres.log"))?;
        server.wait_ready(READY_WITHIN, || answers(self.port)).context("PostgreSQL does not start")?;
        self.server = Some(server);
        Ok(())
    }

    /// Sends SIGKILL to it and to all its processes. Confirmed commits are still there after [`Postgres::start_again`].
    ///
    /// # Errors
    /// Returns an error if it is not running, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        self.take_running()?.kill().context("cannot kill PostgreSQL")
    }

    /// Shuts it down in order, without waiting for its clients to leave.
    ///
    /// # Errors
    /// Returns an error if it is not running, or had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.take_running()?.stop_by(Signal::SIGINT).context("cannot stop PostgreSQL")
    }

    /// Pauses all its processes, with their connections open, until [`Postgres::resume`].
    ///
    /// # Errors
    /// Returns an error if it is not running.
    pub fn pause(&self) -> Result<()> {
        self.running()?.pause_all()
    }

    /// Resumes it.
    ///
    /// # Errors
    /// Returns an error if it is not running.
    pub fn resume(&self) -> Result<()> {
        self.running()?.resume_all()
    }

    fn create_cluster(&self) -> Result<()> {
        let [program, arguments @ ..] = &unprivileged("initdb")?[..] else { bail!("no command") };
        let mut command = Command::new(program);
        command.args(arguments).arg("-D").arg(&self.data).current_dir(&self.data);
        // Not yet on the disk: what a test must not lose are commits.
        command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        command.args(["--locale=C.UTF-8", "--no-instructions"]);
        command.env_clear().env("PATH", packages::search_path()).env("HOME", &self.data);
        packages::run(command.env("LC_ALL", "C.UTF-8"))
    }

    fn running(&self) -> Result<&Process> {
        self.server.as_ref().context("PostgreSQL does not run: call start_again first")
    }

    fn take_running(&mut self) -> Result<Process> {
        self.server.take().context("PostgreSQL does not run: call start_again first")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // The fastest way to end that leaves no shared memory behind. There is no caller to report an error to.
            let _ = server.stop_by(Signal::SIGQUIT);
        }
    }
}

/// The command that runs a program of PostgreSQL, as another user if we are root. That user may enter directories which
/// only we may, such as a temporary one.
fn unprivileged(program: &str) -> Result<Vec<PathBuf>> {
    let program = packages::postgres_program(program)?;
    if !Uid::effective().is_root() {
        return Ok(vec![program]);
    }
    let switch = [
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ];
    let mut command = vec![packages::program("setpriv")?];
    command.extend(switch.map(PathBuf::from));
    command.push(program);
    Ok(command)
}

/// Whether it answers the start-up message with a request for authentication, which `trust` has already settled. While it
/// recovers, it answers with an error instead.
fn answers(port: u16) -> bool {
    let start = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        stream.write_all(STARTUP)?;
        let mut answer = [0; 1];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"R")
    };
    start().unwrap_or(false)
}
