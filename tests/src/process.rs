//! Our programs as processes, so that they can be killed as in production.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Instant, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::look_again;

const LOG_LINES_SHOWN: usize = 30;
const SECONDS_A_DAY: u64 = 86_400;

/// A running program of ours. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: NamedTempFile,
}

/// The path of one of our programs, built next to the running one; for another version it is the absolute path.
pub fn program(name: &str) -> PathBuf {
    if Path::new(name).is_absolute() {
        return name.into();
    }
    let test = std::env::current_exe().expect("the test's own path");
    // A test is in target/debug/deps, a program in target/debug, an example in target/debug/examples.
    let places = test
        .ancestors()
        .skip(1)
        .take(2)
        .flat_map(|place| [place.join(name), place.join("examples").join(name)]);
    let built = places.into_iter().find(|path| path.exists());
    built.unwrap_or_else(|| {
        panic!(
            "{name} is not built: run `make test`, or `cargo build --workspace --bins --examples` first, beside {}",
            test.display()
        )
    })
}

impl Process {
    /// Starts a program with only this environment; its log goes to a file as JSON lines.
    pub fn start(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        Self::start_with_log(name, arguments, environment, NamedTempFile::new().expect("a file for the log"))
    }

    /// Same as [`Process::start`] with the log in this file, which may outlive the process.
    pub fn start_with_log(
        name: &str,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
        log: NamedTempFile,
    ) -> Self {
        let stderr = File::options().append(true).open(log.path()).expect("the log");
        let child = Command::new(program(name))
            .args(arguments)
            .env_clear()
            .envs(environment)
            .env("LOG_FORMAT", "json")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        Self { name: name.to_owned(), child, log }
    }

    /// Runs one of our commands to its end; returns its exit code, its standard output and its standard error.
    pub async fn run(
        name: &str,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
    ) -> (Option<i32>, String, String) {
        let mut command = Command::new(program(name));
        command.args(arguments).env_clear().envs(environment).current_dir(std::env::temp_dir());
        let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let done = tokio::time::timeout(crate::PATIENCE, running).await.expect("it ends");
        let output = done.expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// By how many seconds its clock is ahead of ours: the time in its last log line, compared with when that line was
    /// written to the file.
    pub fn clock_ahead(&self) -> Option<i64> {
        let written = self.log.path().metadata().ok()?.modified().ok()?;
        let ours = written.duration_since(UNIX_EPOCH).ok()?.as_secs() % SECONDS_A_DAY;
        let log = self.log();
        let line: Value = serde_json::from_str(log.lines().last()?).ok()?;
        // Such as 2026-11-21T13:29:09.754284Z.
        let time = line["timestamp"].as_str()?.get(11..19)?;
        let theirs = time.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
        let ahead = (theirs + SECONDS_A_DAY + SECONDS_A_DAY / 2 - ours) % SECONDS_A_DAY;
        Some(ahead.cast_signed() - (SECONDS_A_DAY / 2).cast_signed())
    }

    /// The memory that it uses now, in bytes.
    pub fn memory(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux tells");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        resident.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("a number") * 1024
    }

    /// Its exit status, if it has exited.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process can be waited for")
    }

    /// A field of the first log line that has it, such as the `address` on which a service listens.
    pub async fn logged(&mut self, field: &str) -> String {
        let (what, began) = (format!("{} to log `{field}`", self.name), Instant::now());
        loop {
            let text = self.log();
            if let Some(status) = self.exit_status() {
                panic!("{} ended with {status}:\n{text}", self.name);
            }
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            match lines.find_map(|line| line[field].as_str().map(str::to_owned)) {
                Some(value) => return value,
                None => look_again(&what, began).await,
            }
        }
    }

    /// Sends SIGKILL, as in a crash.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Sends SIGTERM; returns its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Waits for its end; returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(crate::PATIENCE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("{} does not end:\n{}", self.name, self.log()))
            .expect("its status")
            .code()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
        kill(Pid::from_raw(pid), signal).expect("the signal is sent");
    }
}
