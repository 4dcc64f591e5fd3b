//! Python programs as processes: each in a group of its own, which is killed as a whole, however the test ends.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};

/// Ends the whole group when the pipe ends that only the test holds open: nobody else can if the test itself is killed.
/// Read without Python's buffer, whose lock a forked child would find taken.
const WATCHED: &str = r#"
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os.killpg(0, 9)), daemon=True).start()
"#;

/// A running Python program. Killed with all that it started when dropped.
#[derive(Debug)]
pub struct Python {
    child: Child,
    _pipe: Option<ChildStdin>,
}

impl Python {
    /// Runs a script; what it prints is added to the file.
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

    /// SIGKILL to it and to all it started, as a crash of the whole machine.
    pub async fn kill(mut self) {
        self.kill_group();
        self.child.wait().await.expect("its end");
    }

    /// Whether it has ended on its own.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Waits for its end; whether it was a good one.
    pub async fn ended_well(&mut self) -> bool {
        self.child.wait().await.expect("its end").success()
    }

    fn kill_group(&self) {
        // None when it has ended and been waited for, after which the number may be somebody else's.
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
