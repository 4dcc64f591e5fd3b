//! Finding locations: by words, and near a point.

pub(crate) mod near;

use std::collections::BTreeSet;

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

use super::connectors::{EvseStatus, Standard};
use super::coordinates::Coordinates;
use super::locations::{Location, Stored, columns};
use crate::db::{DbError, Tx, on, statements};

pub use self::near::near;

/// Which of its connectors a location is found by: one look into `connectors_offer`. A parameter that is not given is null, and
/// the condition true.
macro_rules! offers {
    ($location:literal, $standard:literal, $power:literal, $available:literal) => {
        concat!(
            "((CAST(",
            $standard,
            " AS text) IS NULL AND CAST(",
            $power,
            " AS bigint) IS NULL AND CAST(",
            $available,
            " AS text) IS NULL) OR EXISTS (SELECT 1 FROM connectors k WHERE k.location_id = ",
            $location,
            " AND (CAST(",
            $standard,
            " AS text) IS NULL OR k.standard = ",
            $standard,
            ")",
            " AND (CAST(",
            $power,
            " AS bigint) IS NULL OR k.max_power_w >= ",
            $power,
            ")",
            " AND (CAST(",
            $available,
            " AS text) IS NULL OR k.evse_status = ",
            $available,
            // The OFFSET keeps PostgreSQL from looking at all connectors of the network first.
            ") LIMIT 1 OFFSET 0))"
        )
    };
}

/// In the order of the index, so that a page costs no more than its own rows. A location that has several words with the prefix
/// is found by the first of them. Strangers have a statement of their own, for which there is an index.
macro_rules! by_word {
    ($found:literal, $other:literal, $before:literal) => {
        concat!(
            "SELECT w.word, ",
            columns!(),
            " FROM location_words w JOIN locations ON locations.id = w.location_id WHERE \
             (w.word, w.location_id) > ($3, $4) AND w.word < $2 AND ",
            $found,
            " AND NOT EXISTS (SELECT 1 FROM location_words o WHERE o.location_id = w.location_id AND o.word >= $1 AND ",
            $other,
            " AND ",
            $before,
            ") AND (CAST($5 AS text) IS NULL OR EXISTS (SELECT 1 FROM location_words o WHERE o.location_id = w.location_id \
             AND o.word >= $5 AND o.word < $6 AND ",
            $other,
            " LIMIT 1 OFFSET 0)) AND (CAST($7 AS text) IS NULL OR EXISTS (SELECT 1 FROM location_words o WHERE o.location_id = w.location_id \
             AND o.word >= $7 AND o.word < $8 AND ",
            $other,
            " LIMIT 1 OFFSET 0)) AND ",
            offers!("w.location_id", "$9", "$10", "$11"),
            " ORDER BY w.word, w.location_id LIMIT $12"
        )
    };
}

statements! {
    FORGET = "DELETE FROM location_words WHERE location_id = $1 AND of_charger = $2";
    ADD = "INSERT INTO location_words (word, location_id, of_charger, at_latitude, at_longitude) \
           SELECT w.column1, l.id, CAST($2 AS boolean), l.latitude, l.longitude \
           FROM (VALUES ($3), ($4), ($5), ($6), ($7), ($8)) AS w JOIN locations l ON l.id = $1 WHERE TRUE ON CONFLICT DO NOTHING";
    MOVE = "UPDATE location_words SET at_latitude = $2, at_longitude = $3 WHERE location_id = $1 \
            AND (at_latitude IS DISTINCT FROM $2 OR at_longitude IS DISTINCT FROM $3)";
    BY_WORD = by_word!("TRUE", "TRUE", "(o.word < w.word OR (o.word = w.word AND w.of_charger AND NOT o.of_charger))");
    BY_OPEN_WORD = by_word!("NOT w.of_charger", "NOT o.of_charger", "o.word < w.word");
    HOW_OFTEN = "SELECT COUNT(*) FROM (SELECT 1 FROM location_words WHERE word >= $1 AND word < $2 AND (NOT of_charger OR $3) \
                 LIMIT $4) AS found";
    BY_ID = concat!("SELECT ", columns!(), " FROM locations WHERE id > $1 AND ",
        offers!("locations.id", "$2", "$3", "$4"), " ORDER BY id LIMIT $5");
}

/// The longest prefix of a word that is stored. Longer words are found by their beginning.
const MAX_WORD: usize = 40;
/// The maximum words of a query; further ones are not needed to tell places apart.
const MAX_WORDS: usize = 3;
/// How far words are counted: among many, the difference matters little.
const COUNTED: i64 = 5000;
/// The words of `ADD`.
const WORDS_AT_ONCE: usize = 6;

/// What the EVSEs of a location must have: one of them all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A connector of this standard.
    pub standard: Option<Standard>,
    /// A connector with at least this power in watts.
    pub min_power_w: Option<i64>,
    /// An EVSE that is available now.
    pub available: bool,
}

/// The words of a query, in the form in which words are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

/// A place in the results of a search by words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The word that the location was found by; empty at the beginning.
    pub word: String,
    /// The location.
    pub location_id: Uuid,
}

/// A location with the word that it was found by.
struct FoundRow {
    word: String,
    location: Stored,
}

impl<'r, R: Row> FromRow<'r, R> for FoundRow
where
    Stored: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self { word: row.try_get("word")?, location: Stored::from_row(row)? })
    }
}

impl Wanted {
    fn status(self) -> Option<EvseStatus> {
        self.available.then_some(EvseStatus::Available)
    }

    fn anything(self) -> bool {
        self == Self::default()
    }
}

impl Words {
    /// The words of a text; `None` if it has none. The longest comes first. A word with which another one begins is left
    /// out: it asks for nothing more.
    pub fn of(text: &str) -> Option<Self> {
        let all: BTreeSet<String> = words(text).collect();
        let begins_another =
            |word: &&String| all.iter().any(|other| other != *word && other.starts_with(word.as_str()));
        let mut all: Vec<String> = all.iter().filter(|word| !begins_another(word)).cloned().collect();
        all.sort_by_key(|word| std::cmp::Reverse(word.len()));
        all.truncate(MAX_WORDS);
        (!all.is_empty()).then_some(Self(all))
    }

    /// The same with the word first that the fewest locations have: the search goes through its locations. A later page goes
    /// on with the word of the page before.
    async fn rarest_first(&self, tx: &mut Tx, sees_chargers: bool, after: &Found) -> Result<Self, DbError> {
        let mut rarest = self.0.iter().position(|word| after.word.starts_with(word.as_str()));
        if rarest.is_none() && self.0.len() > 1 {
            let mut counts = Vec::with_capacity(self.0.len());
            for index in 0..self.0.len() {
                counts.push(self.how_often(tx, index, sees_chargers, COUNTED).await?);
            }
            rarest = (0..counts.len()).min_by_key(|index| counts[*index]);
        }
        let mut words = self.0.clone();
        words.swap(0, rarest.unwrap_or_default());
        Ok(Self(words))
    }

    /// How often the word stands at locations, up to a limit.
    async fn how_often(
        &self,
        tx: &mut Tx,
        index: usize,
        sees_chargers: bool,
        limit: i64,
    ) -> Result<i64, DbError> {
        let (from, to) = self.range(index);
        let (count,): (i64,) = on!(tx, |c| {
            let query = sqlx::query_as(HOW_OFTEN).bind(from).bind(to).bind(sees_chargers);
            query.bind(limit).fetch_one(c).await
        })?;
        Ok(count)
    }

    /// The first words that are stored with this prefix and the first that are not.
    fn range(&self, index: usize) -> (Option<&str>, Option<String>) {
        let word = self.0.get(index);
        (word.map(String::as_str), word.map(|word| format!("{word}\u{10ffff}")))
    }
}

/// The words of a text: in lower case, without accents.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let plain: String = text.nfkd().filter(|letter| !is_combining_mark(*letter)).collect();
    // Unicode has no simple lower case for it, and people type both.
    let plain = plain.to_lowercase().replace('ß', "ss");
    let words: Vec<String> = plain
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect();
    words.into_iter()
}

/// Replaces the words by which a location is found.
pub(super) async fn set(
    tx: &mut Tx,
    location: Uuid,
    words: impl Iterator<Item = String>,
    of_charger: bool,
) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(FORGET).bind(location).bind(of_charger).execute(c).await.map(drop))?;
    add(tx, location, words, of_charger).await
}

/// Adds words by which a location is found.
pub(super) async fn add(
    tx: &mut Tx,
    location: Uuid,
    words: impl Iterator<Item = String>,
    of_charger: bool,
) -> Result<(), DbError> {
    let words: Vec<String> = words.collect::<BTreeSet<_>>().into_iter().collect();
    for some in words.chunks(WORDS_AT_ONCE) {
        on!(tx, |c| {
            // A word that is there already is passed over, so the last one fills the statement.
            let filled = some.iter().chain(some.last().into_iter().cycle()).take(WORDS_AT_ONCE);
            let query = sqlx::query(ADD).bind(location).bind(of_charger);
            filled.fold(query, sqlx::query::Query::bind).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Moves the words of a location to where it is now.
pub(super) async fn set_place(tx: &mut Tx, location: Uuid, place: Coordinates) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(MOVE).bind(location).bind(place.latitude.micros());
        query.bind(place.longitude.micros()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Locations that have each of these words, or a word that begins with it; those of chargers' names count only for callers
/// who may see chargers. In the order of the first word, then of the ids.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_words(
    tx: &mut Tx,
    words: &Words,
    sees_chargers: bool,
    wanted: Wanted,
    after: &Found,
    limit: i64,
) -> Result<Vec<(Found, Location)>, DbError> {
    let words = words.rarest_first(tx, sees_chargers, after).await?;
    let ((first, end), (second, second_end), (third, third_end)) =
        (words.range(0), words.range(1), words.range(2));
    // An index is read from here on, so it must not be before the prefix.
    let from = first.max(Some(after.word.as_str()));
    let found: Vec<FoundRow> = on!(tx, |c| {
        let statement = if sees_chargers { BY_WORD } else { BY_OPEN_WORD };
        let query = sqlx::query_as(statement).bind(first).bind(end).bind(from).bind(after.location_id);
        let query = query.bind(second).bind(second_end).bind(third).bind(third_end);
        let query = query.bind(wanted.standard).bind(wanted.min_power_w).bind(wanted.status());
        query.bind(limit).fetch_all(c).await
    })?;
    let found = found.into_iter().map(|FoundRow { word, location }| {
        let location = Location::try_from(location)?;
        Ok((Found { word, location_id: location.id }, location))
    });
    found.collect()
}

/// Locations with such EVSEs, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_id(tx: &mut Tx, wanted: Wanted, after: Uuid, limit: i64) -> Result<Vec<Location>, DbError> {
    if wanted.anything() {
        return super::locations::list(tx, after, limit).await;
    }
    let found: Vec<Stored> = on!(tx, |c| {
        let query = sqlx::query_as(BY_ID).bind(after).bind(wanted.standard).bind(wanted.min_power_w);
        query.bind(wanted.status()).bind(limit).fetch_all(c).await
    })?;
    found.into_iter().map(Location::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_and_accents() {
        let of = |text: &str| words(text).collect::<Vec<_>>();
        assert_eq!(of("Café Münchner-Straße 12a"), ["cafe", "munchner", "strasse", "12a"]);
        assert_eq!(of(" ... "), Vec::<String>::new());
        assert_eq!(Words::of("a Hauptbahnhof an der Brücke"), Words::of("brucke HAUPTBAHNHOF der"));
        assert_eq!(Words::of("-"), None);
    }

    #[test]
    fn a_word_that_begins_another_one_asks_for_nothing_more() {
        assert_eq!(Words::of("ber Berlin be 12"), Words::of("berlin 12"));
    }
}
