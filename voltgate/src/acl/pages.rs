//! A list from acl-service, page by page.

use serde_json::Value;
use service_runtime::exit::Failure;

use crate::client::Service;

const LIMIT: &str = "500";

/// The remaining pages of a list.
pub(super) struct Pages<'a> {
    acl: &'a Service,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// The cursor of the next page; `None` at the end.
    cursor: Option<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn of(acl: &'a Service, path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { acl, path, query: vec![("limit", LIMIT.to_owned())], cursor: Some(String::new()) }
    }

    /// Adds a filter, if a value is set.
    pub(super) fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    pub(super) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let (http, mut url) = self.acl.url(&path);
        url.query_pairs_mut().extend_pairs(&self.query).append_pair("cursor", &cursor);
        let page: Value = self.acl.send(http.get(url)).await?;
        self.cursor = page["cursor"].as_str().map(str::to_owned);
        Ok(Some(page))
    }
}
