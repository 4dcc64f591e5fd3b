//! What this machine lets a process do. A service on another machine has limits of its own.

use super::finding::Finding;

/// A connection to a client or a callback host is a file.
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
        _ => Finding::ok(check, "there is no limit that can be read here"),
    }
}
