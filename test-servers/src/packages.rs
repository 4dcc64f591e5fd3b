//! What has to be installed: where it is, what of it is missing, and how to get that on Debian and Ubuntu.

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

/// The Debian packages that have to be installed before servers can be started.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if rabbitmq_server().and(program("erl")).and(program("epmd")).is_err() {
        packages.push("rabbitmq-server");
    }
    if program("redis-server").is_err() {
        packages.push("redis-server");
    }
    if libfaketime().is_err() {
        packages.push("faketime");
    }
    // What counts instructions for bench/tests/hot_pieces.rs.
    if program("valgrind").is_err() {
        packages.push("valgrind");
    }
    if python::interpreter().is_none() {
        packages.extend(["python3", "python3-venv"]);
    }
    packages
}

/// Installs what is missing; gives what that was.
///
/// # Errors
/// As [`install`].
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
/// We are not root, or this is not Debian or Ubuntu, or the installation fails. The message has the command to run.
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
    // One of several sources of packages being unreachable need not matter, and if it does, the next command says so.
    let _ = apt_get(&["update"]);
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat()).context(by_hand.clone())?;
    if missing().is_empty() { Ok(()) } else { bail!("installed but still not found: {by_hand}") }
}

/// The library that, loaded before others, makes a program see another time.
///
/// # Errors
/// It is not installed.
pub fn libfaketime() -> Result<PathBuf> {
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = below.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.is_file()).context(
        "libfaketime is not below /usr/lib: run the tests through with-servers, which installs it (package faketime)",
    )
}

/// `PATH`, or where Debian has programs.
#[must_use]
pub fn search_path() -> OsString {
    env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// All programs of that name on `PATH`.
pub(crate) fn programs(name: &str) -> Vec<PathBuf> {
    env::split_paths(&search_path()).map(|dir| dir.join(name)).filter(|file| file.is_file()).collect()
}

pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let first = programs(name).into_iter().next();
    first.with_context(|| {
        format!("{name} is not on PATH: run the tests through with-servers, which installs it")
    })
}

/// The script of RabbitMQ itself. The one in `/usr/sbin` only wraps it, to change to the user of the system's broker.
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

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command)
}

/// Runs a command and shows what it printed only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        bail!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&printed));
    }
    Ok(())
}

/// As long as it lives, packages that are installed start no services, as Debian's `invoke-rc.d` asks this file.
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
            // The machine's own rule, as in most containers, which says the same.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { file: None }),
            Err(error) => Err(error).with_context(|| format!("cannot write {POLICY}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            // It says itself what to do with it if it stays.
            let _ = fs::remove_file(file);
        }
    }
}
