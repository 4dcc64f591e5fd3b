//! The query parameters of this service's lists: `cursor`, `limit`, `search`.

use http_server::Problem;
use serde::Deserialize;
use store::PageQuery;
use utoipa::IntoParams;

const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;
const MIN_SEARCH: usize = 3;
const MAX_SEARCH: usize = 80;

/// The parameters as the URL has them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// The cursor of the previous page
    cursor: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Documented by the lists that can be searched; the others reject it by its name.
    #[param(ignore)]
    search: Option<String>,
}

impl Paging {
    /// The query of a list that cannot be searched.
    pub(crate) fn query(&self) -> Result<PageQuery<'_>, Problem> {
        match self.search {
            Some(_) => Err(Problem::invalid("search", "this list cannot be searched")),
            None => self.query_with_search(),
        }
    }

    pub(crate) fn query_with_search(&self) -> Result<PageQuery<'_>, Problem> {
        let search = match self.search.as_deref() {
            Some(part) if !searchable(part) => {
                let why = "expected a part of a driver token: 3 to 80 characters of A-Z a-z 0-9 - . _ ~";
                return Err(Problem::invalid("search", why));
            }
            part => part,
        };
        Ok(PageQuery { cursor: cursor(self.cursor.as_ref()), limit: limit(self.limit.as_deref())?, search })
    }
}

/// An empty cursor counts as absent.
pub(crate) fn cursor(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|cursor| !cursor.is_empty())
}

pub(crate) fn limit(text: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(DEFAULT_PAGE) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    limit.ok_or_else(|| Problem::invalid("limit", format!("expected a number from 1 to {MAX_PAGE}")))
}

/// Whether the text uses a token's alphabet, in which no character is special in a Redis pattern.
fn searchable(part: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (MIN_SEARCH..=MAX_SEARCH).contains(&part.len()) && part.bytes().all(unreserved)
}
