//! A network as one JSON object: `{"locations":[…],"stations":[…]}`, each location with its stations, then the stations
//! without a location.

use http_server::{Problem, body};
use serde_json::Value;

use super::site::Site;

/// The sites of a body, each with its number.
pub(super) fn sites(text: &[u8]) -> Result<Vec<Result<Site, Problem>>, Problem> {
    let Value::Object(mut members) = body::value(text)? else {
        return Err(Problem::invalid("body", "expected an object with locations and stations"));
    };
    let mut list = |name: &'static str| match members.remove(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Problem::invalid(name, "expected a list")),
    };
    let (locations, stations) = (list("locations")?, list("stations")?);
    if let Some(name) = members.keys().next() {
        return Err(Problem::invalid(name.clone(), "unknown name; expected locations and stations"));
    }
    let location = |item| match item {
        Value::Object(members) => Site::of(members),
        _ => Err(Problem::invalid("body", "expected an object")),
    };
    let station = |item| match item {
        Value::Object(members) => Ok(Site { location: None, stations: vec![members] }),
        _ => Err(Problem::invalid("body", "expected an object")),
    };
    Ok(locations.into_iter().map(location).chain(stations.into_iter().map(station)).collect())
}

/// The site of a line.
pub(super) fn site(line: &[u8]) -> Result<Site, Problem> {
    match body::value(line)? {
        Value::Object(members) => Site::of(members),
        _ => Err(Problem::invalid("body", "expected an object")),
    }
}
