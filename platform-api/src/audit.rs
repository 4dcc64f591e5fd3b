//! `/api/v1/audit`: what people and keys did to others, and why. Staff see what was done to accounts that work at their sites.

use std::collections::BTreeSet;

use actix_web::web::{Data, get};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::audit::{self, Entry, Subjects};
use charging::accounts::roles;
use charging::{At, Db, DbError, Tx};
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Access, Query, Resource, caller, input, resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Answer;
use crate::paging::ById;
use crate::patch::QueryId;
use crate::permissions::{self, Reach};

pub(crate) fn resources() -> Vec<Resource> {
    const SEE: Access = Access::Granted(permissions::SEE_USERS);
    vec![resource("/api/v1/audit", &[("GET", SEE)]).route(get().to(list))]
}

/// A page of the audit trail
#[derive(Serialize, ToSchema)]
#[schema(as = Audit)]
pub(crate) struct AuditPage {
    items: Vec<EntryView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// An entry of the audit trail
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryView {
    id: Uuid,
    at: At,
    /// Who did it: `account:<id>`, `key:<id>`, or a part of Voltgate
    actor: String,
    /// What was done, such as `account.status`
    action: String,
    /// What it was done to, such as `account`
    subject: String,
    subject_id: Uuid,
    /// Why; null also once the account is erased
    #[schema(required)]
    reason: Option<String>,
    /// What else is to be known
    #[schema(value_type = Object)]
    data: Value,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Entries about this account
    #[serde(default, deserialize_with = "input::optional")]
    #[param(value_type = Option<Uuid>)]
    subject_id: Option<QueryId>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// The audit trail, newest first
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", tag = "users", params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = AuditPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<AuditQuery>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_USERS);
    let page = ById::descending(query.limit.as_deref(), query.cursor.as_deref())?;
    let wanted = query.subject_id.map(|QueryId(id)| id);
    let found = db.read(async |tx| {
        let subjects = subjects(tx, &reach, wanted).await?;
        audit::list(tx, &subjects, page.from, page.one_more()).await
    });
    let mut found: Vec<Entry> = found.await?;
    let cursor = page.cut(&mut found, |last| last.id);
    let items = found.into_iter().map(EntryView::from).collect();
    Ok(HttpResponse::Ok().json(AuditPage { items, cursor }))
}

async fn subjects(tx: &mut Tx, reach: &Reach, wanted: Option<Uuid>) -> Result<Subjects, DbError> {
    let mut within = match reach.places() {
        None => return Ok(wanted.map_or(Subjects::All, |id| Subjects::These(BTreeSet::from([id])))),
        Some(places) => roles::at(tx, &places, None).await?,
    };
    if let Some(wanted) = wanted {
        within.retain(|id| *id == wanted);
    }
    Ok(Subjects::These(within))
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            subject_id: entry.subject_id,
            reason: entry.reason,
            data: entry.data.0,
        }
    }
}
