//! A Redis server that writes to disk before it answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::ports::free_port;
use crate::process::Process;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// A private Redis server. Dropping it kills it; the caller removes the directory.
#[derive(Debug)]
pub struct Redis {
    data: PathBuf,
    log: PathBuf,
    options: Vec<String>,
    port: u16,
    server: Option<Process>,
}

impl Redis {
    /// Starts a server on a free port of 127.0.0.1 and waits until it answers. Everything it writes is below `dir`:
    /// logs in `log`, files that may grow large in `data`.
    ///
    /// # Errors
    /// Returns an error if Redis is not installed or does not start; the message contains the end of its log.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, &[])
    }

    /// Same as [`Redis::start`] with more options, such as `--cluster-enabled yes`.
    ///
    /// # Errors
    /// Same as [`Redis::start`].
    pub fn start_with(dir: &Path, options: &[&str]) -> Result<Self> {
        let dir = std::path::absolute(dir)?;
        let (data, log) = (dir.join("data"), dir.join("log"));
        for needed in [&data, &log] {
            fs::create_dir_all(needed).with_context(|| format!("cannot create {}", needed.display()))?;
        }
        let mut redis = Self { data, log, options: Vec::new(), port: free_port()?, server: None };
        redis.options.extend(options.iter().map(|option| (*option).to_owned()));
        redis.start_again()?;
        Ok(redis)
    }

    /// `redis://127.0.0.1:PORT`, without a database number.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it with the same port and data after [`Redis::kill`] or [`Redis::stop`], and waits until it answers.
    ///
    /// # Errors
    /// Returns an error if it is still running, or does not start.
    pub fn start_again(&mut self) -> Result<()> {
        if self.server.is_some() {
            bail!("Redis still runs at {}: kill or stop it first", self.url());
        }
        let program = packages::program("redis-server")?;
        let mut command = Process::command(program, &packages::search_path(), &self.data);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--daemonize", "no"]);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(&self.options);
        let mut server = Process::start(command, &self.log.join("redis.log"))?;
        server.wait_ready(READY_WITHIN, || answers(self.port)).context("Redis does not start")?;
        self.server = Some(server);
        Ok(())
    }

    /// Sends SIGKILL. Confirmed writes are still there after [`Redis::start_again`].
    ///
    /// # Errors
    /// Returns an error if it is not running, or does not end.
    pub fn kill(&mut self) -> Result<()> {
        self.take_running()?.kill().context("cannot kill Redis")
    }

    /// Shuts it down in order.
    ///
    /// # Errors
    /// Returns an error if it is not running, or had to be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.take_running()?.stop().context("cannot stop Redis")
    }

    /// Pauses it, with its connections open, until [`Redis::resume`].
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

    fn running(&self) -> Result<&Process> {
        self.server.as_ref().context("Redis does not run: call start_again first")
    }

    fn take_running(&mut self) -> Result<Process> {
        self.server.take().context("Redis does not run: call start_again first")
    }
}

/// While it is loading its data, it answers with an error instead.
fn answers(port: u16) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}
