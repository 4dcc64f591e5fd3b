//! A Python with the real Celery, for comparison: a virtual environment in the target folder, created once.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages;

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The virtual environment's interpreter.
#[derive(Debug)]
pub struct Environment {
    pub python: PathBuf,
    /// Whether it had to be created, which takes a while.
    pub created: bool,
}

/// The environment of the tests.
///
/// # Errors
/// Same as [`environment_of`].
pub fn environment() -> Result<Environment> {
    environment_of("test-venv", REQUIREMENTS)
}

/// Creates the virtual environment of this name below cargo's target folder, unless one with the same requirements
/// exists. Celery is among the requirements.
///
/// # Errors
/// Returns an error if there is no Python to create it with, or if PyPI cannot be reached.
pub fn environment_of(name: &str, requirements: &str) -> Result<Environment> {
    let target = target_dir()?;
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    let dir = target.join(name);
    let lock = File::create(target.join(format!("{name}.lock")));
    let lock = lock.with_context(|| format!("cannot create the lock of {name}"))?;
    lock.lock().with_context(|| format!("cannot lock {name}"))?;
    let python = dir.join("bin/python");
    let created = !is_complete(&dir, &python, requirements);
    if created {
        create(&dir, &python, requirements)
            .with_context(|| format!("cannot make the Python environment {}", dir.display()))?;
    }
    Ok(Environment { python, created })
}

/// The first Python on `PATH` that can create virtual environments; Debian's cannot without the package `python3-venv`.
pub(crate) fn interpreter() -> Option<PathBuf> {
    packages::programs("python3").into_iter().find(|python| runs(python, "import venv, ensurepip"))
}

pub(crate) fn target_dir() -> Result<PathBuf> {
    // This crate is in `crates/`.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let beside = || workspace.unwrap_or(Path::new(".")).join("target");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(beside, PathBuf::from);
    Ok(std::path::absolute(target)?)
}

/// The environment's interpreter is only a link to the one it was created with, which may be gone.
fn is_complete(dir: &Path, python: &Path, requirements: &str) -> bool {
    fs::read_to_string(stamp(dir)).is_ok_and(|installed| installed == requirements)
        && runs(python, "import celery")
}

fn create(dir: &Path, python: &Path, requirements: &str) -> Result<()> {
    let maker = interpreter().context("no Python with the module venv: install the package python3-venv")?;
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    packages::run(Command::new(maker).args(["-m", "venv"]).arg(dir))?;
    let wanted = dir.join("requirements.txt");
    fs::write(&wanted, requirements)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r"]);
    packages::run(pip.arg(&wanted))?;
    // Last, so that an interrupted installation is not taken for a complete one.
    fs::rename(&wanted, stamp(dir))?;
    Ok(())
}

fn stamp(dir: &Path) -> PathBuf {
    dir.join("installed.txt")
}

fn runs(python: &Path, program: &str) -> bool {
    Command::new(python).args(["-c", program]).output().is_ok_and(|output| output.status.success())
}
