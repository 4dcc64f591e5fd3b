//! The requests to public-api and acl-service, as bytes.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use uuid::Uuid;

use crate::connection::{Connection, ConnectionError, Origin};
use crate::drivers::Drivers;

/// Maximum number of tokens that acl-service accepts in one request.
const MAX_TOKENS: usize = 10_000;

/// The API to call, the key to present, and the target of the callbacks.
#[derive(Debug, Clone)]
pub struct FrontDoor {
    /// The address of public-api.
    pub api: Origin,
    /// The API key, if one is needed.
    pub key: Option<String>,
    /// The stations and drivers of the requests.
    pub drivers: Drivers,
    /// The sink's address, as the callbacks reach it.
    pub sink: SocketAddr,
    /// Number of addresses of 127.0.0.0/8 under which the sink is called in turn; 1 uses only its own address.
    pub hosts: u32,
}

impl FrontDoor {
    /// Adds the drivers to their stations' lists at this acl-service; returns the number of entries.
    ///
    /// # Errors
    /// Returns an error if it refuses or does not answer.
    pub async fn admit(&self, acl: Origin) -> Result<u64, ConnectionError> {
        let tokens = self.drivers.admitted();
        let authority = acl.authority.clone();
        let mut connection = Connection::to(acl);
        for station in (0..self.drivers.stations).map(Drivers::station) {
            for some in tokens.chunks(MAX_TOKENS) {
                let body = json!({ "driver_tokens": some }).to_string();
                let request = self.call("PUT", &format!("/station/{station}/acl"), &authority, &body);
                let answer = connection.exchange(request.as_bytes()).await?;
                if answer.status != 200 {
                    let said = String::from_utf8_lossy(answer.body).into_owned();
                    return Err(ConnectionError::Strange(format!("status {}: {said}", answer.status)));
                }
            }
        }
        Ok(self.drivers.stations * tokens.len() as u64)
    }

    /// The request that asks whether a driver may charge.
    #[must_use]
    pub fn authorize(&self, number: u64) -> String {
        let (station, driver) = self.drivers.pair(number);
        let host = self.host(number);
        let body = format!(r#"{{"callback_url":"http://{host}:{}/decision"}}"#, self.sink.port());
        let path = format!("/station/{station}/driver/{driver}/authorize");
        self.call("POST", &path, &self.api.authority, &body)
    }

    /// The request for the record of a request.
    pub(crate) fn show(&self, request: Uuid) -> String {
        self.call("GET", &format!("/requests/{request}"), &self.api.authority, "")
    }

    fn host(&self, number: u64) -> String {
        if self.hosts <= 1 {
            return self.sink.ip().to_string();
        }
        let place = u32::try_from(number % u64::from(self.hosts)).unwrap_or_default();
        Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + place).to_string()
    }

    fn call(&self, method: &str, path: &str, authority: &str, body: &str) -> String {
        let mut call = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n");
        // Writing to a String does not fail.
        if let Some(key) = &self.key {
            let _ = write!(call, "authorization: Bearer {key}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(call, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        call + "\r\n" + body
    }
}

/// The `request_id` of a `202`.
pub(crate) fn request_id(body: &[u8]) -> Option<Uuid> {
    let body = std::str::from_utf8(body).ok()?;
    let after = body.split_once("\"request_id\"")?.1.trim_start_matches([':', ' ', '"']);
    Uuid::try_parse(after.get(..36)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_request_is_found_however_its_json_is_spaced() {
        let id = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
        for body in [format!(r#"{{"request_id":"{id}"}}"#), format!(r#"{{"a": 1, "request_id": "{id}"}}"#)] {
            assert_eq!(request_id(body.as_bytes()), Some(id.parse().unwrap()), "{body}");
        }
        assert_eq!(request_id(b"{}"), None);
    }
}
