//! Where the time of one request goes: Linux's `perf` samples every process under full load. The samples are summed by
//! library and reported in CPU microseconds per request.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use load_generator::Drivers;
use tokio::process::Command;

use crate::machine::Machine;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::{Effort, full_load};

/// Samples per second. Not a round number, so that it does not align with what happens every millisecond.
const FREQUENCY: &str = "997";
/// Delay after the start of the load.
const BEGIN_AFTER: Duration = Duration::from_secs(2);
/// Groups with a smaller share of a process are summed up.
const MIN_SHARE: f64 = 0.015;

/// The samples of one process, as shares.
#[derive(Debug)]
struct Profile<'a> {
    name: &'a str,
    cpu_us: f64,
    shares: Vec<(String, f64)>,
}

/// Samples a run under full load; returns the tables.
///
/// # Errors
/// Returns an error if `perf` is missing or not permitted, or if a process does not start.
pub async fn profile(servers: &Servers, effort: &Effort) -> Result<String> {
    let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
    let session = system.session(Drivers::default(), 1).await?;
    let parts = system.parts();
    // The generator and the sink are threads of this process and have no process id.
    let with_pids =
        parts.iter().flat_map(|(name, part)| part.processes().into_iter().map(move |pid| (pid, &**name)));
    let processes: BTreeMap<u32, &str> = with_pids.collect();
    let data = servers.directory().join("perf.data");
    let looking = async {
        tokio::time::sleep(effort.warm_up + BEGIN_AFTER).await;
        look(&processes, path(&data)?, effort.measured.saturating_sub(BEGIN_AFTER)).await
    };
    let (loaded, seen) = tokio::join!(full_load(&parts, session, effort), looking);
    let ((_, load, _), seen) = (loaded?, seen?);
    if !load.faults.is_none() {
        bail!("what was measured is worth nothing: {}", load.faults);
    }
    let mut counts: BTreeMap<&str, BTreeMap<String, u32>> = BTreeMap::new();
    for (pid, group) in seen.lines().filter_map(sample) {
        if let Some(name) = processes.get(&pid) {
            *counts.entry(name).or_default().entry(group).or_default() += 1;
        }
    }
    let profiles = parts.iter().filter_map(|(name, _)| {
        Some(Profile { name, cpu_us: *load.cpu_us.get(name)?, shares: shares(counts.get(&**name)?) })
    });
    Ok(markdown(&profiles.collect::<Vec<_>>(), &Machine::this(servers).await, load.per_second))
}

/// The samples that `perf` takes of these processes, one per line.
async fn look(processes: &BTreeMap<u32, &str>, data: &str, during: Duration) -> Result<String> {
    let pids: Vec<String> = processes.keys().map(u32::to_string).collect();
    let (pids, seconds) = (pids.join(","), during.as_secs_f64().max(1.0).to_string());
    let ours = ["-p", &pids, "--", "sleep", &seconds];
    perf(&[&["record", "-q", "-F", FREQUENCY, "-o", data], &ours[..]].concat()).await?;
    perf(&["script", "-i", data, "-F", "pid,ip,sym,dso"]).await
}

async fn perf(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("perf");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("cannot run `perf` (Debian's package linux-perf)")?;
    if !output.status.success() {
        bail!("perf {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the directory for temporary files has no name in UTF-8")
}

/// Parses a line of `perf script`: process, address, function, and its file in parentheses.
fn sample(line: &str) -> Option<(u32, String)> {
    let (pid, rest) = line.trim().split_once(char::is_whitespace)?;
    let (_, rest) = rest.trim().split_once(char::is_whitespace)?;
    let file = [" (/", " ([", " (memfd:"].iter().filter_map(|begin| rest.rfind(begin)).max()?;
    let (symbol, file) = rest.split_at(file);
    Some((pid.parse().ok()?, group(symbol.trim(), file.trim_matches([' ', '(', ')']))))
}

/// The group of a function: the kernel, a crate, or a task common to all of them.
fn group(symbol: &str, file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    if file.starts_with("[kernel") || file.starts_with("[guest") {
        return "kernel".to_owned();
    }
    let is = |words: &[&str]| words.iter().any(|word| symbol.contains(word));
    if is(&[
        "malloc",
        "cfree",
        "_int_free",
        "realloc",
        "calloc",
        "unlink_chunk",
        "_rjem_",
        "__rdl_",
        "__rust_",
    ]) {
        return "allocation".to_owned();
    }
    if is(&["__memmove", "__memcpy", "__memset", "__memcmp"]) {
        return "copying and comparing".to_owned();
    }
    if file.starts_with("memfd:") {
        return "compiled while running".to_owned();
    }
    let inner = symbol.trim_start_matches(['<', '&', '(']).trim_start_matches("dyn ");
    match inner.split_once("::") {
        Some((name, _)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
            if ["core", "alloc", "std"].contains(&name) {
                "Rust's library".to_owned()
            } else {
                name.to_owned()
            }
        }
        _ => file.to_owned(),
    }
}

/// The shares, largest first; the small ones are summed up.
fn shares(groups: &BTreeMap<String, u32>) -> Vec<(String, f64)> {
    let all: u32 = groups.values().sum();
    let mut shares: Vec<(String, f64)> =
        groups.iter().map(|(group, count)| (group.clone(), f64::from(*count) / f64::from(all))).collect();
    shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let small = shares.partition_point(|(_, share)| *share >= MIN_SHARE);
    let rest: f64 = shares.drain(small..).map(|(_, share)| share).sum();
    shares.push(("others".to_owned(), rest));
    shares
}

fn markdown(profiles: &[Profile<'_>], machine: &Machine, per_second: f64) -> String {
    let mut text = format!(
        "# Where the time of a request goes\n\n{machine}. CPU microseconds a request at {per_second:.0} requests a second \
         and while `perf` looks, by component and by the library whose code ran.\n"
    );
    for Profile { name, cpu_us, shares } in profiles {
        // Writing to a String does not fail.
        let _ = write!(text, "\n| {name} | {cpu_us:.1} |\n| --- | ---: |\n");
        for (group, share) in shares {
            let _ = writeln!(text, "| {group} | {:.1} |", share * cpu_us);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_counts_for_what_its_function_belongs_to() {
        let of = |line| sample(line).unwrap();
        assert_eq!(of("  77 ffffffff8a tcp_sendmsg ([kernel.kallsyms])"), (77, "kernel".to_owned()));
        assert_eq!(of("77 55d0 <hyper::proto::h1 as Future>::poll (/w/target/worker)").1, "hyper");
        assert_eq!(of("77 55d0 <core::pin::Pin<P> as Future>::poll (/w/worker)").1, "Rust's library");
        assert_eq!(of("77 7f00 _int_malloc (/usr/lib/libc.so.6)").1, "allocation");
        assert_eq!(of("77 7f00 [unknown] (memfd:vmem (deleted))").1, "compiled while running");
        assert_eq!(sample("perf: no such event"), None);
    }

    #[test]
    fn what_is_small_is_summed_up() {
        let groups = BTreeMap::from(
            [("kernel", 980), ("url", 10), ("http", 10)].map(|(name, count)| (name.to_owned(), count)),
        );
        assert_eq!(shares(&groups), [("kernel".to_owned(), 0.98), ("others".to_owned(), 0.02)]);
    }
}
