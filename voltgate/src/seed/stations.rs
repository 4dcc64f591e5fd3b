//! The charging stations of a site.

use charging::stations::connectors::{Access, Format, PowerType, Standard};
use charging::stations::{ConnectorDraft, EvseDraft, StationDraft};
use uuid::Uuid;

use super::kinds::Kind;
use super::random::Random;

/// CHAdeMO ends here, whatever the station can do.
const MAX_CHADEMO_W: i64 = 100_000;

/// Where the stations stand.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) site: Uuid,
    /// The index of the site.
    pub(super) index: u64,
    pub(super) kind: Kind,
    /// The beginning of the chargers' names.
    pub(super) charger: String,
}

/// What a station can do.
#[derive(Debug, Clone, Copy)]
enum Power {
    /// Alternating current, at two sockets that can be used at the same time.
    Ac(i64),
    /// Direct current, at one of two cables at a time.
    Dc(i64),
}

/// The stations of a site, all of the same make, or both kinds at a supermarket.
pub(super) fn at(place: &Place, random: &mut Random) -> Result<Vec<StationDraft>, &'static str> {
    let (ac, dc) = match place.kind {
        Kind::Street => (random.between(1, 2), 0),
        Kind::CarPark => (random.between(2, 8), i64::from(random.happens(15))),
        Kind::Supermarket => (random.between(0, 2), random.between(1, 2)),
        Kind::Hotel => (random.between(1, 3), 0),
        Kind::Company => (random.between(2, 6), 0),
        Kind::Motorway => (0, random.between(4, 12)),
    };
    let slow = if random.happens(60) { 22_000 } else { 11_000 };
    let fast = match place.kind {
        Kind::Motorway => *random.one_of(&[150_000, 300_000, 300_000]),
        _ => *random.one_of(&[50_000, 50_000, 150_000]),
    };
    let ac = (0..ac).map(|_| Power::Ac(slow));
    let all = ac.chain((0..dc).map(|_| Power::Dc(fast)));
    all.zip(1..).map(|(power, number)| station(place, power, number, random)).collect()
}

fn station(
    place: &Place,
    power: Power,
    number: u32,
    random: &mut Random,
) -> Result<StationDraft, &'static str> {
    let access = if place.kind == Kind::Company { Access::List } else { Access::Public };
    let name = match power {
        Power::Ac(_) => format!("AC {number}"),
        Power::Dc(_) => format!("DC {number}"),
    };
    let id = random.id(place.index);
    let mut connector = |standard, format, power_type, max_power_w| ConnectorDraft {
        id: Some(random.id(place.index)),
        number: None,
        standard,
        format,
        power_type,
        max_power_w,
    };
    let of_evses = match power {
        Power::Ac(watts) => {
            let mut socket = || connector(Standard::Type2, Format::Socket, PowerType::Ac3Phase, watts);
            vec![vec![socket()], vec![socket()]]
        }
        Power::Dc(watts) => {
            let mut cable = |standard, watts| connector(standard, Format::Cable, PowerType::Dc, watts);
            vec![vec![cable(Standard::Type2Combo, watts), cable(Standard::Chademo, watts.min(MAX_CHADEMO_W))]]
        }
    };
    let evse = |connectors| EvseDraft {
        id: Some(random.id(place.index)),
        number: None,
        tariff_id: None,
        connectors,
    };
    Ok(StationDraft {
        id: Some(id),
        location_id: Some(place.site),
        charger: Some(format!("{}-{number:02}", place.charger).parse()?),
        name: Some(name.parse()?),
        access: Some(access),
        tariff_id: None,
        evses: Some(of_evses.into_iter().map(evse).collect()),
    })
}
