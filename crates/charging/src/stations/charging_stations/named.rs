//! Stations by the OCPP names of their chargers.

use uuid::Uuid;

use super::{Station, StationRow, at_locations, with_evses};
use crate::accounts::prefix_pattern;
use crate::db::{At, DbError, Tx, on, statements};

statements! {
    LIST = concat!("SELECT ", columns!(), " FROM stations WHERE charger > $1 \
         AND ($3 = '' OR UPPER(charger) LIKE $3 ESCAPE '!') AND ($4 = '' OR online = ($4 = 'online')) \
         ORDER BY charger LIMIT $2");
    TOUCH = "UPDATE stations SET version = version + 1, updated_at = $2 WHERE id = $1";
}

/// Which chargers are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those whose name begins so, in upper or lower case.
    pub prefix: Option<String>,
    /// Those that are connected, or those that are not.
    pub online: Option<bool>,
    /// Those at these locations.
    pub places: Option<Vec<Uuid>>,
}

impl Filter {
    fn state(&self) -> &'static str {
        match self.online {
            None => "",
            Some(true) => "online",
            Some(false) => "offline",
        }
    }

    fn has(&self, row: &StationRow, after: &str) -> bool {
        let begins = |name: &str, prefix: &str| name.to_uppercase().starts_with(&prefix.to_uppercase());
        let named = row.charger.as_deref().is_some_and(|name| {
            name > after && self.prefix.as_deref().is_none_or(|prefix| begins(name, prefix))
        });
        named && self.online.is_none_or(|online| row.online == online)
    }
}

/// The stations whose charger has a name after this one, by that name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, filter: &Filter, after: &str, limit: i64) -> Result<Vec<Station>, DbError> {
    if let Some(places) = &filter.places {
        let mut found = at_locations(tx, places).await?;
        found.retain(|station| filter.has(&station.row, after));
        found.sort_by(|one, other| one.row.charger.cmp(&other.row.charger));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        return Ok(found);
    }
    let prefix = filter.prefix.as_deref().map(prefix_pattern).unwrap_or_default().to_uppercase();
    let rows: Vec<StationRow> = on!(tx, |c| {
        let query = sqlx::query_as(LIST).bind(after).bind(limit).bind(prefix);
        query.bind(filter.state()).fetch_all(c).await
    })?;
    with_evses(tx, rows).await
}

/// Raises the version of a station whose charger an operator has changed.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn touch(tx: &mut Tx, id: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(TOUCH).bind(id).bind(At::now()).execute(c).await.map(drop))?;
    Ok(())
}
