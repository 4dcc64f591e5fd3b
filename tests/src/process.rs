//! Our own programs as processes, so that they can be killed as in life.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::eventually;

/// A running program of ours. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: NamedTempFile,
}

/// The path of one of our programs, built beside the tests.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let path = test.ancestors().nth(2).expect("target/debug").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build --workspace` first",
        path.display()
    );
    path
}

impl Process {
    /// Starts a program with this environment and nothing else, its log as JSON lines into a file.
    pub fn start(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        let log = NamedTempFile::new().expect("a file for the log");
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

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// A field of the first log line that has it, such as the `address` of a service that listens.
    pub async fn logged(&mut self, field: &str) -> String {
        eventually(&format!("{} to log `{field}`", self.name.clone()), async || {
            let text = self.log();
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                panic!("{} ended with {status}:\n{text}", self.name);
            }
            text.lines().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                line["fields"][field].as_str().map(str::to_owned)
            })
        })
        .await
    }

    /// SIGKILL, as a crash.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// SIGTERM, and its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Waits for its end; gives its exit code.
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
