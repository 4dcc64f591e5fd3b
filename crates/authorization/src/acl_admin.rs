//! Administers acl-service for another service: lists, groups, public stations and members. Every change may be
//! repeated, so a caller that got no answer simply repeats it.

mod answers;
mod lists;
mod platform;

use std::time::Duration;

use common::error_chain::root_cause;
use common::on_behalf_of::{HEADER, OnBehalfOf};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service_runtime::service_client;
use store::PageQuery;
use url::Url;

use crate::AclAccess;
pub use lists::GroupChanged;

/// The client that changes and lists what acl-service keeps. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct AclAdmin {
    http: reqwest::Client,
    base: Url,
    on_behalf_of: Option<OnBehalfOf>,
}

/// Why acl-service did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclAdminError {
    /// There is no answer, or acl-service or its store is away. A change may have been made; repeat it later.
    #[error("acl-service cannot do it at present: {0}")]
    Unavailable(String),
    /// The key is missing or wrong, or lacks the scope.
    #[error("acl-service rejected the key ({0})")]
    Key(StatusCode),
    /// This acl-service is of an earlier version, which does not know the call. Repeat it after the upgrade.
    #[error("acl-service is of an earlier version, which does not know this call")]
    Outdated,
    /// There is no such group.
    #[error("{0}")]
    NotFound(String),
    /// The request is refused; repeated, it would be refused again.
    #[error("acl-service refused the request ({status}): {field}: {detail}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The part of the request that is at fault.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// The members of a problem that the client reads.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    field: String,
    detail: String,
}

impl AclAdminError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Outdated)
    }

    fn unreadable(why: &str) -> Self {
        Self::Unavailable(format!("its answer cannot be read: {why}"))
    }

    fn of(status: StatusCode, refusal: Refusal) -> Self {
        let Refusal { field, detail } = refusal;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Key(status),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Self::Unavailable(detail),
            status if status.is_server_error() => Self::Unavailable(format!("{status}: {detail}")),
            StatusCode::METHOD_NOT_ALLOWED => Self::Outdated,
            StatusCode::NOT_FOUND if field == "name" => Self::NotFound(detail),
            StatusCode::NOT_FOUND => Self::Outdated,
            status => Self::Refused { status, field, detail },
        }
    }
}

impl AclAdmin {
    /// The maximum number of stations or members that one call adds, and that it removes.
    pub const MAX_CHANGES: usize = 1000;

    /// A client for the service at this URL. Every call ends within `limit`.
    ///
    /// # Errors
    /// Returns an error if the HTTP client cannot be created.
    pub fn new(base: Url, access: &AclAccess, limit: Duration) -> Result<Self, reqwest::Error> {
        let builder = service_client::builder(access.key.as_ref(), access.authorities.as_deref())?;
        let http = builder.redirect(Policy::none()).timeout(limit).build()?;
        Ok(Self { http, base, on_behalf_of: None })
    }

    /// A client whose changes stand in the audit trail as made for this person or program.
    #[must_use]
    pub fn on_behalf_of(&self, author: OnBehalfOf) -> Self {
        Self { on_behalf_of: Some(author), ..self.clone() }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AclAdminError> {
        self.call(Method::GET, path).await
    }

    /// One page of a list.
    async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &PageQuery<'_>,
    ) -> Result<T, AclAdminError> {
        let mut url = service_client::url(&self.base, path);
        url.query_pairs_mut().append_pair("limit", &query.limit.to_string());
        for (name, value) in [("cursor", query.cursor), ("search", query.search)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.send(self.http.get(url)).await
    }

    /// A call without a body.
    async fn call<T: DeserializeOwned>(&self, method: Method, path: &[&str]) -> Result<T, AclAdminError> {
        self.send(self.http.request(method, service_client::url(&self.base, path))).await
    }

    /// A call with a body.
    async fn call_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, AclAdminError> {
        self.send(self.http.request(method, service_client::url(&self.base, path)).json(body)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, AclAdminError> {
        let unavailable =
            |error: reqwest::Error| AclAdminError::Unavailable(root_cause(&error.without_url()));
        let request = match &self.on_behalf_of {
            Some(author) => request.header(HEADER, author.as_str()),
            None => request,
        };
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unavailable)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| AclAdminError::unreadable("unexpected members"));
        }
        Err(AclAdminError::of(status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
