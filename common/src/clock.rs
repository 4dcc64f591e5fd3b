//! The wall clock as Voltgate writes it: nanoseconds since 1970, in records, keys and deadlines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = u64;

/// The present moment.
pub fn now() -> Nanos {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A span as nanoseconds; spans beyond 584 years are cut to that.
pub fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What is left until `moment`; nothing once it has passed.
pub fn until(moment: Nanos) -> Duration {
    Duration::from_nanos(moment.saturating_sub(now()))
}
