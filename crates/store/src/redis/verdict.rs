//! What an error implies for its connection.

use redis::RedisError;

/// Codes of a server that cannot serve now, or is not the primary. Redis' servers.md lists them under "Redis
/// serialization protocol"; `UNBLOCKED` ends a blocked read at a demotion (seen with 7.0.15).
const NOT_SERVING: [&str; 8] =
    ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "UNBLOCKED", "MOVED", "ASK"];
/// The scripts were flushed. They are loaded once a connection.
const UNLOADED: &str = "NOSCRIPT";

/// What to do with a connection after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The connection is usable: the error is the answer.
    Keep,
    /// The connection is unusable. `retry`: no fault of the server itself is known.
    Replace { retry: bool },
    /// The server itself does not serve: every connection to it is unusable.
    ReplaceAll,
}

impl Verdict {
    /// Examines every error that the server sent, at any depth. A transaction wraps the error in `EXECABORT`, a script
    /// before Redis 7 in `ERR`, and a pipeline shows only the first, so the outermost code proves nothing.
    pub(super) fn of(error: &RedisError) -> Self {
        let Some(errors) = error.clone().into_server_errors() else {
            return match error.code() {
                Some(code) if NOT_SERVING.contains(&code) => Self::ReplaceAll,
                _ => Self::Replace { retry: error.is_connection_dropped() },
            };
        };
        let says = |codes: &[&str]| {
            errors.iter().any(|(_, error)| {
                codes.contains(&error.code())
                    || error.details().is_some_and(|details| names_one(details, codes))
            })
        };
        if says(&NOT_SERVING) {
            Self::ReplaceAll
        } else if says(&[UNLOADED]) {
            Self::Replace { retry: true }
        } else {
            Self::Keep
        }
    }
}

/// Whether the text contains one of these codes as a separate word, as in `@user_script:9: -READONLY You can't write`.
fn names_one(text: &str, codes: &[&str]) -> bool {
    text.split(|letter: char| !letter.is_ascii_uppercase()).any(|word| codes.contains(&word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::{ErrorKind, Value, parse_redis_value};

    use super::*;

    /// The error that this reply becomes.
    fn error(reply: &str) -> RedisError {
        parse_redis_value(reply.as_bytes()).and_then(Value::extract_error).unwrap_err()
    }

    #[test]
    fn a_server_that_does_not_serve_is_recognised_in_every_wrapping() {
        for code in NOT_SERVING {
            for reply in [
                format!("-{code} something is wrong\r\n"),
                format!("-EXECABORT Transaction discarded because of: {code} something is wrong\r\n"),
                format!("-ERR Error running script (call to f_1): @user_script:9: -{code} wrong\r\n"),
                format!("-ERR @user_script: 9: {code} wrong\r\n"),
                format!("*2\r\n+OK\r\n-{code} something is wrong\r\n"),
            ] {
                assert_eq!(Verdict::of(&error(&reply)), Verdict::ReplaceAll, "{reply}");
            }
        }
    }

    #[test]
    fn an_answer_about_the_command_keeps_the_connection() {
        for reply in [
            "-ERR value is not an integer or out of range\r\n",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            "-NOPERM this user has no permissions to run the 'set' command\r\n",
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            "-ERR unknown command 'readonly'\r\n",
        ] {
            assert_eq!(Verdict::of(&error(reply)), Verdict::Keep, "{reply}");
        }
    }

    #[test]
    fn flushed_scripts_and_broken_connections_are_tried_again() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let unloaded = error("-NOSCRIPT No matching script. Please use EVAL.\r\n");
        assert_eq!(Verdict::of(&unloaded), Verdict::Replace { retry: true });
        assert_eq!(Verdict::of(&broken), Verdict::Replace { retry: true });
        assert_eq!(Verdict::of(&late), Verdict::Replace { retry: false });
        let parse = RedisError::from((ErrorKind::Parse, "no reply"));
        assert_eq!(Verdict::of(&parse), Verdict::Replace { retry: false });
    }

    proptest! {
        #[test]
        fn a_code_within_a_longer_word_is_none(before in "[A-Z]{1,5}", after in "[A-Z]{1,5}") {
            let word = format!("{before}READONLY{after}");
            prop_assert!(!names_one(&word, &NOT_SERVING));
        }
    }
}
