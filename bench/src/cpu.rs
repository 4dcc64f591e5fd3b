//! CPU time and memory of processes and threads, as the kernel counts them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use test_servers::descendants;

/// The kernel reports CPU time to programs in hundredths of a second, regardless of its internal unit.
const TICK: Duration = Duration::from_millis(10);

/// Something whose CPU time is measured separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A process and all processes that it started.
    Process(u32),
    /// All processes with this name among our descendants.
    Named(&'static str),
    /// A thread of this process.
    Thread(&'static str),
    /// This process without that thread.
    OursWithout(&'static str),
}

/// CPU time used so far, by name.
pub type Used = BTreeMap<String, Duration>;

/// CPU time that these have used so far.
#[must_use]
pub fn used(parts: &[(String, Part)]) -> Used {
    parts.iter().map(|(name, part)| (name.clone(), part.cpu())).collect()
}

/// Microseconds per request, by name.
#[must_use]
pub fn per_request(before: &Used, after: &Used, requests: u64) -> BTreeMap<String, f64> {
    let spent = |(name, after): (&String, &Duration)| {
        let spent = after.saturating_sub(before.get(name).copied().unwrap_or_default());
        (name.clone(), spent.as_secs_f64() * 1e6 / requests.max(1) as f64)
    };
    after.iter().map(spent).collect()
}

/// The peak memory of each of these processes, in MiB.
#[must_use]
pub fn peak_memory(parts: &[(String, Part)]) -> BTreeMap<String, f64> {
    let of = |(name, part): &(String, Part)| {
        let processes = part.processes();
        let kib: f64 = processes.iter().filter_map(|pid| peak_kib(*pid)).sum();
        (!processes.is_empty()).then(|| (name.clone(), kib / 1024.0))
    };
    parts.iter().filter_map(of).collect()
}

impl Part {
    pub(crate) fn processes(&self) -> Vec<u32> {
        match self {
            Self::Process(pid) => [vec![*pid], descendants(*pid)].concat(),
            Self::Named(name) => {
                let ours = descendants(std::process::id()).into_iter();
                ours.filter(|pid| comm(&format!("/proc/{pid}")).as_deref() == Some(name)).collect()
            }
            Self::Thread(_) | Self::OursWithout(_) => Vec::new(),
        }
    }

    fn cpu(&self) -> Duration {
        match self {
            Self::Thread(name) => thread_cpu(name),
            Self::OursWithout(name) => stat_cpu("/proc/self").saturating_sub(thread_cpu(name)),
            _ => self.processes().iter().map(|pid| stat_cpu(&format!("/proc/{pid}"))).sum(),
        }
    }
}

fn thread_cpu(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let paths = tasks.filter_map(|task| task.path().to_str().map(str::to_owned));
    paths.filter(|path| comm(path).as_deref() == Some(name)).map(|path| stat_cpu(&path)).sum()
}

fn comm(path: &str) -> Option<String> {
    Some(fs::read_to_string(format!("{path}/comm")).ok()?.trim().to_owned())
}

/// User and system time. A process that is gone counts as zero.
fn stat_cpu(path: &str) -> Duration {
    let ticks = || -> Option<u32> {
        let stat = fs::read_to_string(format!("{path}/stat")).ok()?;
        // The name is in parentheses and may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
    };
    TICK * ticks().unwrap_or_default()
}

/// The memory that a process uses now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> std::io::Result<f64> {
    let resident = status_kib(pid, "VmRSS:");
    resident.ok_or_else(|| std::io::Error::other(format!("there is no process {pid}")))
}

fn peak_kib(pid: u32) -> Option<f64> {
    status_kib(pid, "VmHWM:")
}

fn status_kib(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() {
        let parts = [
            ("process".to_owned(), Part::Process(std::process::id())),
            ("ours".to_owned(), Part::OursWithout("nobody")),
        ];
        let before = used(&parts);
        let mut sum = 0u64;
        while used(&parts)["process"] < before["process"] + TICK * 3 {
            sum = sum.wrapping_add((0..10_000).sum::<u64>());
        }
        let spent = per_request(&before, &used(&parts), 1);
        assert!(sum > 0 && spent["process"] >= 30_000.0 && spent["ours"] >= 20_000.0, "{spent:?}");
        assert!(peak_memory(&parts)["process"] > 1.0);
    }
}
