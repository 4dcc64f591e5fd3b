//! Python programs as processes, each in its own process group, which is killed as a whole, however the test ends.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};

/// Kills the whole group when the pipe ends that only the test holds open: nothing else can do so if the test itself is
/// killed. It reads without Python's buffer, because a forked child would find the buffer's lock taken.
const WATCHED: &str = r#"
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os.killpg(0, 9)), daemon=True).start()
"#;

/// A running Python program. Dropping it kills the program and all processes that it started.
#[derive(Debug)]
pub struct Python {
    child: Child,
    _pipe: Option<ChildStdin>,
}

impl Python {
    /// Runs a script; appends its output to the file.
    pub fn start(interpreter: &str, script: &str, arguments: &[&str], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a file for the log");
        let mut child = Command::new(interpreter)
            .arg("-c")
            .arg(format!("{WATCHED}{script}"))
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log once more"))
            .stderr(log)
            .spawn()
            .expect("Python starts");
        let pipe = child.stdin.take();
        Self { child, _pipe: pipe }
    }

    /// Sends SIGKILL to it and to all processes that it started, as in a crash of the whole machine.
    pub async fn kill(mut self) {
        self.kill_group();
        self.child.wait().await.expect("its end");
    }

    /// Whether it has exited on its own.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Waits for its end; returns whether it succeeded.
    pub async fn ended_well(&mut self) -> bool {
        self.child.wait().await.expect("its end").success()
    }

    fn kill_group(&self) {
        // `None` once it has ended and been waited for; its number may then belong to another process.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.kill_group();
    }
}
