//! The limits of processes on this machine. A service on another machine has its own limits.

use super::finding::Finding;

/// Each connection to a client or a callback host counts as a file.
const ENOUGH_FILES: u64 = 8192;

pub(super) fn open_files() -> Finding {
    let check = "open files";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    match soft.map(str::parse::<u64>) {
        Some(Ok(files)) if files < ENOUGH_FILES => Finding::warning(
            check,
            format!("a process may have {files} files open"),
            format!(
                "raise it to {ENOUGH_FILES} or more: `ulimit -n`, LimitNOFILE= of systemd, ulimits of Compose"
            ),
        ),
        Some(Ok(files)) => Finding::ok(check, format!("a process may have {files} open")),
        _ => Finding::ok(check, "the limit cannot be read on this machine"),
    }
}
