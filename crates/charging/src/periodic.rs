//! When each periodic task is due next. One process at a time publishes what is due, by a lease, and then moves the due time
//! on. So a run may happen twice after a crash, and is never left out.

use std::time::Duration;

use crate::db::{At, DbError, Tx, on, statements};

statements! {
    ADD = "INSERT INTO periodic_tasks (name, due_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    DUE = "SELECT name, due_at FROM periodic_tasks WHERE due_at <= $1 ORDER BY due_at, name";
    /// Never back: another scheduler may have moved it on meanwhile. It is not compared with the moment that was read, which
    /// has only milliseconds, as an operator may have set another one.
    MOVE_ON = "UPDATE periodic_tasks SET due_at = $2 WHERE name = $1 AND due_at < $2";
}

/// Adds a task that is due now, unless it is known.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn add(tx: &mut Tx, name: &str) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ADD).bind(name).bind(At::now()).execute(c).await.map(drop))?;
    Ok(())
}

/// The tasks that are due now, and since when. Some may be unknown to this version.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn due(tx: &mut Tx) -> Result<Vec<(String, At)>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(DUE).bind(At::now()).fetch_all(c).await)?)
}

/// Records that a task was published that was due at this moment. It is due again after the interval. Runs that were missed
/// are not made up for.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn move_on(tx: &mut Tx, name: &str, was_due: At, interval: Duration) -> Result<(), DbError> {
    let next = next_after(was_due, interval, At::now());
    on!(tx, |c| sqlx::query(MOVE_ON).bind(name).bind(next).execute(c).await.map(drop))?;
    Ok(())
}

/// The first moment of the task's rhythm after `now`.
fn next_after(was_due: At, interval: Duration, now: At) -> At {
    let late = Duration::from_millis(u64::try_from(now.millis() - was_due.millis()).unwrap_or(0));
    let passed = late.as_millis() / interval.as_millis().max(1);
    was_due.plus(interval.saturating_mul(u32::try_from(passed + 1).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_keeps_its_rhythm_and_makes_up_for_no_missed_run() {
        let start: At = "2027-03-28T01:00:00Z".parse().unwrap();
        let minute = Duration::from_secs(60);
        for (late_ms, next_s) in [(0, 60), (1, 60), (59_999, 60), (60_000, 120), (3_600_500, 3660)] {
            let now = start.plus(Duration::from_millis(late_ms));
            let next = next_after(start, minute, now);
            assert_eq!(next, start.plus(Duration::from_secs(next_s)), "{late_ms}");
            assert!(next > now);
        }
        // The clock of the previous scheduler was ahead.
        assert_eq!(next_after(start, minute, start.minus(minute)), start.plus(minute));
    }
}
