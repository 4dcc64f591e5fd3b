//! Rate limits and time limits of tasks by name, as remote control sets them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::protocol::TimeLimit;

/// The limits, by task name.
#[derive(Debug)]
pub(crate) struct Limits {
    by_name: Mutex<HashMap<String, Limit>>,
    /// Changes with every new rate, so that tasks that wait under an old rate check again.
    rates: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Limit {
    rate: Option<Rate>,
    /// When the next task may begin.
    next: Option<Instant>,
    time: TimeLimit,
}

/// A rate limit: how many tasks may begin per unit of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rate {
    /// The rate as requested, such as `10/m`.
    pub(crate) text: String,
    every: Duration,
}

impl Rate {
    /// Parses Celery's grammar: a number per second, or with `/s`, `/m`, `/h`. `Ok(None)` means no limit.
    ///
    /// # Errors
    /// Returns the text of the exception that Python would raise.
    pub(crate) fn parse(value: &Value) -> Result<Option<Self>, String> {
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let (number, unit) = text.split_once('/').unwrap_or((&text, "s"));
        let seconds = match unit {
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unknown => return Err(format!("KeyError({})", crate::python::quoted(unknown))),
        };
        let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let number = number.ok_or_else(|| {
            format!("ValueError(\"could not convert string to float: {}\")", crate::python::quoted(&text))
        })?;
        if number == 0.0 {
            return Ok(None);
        }
        let every = Duration::try_from_secs_f64(seconds / number).unwrap_or(Duration::MAX);
        Ok(Some(Self { text, every }))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { by_name: Mutex::default(), rates: watch::channel(0).0 }
    }
}

impl Limits {
    /// Sets the rate limit of tasks of this name.
    pub(crate) fn set_rate(&self, name: &str, rate: Option<Rate>) {
        self.with(name, |limit| (limit.rate, limit.next) = (rate, None));
        self.rates.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// The rate limit of tasks of this name, as requested.
    pub(crate) fn rate(&self, name: &str) -> Option<String> {
        self.look(name, |limit| limit.rate.as_ref().map(|rate| rate.text.clone())).flatten()
    }

    /// Sets the time limits of tasks of this name that begin from now on.
    pub(crate) fn set_time(&self, name: &str, time: TimeLimit) {
        self.with(name, |limit| limit.time = time);
    }

    /// The time limits of tasks of this name whose message sets none.
    pub(crate) fn time(&self, name: &str) -> TimeLimit {
        self.look(name, |limit| limit.time).unwrap_or_default()
    }

    /// Waits until a task of this name may begin.
    pub(crate) async fn turn(&self, name: &str) {
        let mut rates = self.rates.subscribe();
        loop {
            rates.mark_unchanged();
            let Some(at) = self.look_mut(name, Limit::reserve).flatten() else { return };
            tokio::select! {
                () = tokio::time::sleep_until(at) => return,
                // Its turn was computed from the old rate.
                _ = rates.changed() => {}
            }
        }
    }

    fn with(&self, name: &str, work: impl FnOnce(&mut Limit)) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        work(by_name.entry(name.to_owned()).or_default());
    }

    fn look<T>(&self, name: &str, work: impl FnOnce(&Limit) -> T) -> Option<T> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(work)
    }

    fn look_mut<T>(&self, name: &str, work: impl FnOnce(&mut Limit) -> T) -> Option<T> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name).map(work)
    }
}

impl Limit {
    /// Reserves the next turn. Returns its time, or `None` if it is now.
    fn reserve(&mut self) -> Option<Instant> {
        let every = self.rate.as_ref()?.every;
        let now = Instant::now();
        let at = self.next.map_or(now, |next| next.max(now));
        // If the clock cannot count that far, a year from then stands for never.
        self.next = at.checked_add(every).or(Some(at + Duration::from_secs(365 * 86_400)));
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_is_read_as_celery_reads_it() {
        let every = |value: Value| Rate::parse(&value).map(|rate| rate.map(|rate| rate.every.as_secs_f64()));
        assert_eq!(every(json!("100/m")), Ok(Some(0.6)));
        assert_eq!(every(json!("2/h")), Ok(Some(1800.0)));
        assert_eq!((every(json!("0.5/s")), every(json!(4))), (Ok(Some(2.0)), Ok(Some(0.25))));
        assert_eq!(
            (every(json!(0)), every(json!("0/m")), every(Value::Null)),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(every(json!("1/y")), Err("KeyError('y')".to_owned()));
        let expected = "ValueError(\"could not convert string to float: 'often'\")";
        assert_eq!(every(json!("often")), Err(expected.to_owned()));
        assert!(every(json!("-1")).is_err() && every(json!("nan")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_begin_at_the_rate_and_at_once_when_it_is_lifted() {
        let limits = Limits::default();
        let began = Instant::now();
        limits.turn("t").await;
        limits.set_rate("t", Rate::parse(&json!("2/s")).unwrap());
        for _ in 0..3 {
            limits.turn("t").await;
        }
        limits.turn("other").await;
        assert_eq!(began.elapsed().as_millis() / 100, 10);
        limits.set_rate("t", Rate::parse(&json!("1/h")).unwrap());
        limits.turn("t").await;
        let waiting = limits.turn("t");
        let lifting = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            limits.set_rate("t", None);
        };
        tokio::join!(waiting, lifting);
        assert_eq!(began.elapsed().as_secs(), 2);
    }
}
