//! The number of files that this process may open: each socket is one. It is raised as far as the system lets it, and what it
//! does not suffice for is said at the start, rather than by refused chargers.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Connections to the database and to others, log, timers.
const OTHERS: u64 = 200;

/// Raises the limit for this many sockets. Returns how many fit.
pub(crate) fn raise(sockets: usize) -> usize {
    let wanted = u64::try_from(sockets).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return sockets };
    let raised = wanted.clamp(soft, hard.max(soft));
    let held = match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    if held < wanted {
        tracing::warn!(
            open_files = held,
            "this process may open fewer files than OCPP_MAX_SOCKETS and {OTHERS} more: raise the hard limit (ulimit -n, LimitNOFILE)"
        );
    }
    usize::try_from(held.saturating_sub(OTHERS).max(1)).unwrap_or(usize::MAX).min(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_sockets_are_admitted_than_files_may_be_opened() {
        assert_eq!(raise(10), 10);
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        if let Some(more) = usize::try_from(hard).ok().and_then(|hard| hard.checked_add(1)) {
            assert!(raise(more) < more);
        }
    }
}
