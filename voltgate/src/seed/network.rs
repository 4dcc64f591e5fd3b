//! The sites of the network, one after another: each with its location and its charging stations. A site depends on the seed
//! and on those before it alone, so a larger network contains a smaller one of the same seed.

use std::collections::HashMap;

use charging::stations::{Coordinates, LocationDraft, StationDraft};
use uuid::Uuid;

use super::cities::{CITIES, City};
use super::kinds::Kind;
use super::random::Random;
use super::stations::{self, Place};

/// A millionth of a degree of latitude is 11 cm.
const MICROS_A_KM: i64 = 9_009;

/// A location with its stations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) id: Uuid,
    pub(super) location: LocationDraft,
    pub(super) stations: Vec<StationDraft>,
}

/// The sites, until there are enough stations.
#[derive(Debug)]
pub(super) struct Network {
    seed: u64,
    stations_left: usize,
    index: u64,
    /// How many sites each city has.
    sites: HashMap<(&'static str, &'static str), u32>,
    /// How many sites have each name.
    names: HashMap<String, u32>,
}

impl Network {
    pub(super) fn of(seed: u64, stations: u32) -> Self {
        let stations_left = usize::try_from(stations).unwrap_or(usize::MAX);
        Self { seed, stations_left, index: 0, sites: HashMap::new(), names: HashMap::new() }
    }

    fn site(&mut self) -> Result<Site, &'static str> {
        let mut random = Random::of(self.seed, "site", self.index);
        let id = random.id(self.index);
        let city = &CITIES[random.weighted(CITIES.iter().map(|city| city.weight))];
        let country = city.country();
        let kind = Kind::drawn(&mut random);
        let number = self.sites.entry((country.short, city.code)).or_default();
        *number += 1;
        let place = Place { site: id, index: self.index, kind, charger: charger(city, *number) };
        let (name, address) = kind.name_and_address(city, &mut random);
        let name = self.unique(name);
        let location = LocationDraft {
            id: Some(id),
            name: name.parse()?,
            address: address.parse()?,
            postal_code: Some(postal_code(city.postal_code, &mut random).parse()?),
            city: city.name.parse()?,
            country: country.code.parse()?,
            coordinates: coordinates(city, kind, &mut random),
            time_zone: country.time_zone.parse()?,
            opening_times: kind.opening_times(&mut random)?,
            tariff_id: None,
            booking_terms: kind.booking_terms(&mut random),
        };
        let mut stations = stations::at(&place, &mut random)?;
        stations.truncate(self.stations_left);
        self.stations_left -= stations.len();
        self.index += 1;
        Ok(Site { id, location, stations })
    }

    fn unique(&mut self, name: String) -> String {
        let taken = self.names.entry(name.clone()).or_default();
        *taken += 1;
        if *taken == 1 { name } else { format!("{name} ({taken})") }
    }
}

impl Iterator for Network {
    type Item = Result<Site, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.stations_left > 0).then(|| self.site())
    }
}

/// The beginning of the names of a site's chargers.
fn charger(city: &City, number: u32) -> String {
    format!("{}-{}-{number:04}", city.country().short, city.code)
}

fn postal_code(pattern: &str, random: &mut Random) -> String {
    let one = |sign| match sign {
        '#' => *random.one_of(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']),
        '?' => *random.one_of(&['A', 'B', 'D', 'E', 'F', 'H', 'N', 'P', 'R', 'T', 'W', 'X', 'Y']),
        other => other,
    };
    pattern.chars().map(one).collect()
}

/// A place around the centre, more often near it; motorways are outside.
fn coordinates(city: &City, kind: Kind, random: &mut Random) -> Coordinates {
    // Larger cities are wider.
    let width = match city.weight {
        0..50 => 5,
        50..150 => 8,
        _ => 12,
    } * MICROS_A_KM;
    let mut from_centre = || random.between(-width / 2, width / 2) + random.between(-width / 2, width / 2);
    let (mut north, mut east) = (from_centre(), from_centre());
    if kind == Kind::Motorway {
        let outside = |towards: i64| if towards < 0 { towards - width } else { towards + width };
        (north, east) = if random.happens(50) { (outside(north), east) } else { (north, outside(east)) };
    }
    // Degrees of longitude are shorter than those of latitude, by these parts of a thousand.
    let shortened = match city.latitude / 1_000_000 {
        ..40 => 780,
        40..45 => 730,
        45..50 => 670,
        50..55 => 610,
        55..60 => 530,
        _ => 470,
    };
    Coordinates::from_micros(city.latitude + north, city.longitude + east * 1000 / shortened)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    const MAX_METRES: i64 = 40_000;

    fn network(seed: u64, stations: u32) -> Vec<Site> {
        Network::of(seed, stations).map(Result::unwrap).collect()
    }

    fn stations(sites: &[Site]) -> impl Iterator<Item = &StationDraft> {
        sites.iter().flat_map(|site| &site.stations)
    }

    #[test]
    fn the_same_seed_makes_the_same_network_and_another_one_does_not() {
        assert_eq!(network(1, 500), network(1, 500));
        let ids = |seed| network(seed, 500).iter().map(|site| site.id).collect::<HashSet<_>>();
        assert!(ids(1).is_disjoint(&ids(2)));
    }

    #[test]
    fn a_larger_network_contains_a_smaller_one() {
        let (small, large) = (network(7, 100), network(7, 300));
        let whole = small.len() - 1;
        assert_eq!(small[..whole], large[..whole]);
        let last = &small[whole];
        assert_eq!(last.location, large[whole].location);
        assert_eq!(last.stations[..], large[whole].stations[..last.stations.len()]);
    }

    #[test]
    fn there_are_as_many_stations_as_asked_for() {
        for count in [1, 7, 500] {
            assert_eq!(stations(&network(1, count)).count(), usize::try_from(count).unwrap());
        }
    }

    #[test]
    fn every_draft_is_accepted() {
        for site in network(1, 3000) {
            site.location.check().unwrap();
            assert!(!site.stations.is_empty());
            for station in &site.stations {
                station.check().unwrap();
                assert_eq!(station.location_id, Some(site.id));
            }
        }
    }

    #[test]
    fn sites_lie_near_their_city() {
        for Site { location, .. } in network(1, 3000) {
            let city = CITIES.iter().find(|city| city.name == location.city.as_str()).unwrap();
            let centre = Coordinates::from_micros(city.latitude, city.longitude);
            let metres = centre.metres_to(location.coordinates);
            assert!(metres < MAX_METRES, "{metres} m: {location:?}");
        }
    }

    #[test]
    fn names_and_ids_are_unique() {
        let sites = network(1, 20_000);
        let names: BTreeSet<&str> = sites.iter().map(|site| site.location.name.as_str()).collect();
        assert_eq!(names.len(), sites.len());
        let chargers: BTreeSet<&str> =
            stations(&sites).map(|station| station.charger.as_ref().unwrap().as_str()).collect();
        assert_eq!(chargers.len(), 20_000);
        assert!(chargers.contains("DE-BER-0001-01"));
        let evses = || stations(&sites).flat_map(|station| station.evses.iter().flatten());
        let connectors = evses().flat_map(|evse| evse.connectors.iter().map(|connector| connector.id));
        let ids = stations(&sites).map(|station| station.id).chain(evses().map(|evse| evse.id));
        let ids: Vec<_> = ids.chain(connectors).chain(sites.iter().map(|site| Some(site.id))).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn every_kind_country_and_access_occurs() {
        let sites = network(1, 5000);
        let countries: BTreeSet<&str> = sites.iter().map(|site| site.location.country.as_str()).collect();
        assert!(countries.len() >= 18, "{countries:?}");
        let listed = stations(&sites)
            .filter(|station| station.access == Some(charging::stations::connectors::Access::List));
        assert!((100..1500).contains(&listed.count()));
        let with = |has: fn(&LocationDraft) -> bool| sites.iter().filter(|site| has(&site.location)).count();
        assert!(with(|location| location.booking_terms.is_some()) > 50);
        assert!(
            with(|location| location.opening_times.as_ref().is_some_and(|times| !times.twentyfourseven)) > 50
        );
    }
}
