//! What follows from an attempt: the callback is delivered, retried after a while, or abandoned.
//!
//! 2xx means delivered. Errors that may be temporary (408, 425, 429, 5xx, no connection, no answer) are retried with
//! growing waits and full jitter, not before the host's `Retry-After`, within the window and up to the limit of
//! attempts. Everything else is final.

use std::time::{Duration, SystemTime};

use common::clock::{self, Nanos};
use reqwest::StatusCode;
use service_runtime::retry::RetryPolicy;

use super::{Answered, AttemptError, UndeliverableReason};
use crate::config::CallbackConfig;

const WAITS: RetryPolicy = RetryPolicy { initial: Duration::from_secs(2), max: Duration::from_secs(30) };

/// What to do after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    Again(Duration),
    Never(UndeliverableReason),
}

/// Judges attempt `number` of a request that began at `start`.
pub(crate) fn judge(
    result: &Result<Answered, AttemptError>,
    number: u32,
    start: Nanos,
    config: &CallbackConfig,
) -> Verdict {
    let hint = match result {
        Ok(answered) if answered.status.is_success() => return Verdict::Delivered,
        Ok(answered) if may_heal(answered.status) => answered.retry_after.as_deref().and_then(wanted_wait),
        Ok(answered) if answered.status == StatusCode::GONE => {
            return Verdict::Never(UndeliverableReason::Gone);
        }
        Err(AttemptError::Gone) => return Verdict::Never(UndeliverableReason::Gone),
        Ok(_) => return Verdict::Never(UndeliverableReason::Rejected),
        Err(AttemptError::Refused(_)) => return Verdict::Never(UndeliverableReason::Refused),
        Err(AttemptError::Tls(_)) => return Verdict::Never(UndeliverableReason::Tls),
        Err(_) => None,
    };
    if number >= config.max_attempts {
        return Verdict::Never(UndeliverableReason::Exhausted);
    }
    let wait = WAITS.wait_after(number).max(hint.unwrap_or_default());
    let next = clock::now().saturating_add(clock::nanos(wait));
    let end = start.saturating_add(clock::nanos(config.window));
    if next >= end { Verdict::Never(UndeliverableReason::WindowOver) } else { Verdict::Again(wait) }
}

fn may_heal(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Parses `Retry-After` by RFC 9110 section 10.2.3: whole seconds or a date. Other values are ignored.
fn wanted_wait(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds mean for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::Body;

    const CONFIG: CallbackConfig =
        CallbackConfig { timeout: Duration::from_secs(5), window: Duration::from_secs(60), max_attempts: 8 };

    fn answer(status: u16, retry_after: Option<&str>) -> Result<Answered, AttemptError> {
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Answered { status, retry_after: retry_after.map(str::to_owned), body: Body::Whole })
    }

    fn verdict(result: &Result<Answered, AttemptError>) -> Verdict {
        judge(result, 1, clock::now(), &CONFIG)
    }

    #[test]
    fn every_class_of_answer_has_its_verdict() {
        for status in [200, 201, 204, 299] {
            assert_eq!(verdict(&answer(status, None)), Verdict::Delivered, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(verdict(&answer(status, None)), Verdict::Again(_)), "{status}");
        }
        for status in [301, 302, 307, 308, 400, 401, 403, 404, 422] {
            assert_eq!(
                verdict(&answer(status, None)),
                Verdict::Never(UndeliverableReason::Rejected),
                "{status}"
            );
        }
        assert_eq!(verdict(&answer(410, None)), Verdict::Never(UndeliverableReason::Gone));
        assert_eq!(verdict(&Err(AttemptError::Gone)), Verdict::Never(UndeliverableReason::Gone));
        assert_eq!(
            verdict(&Err(AttemptError::Refused(String::new()))),
            Verdict::Never(UndeliverableReason::Refused)
        );
        assert_eq!(verdict(&Err(AttemptError::Tls(String::new()))), Verdict::Never(UndeliverableReason::Tls));
        for error in [
            AttemptError::Timeout,
            AttemptError::Dns(String::new()),
            AttemptError::Connect(String::new()),
            AttemptError::Broken(String::new()),
        ] {
            assert!(matches!(verdict(&Err(error)), Verdict::Again(_)));
        }
    }

    #[test]
    fn retry_after_is_waited_for_inside_the_window_only() {
        let Verdict::Again(wait) = verdict(&answer(503, Some("20"))) else { panic!("20 s fit into 60 s") };
        assert!(wait >= Duration::from_secs(20), "{wait:?}");
        let in_30 = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        let Verdict::Again(wait) = verdict(&answer(429, Some(&in_30))) else { panic!("30 s fit into 60 s") };
        assert!(wait >= Duration::from_secs(28), "{wait:?}");
        for forever in ["3600", "99999999999999999999999999", "18446744073709551615"] {
            assert_eq!(
                verdict(&answer(503, Some(forever))),
                Verdict::Never(UndeliverableReason::WindowOver),
                "{forever}"
            );
        }
        for nonsense in ["inf", "1e30", "-5", "NaN", "", "soon", "1.5", "Thu, 99 Foo 2026 00:00:00 GMT"] {
            assert_eq!(wanted_wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(wanted_wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn the_window_and_the_limit_of_attempts_end_it() {
        let failed = answer(500, None);
        assert_eq!(judge(&failed, 8, clock::now(), &CONFIG), Verdict::Never(UndeliverableReason::Exhausted));
        let long_ago = clock::now() - clock::nanos(Duration::from_secs(61));
        assert_eq!(judge(&failed, 1, long_ago, &CONFIG), Verdict::Never(UndeliverableReason::WindowOver));
        assert_eq!(judge(&failed, 1, 0, &CONFIG), Verdict::Never(UndeliverableReason::WindowOver));
    }
}
