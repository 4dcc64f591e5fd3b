//! The services of an earlier commit, built next to ours from git.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

const SERVICES: [&str; 3] = ["public-api", "worker", "acl-service"];

/// The programs of an earlier commit.
#[derive(Debug)]
pub struct Earlier {
    /// The directory that contains them.
    pub programs: PathBuf,
}

impl Earlier {
    /// Unpacks the commit below cargo's target directory and builds it. A second run reuses the build.
    ///
    /// # Errors
    /// Returns an error if there is no such commit here, or if it does not build.
    pub fn build(commit: &str) -> Result<Self> {
        let whole = format!("{commit}^{{commit}}");
        let named =
            Command::new("git").args(["rev-parse", "--short=12", "--verify", "--quiet", &whole]).output()?;
        ensure!(named.status.success(), "git has no commit {commit} here: fetch it, or name another");
        let name = String::from_utf8(named.stdout)?.trim().to_owned();
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(2).context("a target directory")?;
        let sources = target.join("upgrade").join(&name);
        if !sources.join("Cargo.toml").exists() {
            std::fs::create_dir_all(&sources)?;
            let mut archive = Command::new("git").args(["archive", &name]).stdout(Stdio::piped()).spawn()?;
            let content = archive.stdout.take().context("git's output")?;
            let unpacked = Command::new("tar").arg("-x").arg("-C").arg(&sources).stdin(content).status()?;
            ensure!(archive.wait()?.success() && unpacked.success(), "commit {name} could not be unpacked");
        }
        let own_target = sources.join("target");
        let mut build = Command::new("cargo");
        build.current_dir(&sources).env("CARGO_TARGET_DIR", &own_target).args(["build", "--bins"]);
        for service in SERVICES {
            build.args(["--package", service]);
        }
        eprintln!("upgrade-test: building {name} in {}", sources.display());
        ensure!(build.status()?.success(), "commit {name} does not build");
        Ok(Self { programs: own_target.join("debug") })
    }
}
