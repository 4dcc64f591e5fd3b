//! The kinds of sites: what they are called, when they are open, and what can be booked there.

use charging::stations::opening_times::RegularHours;
use charging::stations::{BookingTerms, OpeningTimes};
use serde_json::json;

use super::cities::City;
use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Street,
    CarPark,
    Supermarket,
    Hotel,
    Company,
    Motorway,
}

/// How many of a hundred sites are of each kind.
const KINDS: [(Kind, u64); 6] = [
    (Kind::Street, 40),
    (Kind::CarPark, 15),
    (Kind::Supermarket, 16),
    (Kind::Hotel, 10),
    (Kind::Company, 9),
    (Kind::Motorway, 10),
];

const HOTELS: [&str; 12] = [
    "Bellevue",
    "Central",
    "Astoria",
    "Victoria",
    "Park",
    "Continental",
    "Krone",
    "Panorama",
    "Europa",
    "Royal",
    "Stella",
    "Aurora",
];
const COMPANIES: [&str; 14] = [
    "Nordwind Logistik",
    "Halcyon Systems",
    "Bright & Sons",
    "Atlas Foods",
    "Meridian Pharma",
    "Delta Werke",
    "Orion Software",
    "Castor Textil",
    "Falke Bau",
    "Helios Print",
    "Vega Motors",
    "Lumen Optics",
    "Sirius Media",
    "Tellus Agrar",
];
const COMPASS: [&str; 4] = ["N", "S", "E", "W"];

impl Kind {
    pub(super) fn drawn(random: &mut Random) -> Self {
        KINDS[random.weighted(KINDS.iter().map(|(_, weight)| *weight))].0
    }

    /// The name of a site of this kind, as operators have them, and its street and number.
    pub(super) fn name_and_address(self, city: &City, random: &mut Random) -> (String, String) {
        let (country, city) = (city.country(), city.name);
        if self == Self::Motorway {
            let road = format!("{}{}", country.road, random.between(1, 99));
            let (km, side) = (random.between(1, 480), random.one_of(&COMPASS));
            return (format!("{} {city} {road} {side}", country.motorway), format!("{road} km {km}"));
        }
        let (street, number) = (*random.one_of(country.streets), random.between(1, 180));
        let address =
            if country.number_first { format!("{number} {street}") } else { format!("{street} {number}") };
        let name = match self {
            Self::Street | Self::Motorway => format!("{city} {address}"),
            Self::CarPark => format!("{} {street}, {city}", country.car_park),
            Self::Supermarket => format!("{} {city} {street}", country.supermarket),
            Self::Hotel => format!("{} {} {city}", country.hotel, random.one_of(&HOTELS)),
            Self::Company => format!("{} {}, {city}", random.one_of(&COMPANIES), country.company),
        };
        (name, address)
    }

    /// Most sites are open at all times.
    pub(super) fn opening_times(self, random: &mut Random) -> Result<Option<OpeningTimes>, &'static str> {
        let (closed, weekdays, begin, end) = match self {
            Self::CarPark => (60, 1..=7, "06:00", "23:00"),
            Self::Supermarket => (80, 1..=6, "07:00", if random.happens(50) { "21:00" } else { "22:00" }),
            Self::Company => (50, 1..=5, "06:30", "19:00"),
            Self::Street | Self::Hotel | Self::Motorway => (0, 1..=7, "00:00", "24:00"),
        };
        if !random.happens(closed) {
            // Absent says the same.
            let always = OpeningTimes {
                twentyfourseven: true,
                regular_hours: None,
                exceptional_openings: None,
                exceptional_closings: None,
            };
            return Ok(random.happens(70).then_some(always));
        }
        let hours =
            |weekday| Ok(RegularHours { weekday, period_begin: begin.parse()?, period_end: end.parse()? });
        Ok(Some(OpeningTimes {
            twentyfourseven: false,
            regular_hours: Some(weekdays.map(hours).collect::<Result<_, &'static str>>()?),
            exceptional_openings: None,
            exceptional_closings: None,
        }))
    }

    /// Some hotels, car parks and motorway sites take bookings.
    pub(super) fn booking_terms(self, random: &mut Random) -> Option<BookingTerms> {
        let (booked, terms) = match self {
            Self::Hotel => {
                (60, json!({"slot_minutes": 60, "min_minutes": 60, "max_minutes": 720, "horizon_days": 90}))
            }
            Self::CarPark => (30, json!({"slot_minutes": 30, "max_minutes": 480, "noshow_fee": 500})),
            Self::Motorway => (
                40,
                json!({"slot_minutes": 15, "min_minutes": 15, "max_minutes": 60, "buffer_minutes": 5,
                "horizon_days": 3, "payment_required": true}),
            ),
            Self::Company => (20, json!({"slot_minutes": 60, "max_minutes": 600, "horizon_days": 30})),
            Self::Street | Self::Supermarket => (0, json!({})),
        };
        let taken = random.happens(booked);
        taken.then(|| serde_json::from_value(terms).ok()).flatten()
    }
}
