//! Finds the commit being built: `VOLTGATE_COMMIT` if it is set, as in a container or from a tarball; otherwise git's.

use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "VOLTGATE_COMMIT";
const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var_os(VARIABLE)
        .and_then(|commit| commit.into_string().ok())
        .filter(|commit| !commit.is_empty());
    if let Some(commit) = &given
        && !commit.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    {
        println!("cargo::error={VARIABLE}: expected a commit without blanks and quotes, not `{commit}`");
    }
    let commit = given.or_else(of_this_checkout).unwrap_or_else(|| UNKNOWN.to_owned());
    println!("cargo::rustc-env={VARIABLE}={commit}");
}

/// Returns `None` if the sources are not in a git checkout, or in the checkout of another project.
fn of_this_checkout() -> Option<String> {
    let workspace = Path::new("../..").canonicalize().ok()?;
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != workspace {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    // A new commit moves the branch, a checkout moves HEAD; git may keep the branch in a file of its own or packed.
    for moved in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        watch(moved);
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// Rebuilds when this file of git changes. For a missing file it watches the directory, which changes when the file is
/// created; cargo would treat a missing file as changed in every build.
fn watch(name: &str) {
    // In a worktree these files are in different directories.
    let Some(path) = git(&["rev-parse", "--git-path", name]) else { return };
    let file = Path::new(&path);
    if let Some(there) = file.ancestors().find(|path| path.exists())
        && (there == file || name.starts_with("refs/"))
    {
        println!("cargo::rerun-if-changed={}", there.display());
    }
}

/// Runs git in the directory of this crate, where cargo starts a build script.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
