//! What a process has used, from /proc.

use std::time::Duration;

/// Clock ticks a second in /proc: 100 on every Linux of today.
const TICKS: u64 = 100;

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) rss_kb: u64,
}

impl Usage {
    /// Reads them; `None` where there is no such process.
    pub(super) fn of(pid: Option<u32>) -> Option<Self> {
        let pid = pid?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self { cpu: cpu(&stat)?, rss_kb: rss(&status)? })
    }
}

/// The fields behind the name, which may contain anything in parentheses: user and system time are the 12th and 13th.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS))
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_shift_its_times() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1 2 3";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert!(Usage::of(Some(std::process::id())).unwrap().rss_kb > 0);
    }
}
