//! The load client: many sockets that boot, call, charge or come back all at once, and a report.

pub mod calls;
mod fleet;
pub mod listen;
pub mod open;
mod process;
pub mod report;
pub mod sessions;
mod socket;
pub mod storm;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use url::Url;

pub use self::fleet::Booted;
use crate::link::Dial;

/// Counts by kind.
type Counts = BTreeMap<String, u64>;

/// Which chargers connect, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL without the charger's name.
    pub url: Url,
    /// What stands before the number in each charger's name.
    pub prefix: String,
    /// The number of chargers.
    pub chargers: u32,
    /// The loopback addresses that they connect from, beginning with 127.0.0.2; 0 leaves the choice to the system.
    pub sources: u8,
    /// The password that all of them have.
    pub password: Option<Vec<u8>>,
    /// For `wss://`; without it, the authorities of this machine are trusted.
    pub tls: Option<Arc<ClientConfig>>,
    /// New sockets a second; `None` opens all of them at once.
    pub rate: Option<f64>,
    /// The tag of their drivers.
    pub tag: String,
    /// The process of the central system, whose CPU and memory count.
    pub pid: Option<u32>,
}

impl Target {
    /// The connection of a charger, counted from 0.
    #[must_use]
    pub fn dial(&self, index: u32) -> Dial {
        let source = (self.sources > 0).then(|| {
            let last = 2 + index % u32::from(self.sources).min(253);
            IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + last))
        });
        let charger = format!("{}{}", self.prefix, index + 1);
        let (url, password, tls) = (self.url.clone(), self.password.clone(), self.tls.clone());
        Dial { url, charger, password, source, tls }
    }

    /// When a charger is due to connect, from the beginning.
    fn due(&self, index: u32) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(f64::from(index) / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chargers_share_the_addresses_and_have_names_of_their_own() {
        let target = Target {
            url: "ws://127.0.0.1:9000/ocpp".parse().unwrap(),
            prefix: "LOAD-".to_owned(),
            chargers: 10,
            sources: 4,
            password: None,
            tls: None,
            rate: Some(2.0),
            tag: "TAG".to_owned(),
            pid: None,
        };
        let sources = [0, 3, 4].map(|index| target.dial(index).source.unwrap().to_string());
        assert_eq!(sources, ["127.0.0.2", "127.0.0.5", "127.0.0.2"]);
        assert_eq!(
            (target.dial(9).charger, target.due(9)),
            ("LOAD-10".to_owned(), Duration::from_millis(4500))
        );
    }
}
