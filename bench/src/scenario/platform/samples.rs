//! What is asked for: cursors, words, points and ids that exist in the database.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::system::voltgate::Platform;

const PAGE: usize = 500;
/// Enough stations to draw from.
const STATIONS: usize = 20_000;

/// A location, as far as queries need it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) id: String,
    /// In the order of their appearance in the name, the address and the city.
    pub(super) words: Vec<String>,
    pub(super) city: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// All locations, and some stations.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    pub(super) places: Vec<Place>,
    /// Those of the city with the most locations.
    pub(super) dense: Vec<usize>,
    pub(super) stations: Vec<String>,
    /// The names of their chargers.
    pub(super) chargers: Vec<String>,
    /// Cursors of pages of 50.
    pub(super) cursors: Vec<String>,
}

/// Numbers that repeat (a linear congruential generator): every run asks for the same.
#[derive(Debug, Clone)]
pub(super) struct Draw(u64);

impl Samples {
    pub(super) async fn of(platform: &Platform) -> Result<Self> {
        let mut places = Vec::new();
        pages(platform, &format!("locations?limit={PAGE}"), usize::MAX, |items, _| {
            places.extend(items.iter().filter_map(Place::of));
        })
        .await?;
        let (mut stations, mut chargers) = (Vec::new(), Vec::new());
        pages(platform, &format!("stations?limit={PAGE}"), STATIONS / PAGE, |items, _| {
            let text = |name: &'static str| {
                items.iter().filter_map(move |item| Some(item[name].as_str()?.to_owned()))
            };
            stations.extend(text("id"));
            chargers.extend(text("charger"));
        })
        .await?;
        let mut cursors = Vec::new();
        pages(platform, "locations?limit=50", usize::MAX, |_, cursor| {
            cursors.extend(cursor.map(str::to_owned));
        })
        .await?;
        let mut cities: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, place) in places.iter().enumerate() {
            cities.entry(&place.city).or_default().push(index);
        }
        let dense = cities.into_values().max_by_key(Vec::len).context("there are no locations")?;
        Ok(Self { places, dense, stations, chargers, cursors })
    }
}

impl Place {
    fn of(item: &Value) -> Option<Self> {
        let text = |name: &str| item[name].as_str();
        let degrees = |name: &str| item["coordinates"][name].as_str()?.parse().ok();
        let all = [text("name")?, text("address")?, text("city")?].join(" ").to_lowercase();
        let words = all.split(|letter: char| !letter.is_alphanumeric());
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Some(Self {
            id: text("id")?.to_owned(),
            words,
            city: text("city")?.to_owned(),
            latitude: degrees("latitude")?,
            longitude: degrees("longitude")?,
        })
    }
}

impl Draw {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).unwrap_or_default();
        high % end.max(1)
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Calls `each` with the items and the cursor of each page.
async fn pages(
    platform: &Platform,
    path: &str,
    most: usize,
    mut each: impl FnMut(&[Value], Option<&str>),
) -> Result<()> {
    let mut cursor = String::new();
    for _ in 0..most {
        let page: Value = platform.get(&format!("{path}&cursor={cursor}")).await?;
        let next = page["cursor"].as_str();
        each(page["items"].as_array().map(Vec::as_slice).unwrap_or_default(), next);
        match next {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    Ok(())
}
