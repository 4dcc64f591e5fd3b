//! A location with its stations, as an import has them, and its way into the database.

use charging::Tx;
use charging::core_sync::{self, Subject};
use charging::stations::charging_stations::{self, Station};
use charging::stations::{EvseDraft, LocationDraft, StationDraft, locations};
use http_server::{Problem, input};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::report::{Count, Counts};
use crate::error::ApiError;
use crate::patch;

/// The members of a document, as they were given.
pub(super) type Members = Map<String, Value>;

/// A location with its stations. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Site {
    /// `None` for stations without a location.
    pub(super) location: Option<Members>,
    pub(super) stations: Vec<Members>,
}

/// What a location is recognized by if it has no id.
const OF_LOCATION: [&str; 4] = ["name", "address", "city", "country"];

impl Site {
    /// From an object with the members of a location, and `stations`.
    pub(super) fn of(mut members: Members) -> Result<Self, Problem> {
        let stations = match members.remove("stations") {
            None => Vec::new(),
            Some(Value::Array(stations)) => stations,
            Some(_) => return Err(Problem::invalid("stations", "expected a list")),
        };
        let station = |(index, station)| match station {
            Value::Object(members) => Ok(members),
            _ => Err(Problem::invalid(format!("stations.{index}"), "expected an object")),
        };
        let stations = stations.into_iter().enumerate().map(station).collect::<Result<_, _>>()?;
        Ok(Self { location: (!members.is_empty()).then_some(members), stations })
    }

    /// What tells the location and the stations apart from others, each with the member that it is made of.
    pub(super) fn identities(&self) -> Vec<(String, Vec<String>)> {
        let text = |members: &Members, name: &str| match members.get(name) {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        let mut all = Vec::new();
        if let Some(location) = &self.location {
            let id = text(location, "id");
            let by_name = OF_LOCATION.iter().map(|name| text(location, name)).collect();
            all.push(if id.is_empty() { ("name".to_owned(), by_name) } else { ("id".to_owned(), vec![id]) });
        }
        for (index, station) in self.stations.iter().enumerate() {
            for name in ["id", "charger"] {
                let value = text(station, name);
                if !value.is_empty() {
                    all.push((format!("stations.{index}.{name}"), vec![name.to_owned(), value]));
                }
            }
        }
        all
    }

    /// Creates or changes the location and its stations: all of it or nothing.
    pub(super) async fn apply(&self, tx: &mut Tx, actor: &str) -> Result<Counts, ApiError> {
        let mut counts = Counts::default();
        let location = match &self.location {
            None => None,
            Some(members) => {
                let (id, count) = apply_location(tx, members).await?;
                counts.locations.add(count);
                Some(id)
            }
        };
        for (index, members) in self.stations.iter().enumerate() {
            let applied = apply_station(tx, location, index, members).await;
            let (id, count) = applied.map_err(|error| error.below(&format!("stations.{index}")))?;
            if count != Count::Unchanged {
                core_sync::attribute(tx, Subject::Station(id), actor).await?;
            }
            counts.stations.add(count);
        }
        Ok(counts)
    }
}

async fn apply_location(tx: &mut Tx, members: &Members) -> Result<(Uuid, Count), ApiError> {
    let text = |name: &&str| members.get(*name).and_then(Value::as_str).unwrap_or_default();
    let id = match given_id(members)? {
        Some(id) => id,
        None => {
            let [name, address, city, country] = OF_LOCATION.each_ref().map(text);
            match locations::named(tx, name, address, city, country).await?[..] {
                [] => Uuid::now_v7(),
                [id] => id,
                _ => {
                    let detail = "several locations have this name and address; say which by its id";
                    return Err(Problem::conflict("name", detail).into());
                }
            }
        }
    };
    let Some(before) = locations::find(tx, id).await? else {
        let mut draft: LocationDraft = input::document(&Value::Object(members.clone()))?;
        draft.id = Some(id);
        locations::create(tx, &draft).await?;
        return Ok((id, Count::Created));
    };
    let draft: LocationDraft = patch::with(&before.draft, without_id(members))?;
    if draft == before.draft {
        return Ok((id, Count::Unchanged));
    }
    locations::update(tx, id, before.version, &draft).await?;
    Ok((id, Count::Changed))
}

async fn apply_station(
    tx: &mut Tx,
    location: Option<Uuid>,
    index: usize,
    members: &Members,
) -> Result<(Uuid, Count), ApiError> {
    let mut members = members.clone();
    if let Some(location) = location {
        members.insert("location_id".to_owned(), location.to_string().into());
    }
    let charger = members.get("charger").and_then(Value::as_str);
    let (id, before): (Uuid, Option<Station>) = match (given_id(&members)?, charger) {
        (Some(id), _) => (id, charging_stations::find(tx, id).await?),
        (None, Some(charger)) => match charging_stations::by_charger(tx, charger).await? {
            Some(station) => (station.row.id, Some(station)),
            None => (Uuid::now_v7(), None),
        },
        (None, None) => {
            let place = location.map(|location| location.to_string()).unwrap_or_default();
            let name =
                members.get("name").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
            let id = derived([place.as_str(), name.as_str()].into_iter());
            (id, charging_stations::find(tx, id).await?)
        }
    };
    let Some(before) = before else {
        let mut draft: StationDraft = input::document(&Value::Object(members))?;
        draft.id = Some(id);
        charging_stations::create(tx, &draft).await?;
        return Ok((id, Count::Created));
    };
    let known = before.draft();
    keep_tariffs(&mut members, &known);
    let draft: StationDraft = patch::with(&known, without_id(&members))?;
    let draft = draft.with_ids_of(&known);
    if draft == known {
        return Ok((id, Count::Unchanged));
    }
    charging_stations::update(tx, id, before.row.version, &draft).await?;
    Ok((id, Count::Changed))
}

/// Fills in the tariffs of EVSEs that are not given: the list of EVSEs is replaced as a whole, and CSV has no tariffs.
fn keep_tariffs(members: &mut Members, known: &StationDraft) {
    let evses = members.get_mut("evses").and_then(Value::as_array_mut);
    for (place, evse) in (1..).zip(evses.into_iter().flatten()) {
        let Value::Object(evse) = evse else { continue };
        let (id, number) =
            (evse.get("id").and_then(Value::as_str), evse.get("number").and_then(Value::as_i64));
        let is_it = |known: &&EvseDraft| match id {
            Some(id) => known.id.is_some_and(|known| known.to_string() == id),
            None => known.number == Some(number.unwrap_or(place)),
        };
        let tariff = known.evses.iter().flatten().find(is_it).and_then(|known| known.tariff_id);
        if let Some(tariff) = tariff.filter(|_| !evse.contains_key("tariff_id")) {
            evse.insert("tariff_id".to_owned(), tariff.to_string().into());
        }
    }
}

fn given_id(members: &Members) -> Result<Option<Uuid>, Problem> {
    match members.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() == 36 => {
            text.parse().map(Some).map_err(|_| Problem::invalid("id", "expected a UUID"))
        }
        Some(_) => Err(Problem::invalid("id", "expected a UUID")),
    }
}

fn without_id(members: &Members) -> Members {
    let mut members = members.clone();
    members.remove("id");
    members
}

/// An id that is the same for the same texts.
fn derived<'a>(texts: impl Iterator<Item = &'a str>) -> Uuid {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_site_is_a_location_with_its_stations_or_stations_alone() {
        let members = |value: Value| value.as_object().unwrap().clone();
        let site = Site::of(members(json!({"name": "A", "stations": [{"charger": "C"}]}))).unwrap();
        assert_eq!(site.location, Some(members(json!({"name": "A"}))));
        assert_eq!(site.stations, [members(json!({"charger": "C"}))]);
        assert_eq!(Site::of(members(json!({"stations": []}))).unwrap().location, None);
        for (bad, field) in [(json!({"stations": 1}), "stations"), (json!({"stations": [1]}), "stations.0")] {
            assert_eq!(Site::of(members(bad)).unwrap_err().field(), field);
        }
    }

    #[test]
    fn the_same_texts_have_the_same_id() {
        assert_eq!(derived(["a", "b"].into_iter()), derived(["a", "b"].into_iter()));
        assert_ne!(derived(["a", "b"].into_iter()), derived(["ab", ""].into_iter()));
    }
}
