//! `authorize`: decides one request and calls the client back. Its name and arguments are those of the original Python
//! system, so either side can replace the other.

use serde::Deserialize;
use serde_json::{Value, json};

use common::clock::Nanos;
use common::ids::{PresentedToken, StationId};

/// The task's name on the wire.
pub const NAME: &str = "authorization_worker.tasks.authorize";

/// Its parameters in order. A Python caller may also pass them by name.
pub const PARAMETERS: &[&str] = &["station_id", "driver_token", "callback_url", "expiry_time_ns"];

/// Voltgate's message header with the time of the client's call, in nanoseconds. Python workers ignore it. Without it
/// the call counts from when a worker first sees the request.
pub const RECEIVED_HEADER: &str = "voltgate_received_ns";

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Authorize {
    /// The station in question.
    pub station_id: StationId,
    /// The token that the driver presented, well formed or not.
    pub driver_token: PresentedToken,
    /// Where to send the decision, as the client wrote it.
    pub callback_url: String,
    /// The deadline. A deadline before 1970 has passed, like any other in the past.
    #[serde(deserialize_with = "moment")]
    pub expiry_time_ns: Nanos,
}

impl Authorize {
    /// The positional arguments as kombu's JSON encodes them: the station as its typed UUID.
    pub fn to_args(&self) -> Vec<Value> {
        vec![
            json!({"__type__": "uuid", "__value__": {"hex": self.station_id.uuid().simple().to_string()}}),
            json!(self.driver_token),
            json!(self.callback_url),
            json!(self.expiry_time_ns),
        ]
    }

    /// The arguments for display, as they appear in Flower: the driver token masked, the URL without its query.
    pub fn argsrepr(&self) -> String {
        let url = self.callback_url.split(['?', '#']).next().unwrap_or_default().replace(['\\', '\''], "");
        format!("(UUID('{}'), '{:?}', '{url}', {})", self.station_id, self.driver_token, self.expiry_time_ns)
    }
}

fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Nanos, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    if let Some(nanos) = number.as_u64() {
        return Ok(nanos);
    }
    number
        .as_i64()
        .map(|_| 0)
        .ok_or_else(|| serde::de::Error::custom("expected whole nanoseconds since 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_the_python_system() {
        let task = Authorize {
            station_id: "12345678-1234-5678-1234-567812345678".parse().unwrap(),
            driver_token: PresentedToken::new("valid_driver_token_12345"),
            callback_url: "http://127.0.0.1:9/cb?secret=1".to_owned(),
            expiry_time_ns: 1_795_246_192_094_754_391,
        };
        assert_eq!(
            Value::from(task.to_args()).to_string(),
            r#"[{"__type__":"uuid","__value__":{"hex":"12345678123456781234567812345678"}},"valid_driver_token_12345","http://127.0.0.1:9/cb?secret=1",1795246192094754391]"#
        );
        assert_eq!(
            task.argsrepr(),
            "(UUID('12345678-1234-5678-1234-567812345678'), 'vali****', 'http://127.0.0.1:9/cb', 1795246192094754391)"
        );
    }

    #[test]
    fn a_deadline_before_1970_has_passed_and_non_integers_are_refused() {
        let task = |expiry: Value| {
            serde_json::from_value::<Authorize>(json!({
                "station_id": "12345678-1234-5678-1234-567812345678", "driver_token": "x",
                "callback_url": "y", "expiry_time_ns": expiry,
            }))
        };
        assert_eq!(task(json!(-5)).unwrap().expiry_time_ns, 0);
        assert!(task(json!(1.5)).is_err() && task(json!("soon")).is_err() && task(json!(1e30)).is_err());
    }
}
