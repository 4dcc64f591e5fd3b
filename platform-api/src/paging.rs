//! Pages of lists: a cursor that only the server reads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_server::{Problem, query};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

/// The place that a cursor names; that of the first page if there is none, or it is empty, for clients that always send
/// the parameter.
pub(crate) fn after<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    place.map(Some).ok_or_else(bad_cursor)
}

/// 400 for a cursor.
pub(crate) fn bad_cursor() -> Problem {
    Problem::invalid("cursor", "expected the cursor of a page of the same search")
}

/// The cursor of the page after this place.
pub(crate) fn cursor(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// The parameters of a list that has no others
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// A page of a list that goes by ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ById {
    limit: u16,
    /// The page has ids after this one, or before it in a list of the newest first.
    pub(crate) from: Uuid,
}

impl PageQuery {
    pub(crate) fn by_id(&self) -> Result<ById, Problem> {
        ById::ascending(self.limit.as_deref(), self.cursor.as_deref())
    }

    pub(crate) fn newest_first(&self) -> Result<ById, Problem> {
        ById::descending(self.limit.as_deref(), self.cursor.as_deref())
    }
}

impl ById {
    /// Of a list that begins with the lowest id.
    pub(crate) fn ascending(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, Problem> {
        Self::beginning(Uuid::nil(), limit, cursor)
    }

    /// Of a list that begins with the highest id.
    pub(crate) fn descending(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, Problem> {
        Self::beginning(Uuid::max(), limit, cursor)
    }

    fn beginning(first: Uuid, limit: Option<&str>, cursor: Option<&str>) -> Result<Self, Problem> {
        Ok(Self { limit: query::limit(limit)?, from: after(cursor)?.unwrap_or(first) })
    }

    /// How many items to read: one more than the page has, which says whether there is a next one.
    pub(crate) fn one_more(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what was read to the page, and returns the cursor of the next one.
    pub(crate) fn cut<T>(self, found: &mut Vec<T>, id: impl FnOnce(&T) -> Uuid) -> Option<String> {
        let more = found.len() > usize::from(self.limit);
        found.truncate(usize::from(self.limit));
        found.last().filter(|_| more).map(|last| cursor(&id(last)))
    }
}

/// Cuts a list that has one item more than the page, and returns the last item of the page if there are more.
pub(crate) fn cut<T: Clone>(items: &mut Vec<T>, limit: u16) -> Option<T> {
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    if more { items.last().cloned() } else { None }
}
