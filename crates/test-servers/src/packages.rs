//! The packages that the test servers need: where they are installed, which are missing, and how to install them on
//! Debian and Ubuntu.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::Uid;

use crate::python;

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "#!/bin/sh\n# Made by Voltgate's with-servers while it installs packages; delete it if it is still here.\nexit 101\n";

/// The Debian packages that are missing and needed before servers can be started.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if rabbitmq_server().and(program("erl")).and(program("epmd")).is_err() {
        packages.push("rabbitmq-server");
    }
    if program("redis-server").is_err() {
        packages.push("redis-server");
    }
    if postgres_program("postgres").and(postgres_program("initdb")).is_err() {
        packages.push("postgresql");
    }
    if libfaketime().is_err() {
        packages.push("faketime");
    }
    // bench/tests/hot_pieces.rs counts instructions with it.
    if program("valgrind").is_err() {
        packages.push("valgrind");
    }
    if python::interpreter().is_none() {
        packages.extend(["python3", "python3-venv"]);
    }
    packages
}

/// Installs what is missing, and returns the names of these packages.
///
/// # Errors
/// Same as [`install`].
pub fn install_missing() -> Result<Vec<&'static str>> {
    let missing = missing();
    if !missing.is_empty() {
        install(&missing)?;
    }
    Ok(missing)
}

/// Installs Debian packages, without starting the services that are in them.
///
/// # Errors
/// Returns an error if we are not root, if this is not Debian or Ubuntu, or if the installation fails. The message
/// contains the command to run.
pub fn install(packages: &[&str]) -> Result<()> {
    let by_hand = format!(
        "{} missing; on Debian or Ubuntu, install with: sudo apt-get install -y --no-install-recommends {}",
        packages.join(", "),
        packages.join(" ")
    );
    if !Uid::effective().is_root() || program("apt-get").is_err() {
        bail!(by_hand);
    }
    let _no_services = NoServices::begin().context(by_hand.clone())?;
    // An unreachable package source need not matter; if it does, the next command reports it.
    let _ = apt_get(&["update"]);
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat()).context(by_hand.clone())?;
    if missing().is_empty() { Ok(()) } else { bail!("installed but still not found: {by_hand}") }
}

/// The library that, preloaded, makes a program see a different time.
///
/// # Errors
/// Returns an error if it is not installed.
pub fn libfaketime() -> Result<PathBuf> {
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = below.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.is_file()).context(
        "libfaketime is not below /usr/lib: run the tests through with-servers, which installs it (package faketime)",
    )
}

/// `PATH`, or Debian's default directories.
#[must_use]
pub fn search_path() -> OsString {
    env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// All programs with this name on `PATH`.
pub(crate) fn programs(name: &str) -> Vec<PathBuf> {
    env::split_paths(&search_path()).map(|dir| dir.join(name)).filter(|file| file.is_file()).collect()
}

pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let first = programs(name).into_iter().next();
    first.with_context(|| {
        format!("{name} is not on PATH: run the tests through with-servers, which installs it")
    })
}

/// RabbitMQ's own script. The one in `/usr/sbin` is a wrapper that switches to the user of the system's broker.
pub(crate) fn rabbitmq_server() -> Result<PathBuf> {
    let installed = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let versioned = installed.map(|entry| entry.path().join("sbin"));
    [PathBuf::from("/usr/lib/rabbitmq/bin"), PathBuf::from("/opt/rabbitmq/sbin")]
        .into_iter()
        .chain(versioned)
        .map(|dir| dir.join("rabbitmq-server"))
        .find(|script| script.is_file())
        .context(
            "RabbitMQ is not below /usr/lib/rabbitmq: run the tests through with-servers, which installs it",
        )
}

/// A program of the newest PostgreSQL that is installed. Debian has only those on `PATH` that clients use.
pub(crate) fn postgres_program(name: &str) -> Result<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        installed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
    versions
        .iter()
        .map(|version| Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin").join(name))
        .find(|program| program.is_file())
        .with_context(|| {
            format!("{name} is not below /usr/lib/postgresql: run the tests through with-servers, which installs it")
        })
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command)
}

/// Runs a command, and shows its output only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        bail!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&printed));
    }
    Ok(())
}

/// While this exists, installed packages start no services: Debian's `invoke-rc.d` consults this file.
struct NoServices {
    file: Option<&'static Path>,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let file = Path::new(POLICY);
        match File::options().write(true).create_new(true).mode(0o755).open(file) {
            Ok(mut opened) => {
                let guard = Self { file: Some(file) };
                opened.write_all(POLICY_TEXT.as_bytes()).with_context(|| format!("cannot write {POLICY}"))?;
                Ok(guard)
            }
            // The machine has its own such file, as in most containers, with the same effect.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { file: None }),
            Err(error) => Err(error).with_context(|| format!("cannot write {POLICY}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            // If it cannot be removed, its content says what to do with it.
            let _ = fs::remove_file(file);
        }
    }
}
