//! Packages of npm for comparison, such as chargers of others: a folder in the target folder, filled once from a lock file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages;
use crate::python::target_dir;

const PACKAGE: &str = include_str!("../../../tests/clients/npm/package.json");
const LOCK: &str = include_str!("../../../tests/clients/npm/package-lock.json");

/// The folder `node_modules` with the packages of the tests.
///
/// # Errors
/// Returns an error if there is no npm, or if its registry cannot be reached.
pub fn modules() -> Result<PathBuf> {
    let target = target_dir()?;
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    let dir = target.join("test-npm");
    let lock = File::create(target.join("test-npm.lock")).context("cannot create the lock of test-npm")?;
    lock.lock().context("cannot lock test-npm")?;
    if !fs::read_to_string(stamp(&dir)).is_ok_and(|installed| installed == LOCK) {
        create(&dir).with_context(|| format!("cannot install packages of npm in {}", dir.display()))?;
    }
    Ok(dir.join("node_modules"))
}

/// The program of Node.js.
///
/// # Errors
/// Returns an error if it is not installed.
pub fn program() -> Result<PathBuf> {
    program_named("node")
}

fn create(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    fs::write(dir.join("package.json"), PACKAGE)?;
    fs::write(dir.join("package-lock.json"), LOCK)?;
    let mut npm = Command::new(program_named("npm")?);
    npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
    packages::run(npm.arg(dir).current_dir(dir))?;
    // Last, so that an interrupted installation is not taken for a complete one.
    fs::write(stamp(dir), LOCK)?;
    Ok(())
}

/// `with-servers` does not install it, as distributions have older ones.
fn program_named(name: &str) -> Result<PathBuf> {
    let first = packages::programs(name).into_iter().next();
    first.with_context(|| format!("{name} is not on PATH: the clients of npm need Node.js 20.12 or later"))
}

fn stamp(dir: &Path) -> PathBuf {
    dir.join("installed.json")
}
