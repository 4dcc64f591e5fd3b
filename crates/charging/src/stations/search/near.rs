//! Locations near a point.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Wanted, Words};
use crate::db::{DbError, Tx, filled, on, statements};
use crate::stations::coordinates::Coordinates;
use crate::stations::locations::{Location, Stored, columns};

/// The parameters from `$4` on.
macro_rules! locations {
    () => {
        "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
         $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, \
         $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, \
         $64, $65, $66, $67, $68, $69, $70, $71, $72, $73, $74, $75, $76, $77, $78, $79, $80, $81, $82, $83, \
         $84, $85, $86, $87, $88, $89, $90, $91, $92, $93, $94, $95, $96, $97, $98, $99, $100, $101, $102, $103"
    };
}

statements! {
    BOXED = "SELECT id, latitude, longitude FROM locations WHERE latitude BETWEEN $1 AND $2 \
             AND (longitude BETWEEN $3 AND $4 OR longitude BETWEEN $5 AND $6)";
    /// Those that a word leaves in the box, from `location_words_place` alone.
    BOXED_WITH_WORD = "SELECT location_id, at_latitude, at_longitude FROM location_words WHERE word >= $7 AND word < $8 \
                       AND (NOT of_charger OR $9) AND at_latitude BETWEEN $1 AND $2 \
                       AND (at_longitude BETWEEN $3 AND $4 OR at_longitude BETWEEN $5 AND $6)";
    /// Those that a rare connector leaves, wherever they are.
    FEW_WITH_CONNECTOR = "SELECT l.id, l.latitude, l.longitude FROM connectors k JOIN locations l ON l.id = k.location_id \
                          WHERE k.standard = $1 LIMIT $2";
    WITH_CONNECTOR = concat!("SELECT DISTINCT location_id FROM connectors WHERE (CAST($1 AS text) IS NULL OR standard = $1) \
                AND (CAST($2 AS bigint) IS NULL OR max_power_w >= $2) AND (CAST($3 AS text) IS NULL OR evse_status = $3) \
                AND location_id IN (", locations!(), ")");
    WITH_WORD = concat!("SELECT DISTINCT location_id FROM location_words WHERE word >= $1 AND word < $2 \
                AND (NOT of_charger OR $3) AND location_id IN (", locations!(), ")");
    SOME = concat!("SELECT ", columns!(), " FROM locations WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
}

/// The parameters of `SOME`.
const AT_ONCE: usize = 10;
/// The locations of `WITH_CONNECTOR` and `WITH_WORD`.
const CHECKED_AT_ONCE: usize = 100;

/// A word that stands at fewer locations than this is looked for in the whole box at once. One that stands at more is soon found
/// around the point.
const FEW_WORDS: i64 = 20_000;
/// A connector that fewer locations have is looked for everywhere. Reading many for nothing takes ten milliseconds.
const FEW_CONNECTORS: usize = 200;

/// The first box is this part of the radius, and each further one reaches a multiple of the one before.
const FIRST_PART: i64 = 64;
const WIDER: i64 = 4;
/// A smaller box saves nothing.
const MIN_REACH_M: i64 = 500;

/// A location and its place, in millionths of a degree.
type Placed = (Uuid, i64, i64);

/// What a location near the point must have.
struct Conditions<'a> {
    words: Option<&'a Words>,
    sees_chargers: bool,
    wanted: Wanted,
}

/// Locations within a distance, nearest first, with their distances in metres.
///
/// The box around the point is read from the index alone, a small one first, and a larger one only while the page is not
/// full: around a large city there may be thousands of locations. What else is asked for is looked up for the nearest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
#[expect(clippy::too_many_arguments, reason = "each narrows the search")]
pub async fn near(
    tx: &mut Tx,
    place: Coordinates,
    radius_m: i64,
    words: Option<&Words>,
    sees_chargers: bool,
    wanted: Wanted,
    after: (i64, Uuid),
    limit: usize,
) -> Result<Vec<(i64, Location)>, DbError> {
    let conditions = Conditions { words, sees_chargers, wanted };
    let few = conditions.few(tx, place, radius_m).await?;
    let mut chosen = Vec::new();
    let mut reach = if few.is_some() { radius_m } else { first_reach(radius_m, after.0) };
    // Locations up to this distance are chosen or passed over already.
    let mut passed = None;
    loop {
        let placed = match &few {
            Some(few) => few.clone(),
            None => boxed(tx, place, reach).await?,
        };
        let distance =
            |(id, latitude, longitude)| (place.metres_to(Coordinates::from_micros(latitude, longitude)), id);
        let mut near: Vec<(i64, Uuid)> = placed.into_iter().map(distance).collect();
        near.retain(|found| found.0 <= reach && Some(found.0) > passed && *found > after);
        near.sort_unstable();
        near.dedup();
        for some in near.chunks(CHECKED_AT_ONCE) {
            chosen.extend(conditions.met_by(tx, some).await?);
            if chosen.len() >= limit {
                break;
            }
        }
        if chosen.len() >= limit || reach >= radius_m {
            break;
        }
        passed = Some(reach);
        reach = reach.saturating_mul(WIDER).min(radius_m);
    }
    chosen.truncate(limit);
    with_locations(tx, &chosen).await
}

/// How far the first box reaches: not far, but beyond where the page begins.
fn first_reach(radius_m: i64, begins_at: i64) -> i64 {
    let mut reach = (radius_m / FIRST_PART).max(MIN_REACH_M);
    while reach <= begins_at {
        reach = reach.saturating_mul(WIDER);
    }
    reach.min(radius_m)
}

/// The locations in the box around the point.
async fn boxed(tx: &mut Tx, place: Coordinates, radius_m: i64) -> Result<Vec<Placed>, DbError> {
    let around = place.surroundings(radius_m);
    let [one_side, other_side] = around.longitudes;
    Ok(on!(tx, |c| {
        let query = sqlx::query_as(BOXED).bind(around.latitudes.0).bind(around.latitudes.1);
        let query = query.bind(one_side.0).bind(one_side.1).bind(other_side.0).bind(other_side.1);
        query.fetch_all(c).await
    })?)
}

impl Conditions<'_> {
    /// The locations that a word or a connector leaves; `None` if they are not few, or nothing of the kind is asked for.
    async fn few(
        &self,
        tx: &mut Tx,
        place: Coordinates,
        radius_m: i64,
    ) -> Result<Option<Vec<Placed>>, DbError> {
        if let Some(words) = self.words {
            let count = words.how_often(tx, 0, self.sees_chargers, FEW_WORDS).await?;
            let is_rare = count < FEW_WORDS;
            return Ok(if is_rare {
                Some(self.boxed_with_word(tx, words, place, radius_m).await?)
            } else {
                None
            });
        }
        let Some(standard) = self.wanted.standard else { return Ok(None) };
        let limit = i64::try_from(FEW_CONNECTORS).unwrap_or_default() + 1;
        let found: Vec<Placed> = on!(tx, |c| {
            sqlx::query_as(FEW_WITH_CONNECTOR).bind(standard).bind(limit).fetch_all(c).await
        })?;
        Ok(Some(found).filter(|found| found.len() <= FEW_CONNECTORS))
    }

    async fn boxed_with_word(
        &self,
        tx: &mut Tx,
        words: &Words,
        place: Coordinates,
        radius_m: i64,
    ) -> Result<Vec<Placed>, DbError> {
        let around = place.surroundings(radius_m);
        let ([one_side, other_side], (from, to)) = (around.longitudes, words.range(0));
        Ok(on!(tx, |c| {
            let query = sqlx::query_as(BOXED_WITH_WORD).bind(around.latitudes.0).bind(around.latitudes.1);
            let query = query.bind(one_side.0).bind(one_side.1).bind(other_side.0).bind(other_side.1);
            query.bind(from).bind(to).bind(self.sees_chargers).fetch_all(c).await
        })?)
    }

    /// Those of these locations that meet the conditions, in the same order.
    async fn met_by(&self, tx: &mut Tx, some: &[(i64, Uuid)]) -> Result<Vec<(i64, Uuid)>, DbError> {
        let mut some = some.to_vec();
        if !self.wanted.anything() {
            let found = self.with_connector(tx, &some).await?;
            some.retain(|(_, id)| found.contains(id));
        }
        for index in 0..self.words.map_or(0, |words| words.0.len()) {
            let found = self.with_word(tx, &some, index).await?;
            some.retain(|(_, id)| found.contains(id));
        }
        Ok(some)
    }

    async fn with_connector(&self, tx: &mut Tx, some: &[(i64, Uuid)]) -> Result<HashSet<Uuid>, DbError> {
        let Wanted { standard, min_power_w, .. } = self.wanted;
        let found: Vec<(Uuid,)> = on!(tx, |c| {
            let query =
                sqlx::query_as(WITH_CONNECTOR).bind(standard).bind(min_power_w).bind(self.wanted.status());
            filled::<CHECKED_AT_ONCE>(ids(some)).fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    async fn with_word(
        &self,
        tx: &mut Tx,
        some: &[(i64, Uuid)],
        index: usize,
    ) -> Result<HashSet<Uuid>, DbError> {
        let Some(words) = self.words.filter(|_| !some.is_empty()) else { return Ok(HashSet::new()) };
        let (from, to) = words.range(index);
        let found: Vec<(Uuid,)> = on!(tx, |c| {
            let query = sqlx::query_as(WITH_WORD).bind(from).bind(to).bind(self.sees_chargers);
            filled::<CHECKED_AT_ONCE>(ids(some)).fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }
}

fn ids(some: &[(i64, Uuid)]) -> impl Iterator<Item = Uuid> {
    some.iter().map(|(_, id)| *id)
}

async fn with_locations(tx: &mut Tx, chosen: &[(i64, Uuid)]) -> Result<Vec<(i64, Location)>, DbError> {
    let mut locations = HashMap::with_capacity(chosen.len());
    for some in chosen.chunks(AT_ONCE) {
        let found: Vec<Stored> = on!(tx, |c| {
            let query = sqlx::query_as(SOME);
            filled::<AT_ONCE>(ids(some)).fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        for location in found.into_iter().map(Location::try_from) {
            let location = location?;
            locations.insert(location.id, location);
        }
    }
    Ok(chosen
        .iter()
        .filter_map(|(metres, id)| locations.remove(id).map(|location| (*metres, location)))
        .collect())
}
