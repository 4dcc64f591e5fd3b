//! Programs of Node.js as processes, with the packages of `tests/clients/npm`.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, Command};

use crate::PATIENCE;

/// Ends the program when the pipe ends that only the test holds open: nothing else can do so if the test itself is killed.
const WATCHED: &str = "process.stdin.on('end', () => process.exit(1)).resume();\n";

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Node {
    child: Child,
    _pipe: Option<ChildStdin>,
}

impl Node {
    /// Runs a script; appends its output to the file.
    pub async fn start(script: &str, arguments: &[&str], log: &Path) -> Self {
        let script = format!("{WATCHED}{script}");
        Self::run(&[&["-e", &script, "--"], arguments].concat(), log).await
    }

    /// Runs a program of a package, named from the folder of packages on.
    pub async fn start_package(program: &str, arguments: &[&str], log: &Path) -> Self {
        let program = modules().await.join(program);
        Self::run(&[&[program.to_str().expect("a path in UTF-8")], arguments].concat(), log).await
    }

    async fn run(arguments: &[&str], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a file for the log");
        let mut child = Command::new(test_servers::node::program().expect("Node.js"))
            .args(arguments)
            .env("NODE_PATH", modules().await)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log once more"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js starts");
        let pipe = child.stdin.take();
        Self { child, _pipe: pipe }
    }

    /// Waits for its end; returns whether it succeeded, which it has not if it does not end.
    pub async fn ended_well(&mut self) -> bool {
        let ended = tokio::time::timeout(PATIENCE * 2, self.child.wait()).await;
        ended.is_ok_and(|status| status.expect("its end").success())
    }
}

/// Installing them takes a while, the first time.
async fn modules() -> std::path::PathBuf {
    let installing = tokio::task::spawn_blocking(test_servers::node::modules);
    installing.await.expect("it does not panic").expect("the packages of npm")
}
