//! The stations and drivers of the requests; one driver in ten is on no list.

/// Part of the token of drivers who are on no list.
pub(crate) const STRANGER: &str = "stranger";
const STRANGE_ONE_IN: u64 = 10;

/// Stations and their drivers.
#[derive(Debug, Clone, Copy)]
pub struct Drivers {
    /// Number of stations.
    pub stations: u64,
    /// Number of drivers for each station.
    pub drivers: u64,
}

impl Default for Drivers {
    fn default() -> Self {
        Self { stations: 100, drivers: 100 }
    }
}

impl Drivers {
    /// The station and the driver token of a request; consecutive numbers cycle through all pairs.
    #[must_use]
    pub fn pair(&self, request: u64) -> (String, String) {
        let station = request % self.stations;
        let driver = request / self.stations % self.drivers;
        (Self::station(station), Self::token(driver))
    }

    /// The id of a station.
    #[must_use]
    pub fn station(number: u64) -> String {
        format!("0be7c4ff-0000-4000-8000-{number:012x}")
    }

    /// The tokens that must be on each station's list.
    #[must_use]
    pub fn admitted(&self) -> Vec<String> {
        (0..self.drivers).map(Self::token).filter(|token| !token.contains(STRANGER)).collect()
    }

    fn token(driver: u64) -> String {
        let kind = if driver % STRANGE_ONE_IN == STRANGE_ONE_IN - 1 { STRANGER } else { "admitted" };
        format!("bench-driver-{kind}-{driver:08}")
    }
}
