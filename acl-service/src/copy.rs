//! Copies a station's list to another station, page by page.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::StationId;
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, body, input};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Change, Counts, Entry, Listing, Page, PageQuery, StoreError};
use utoipa::ToSchema;

use crate::actor::{Author, actor};
use crate::changes::Changes;
use crate::error::{AclError, Answer};

const MAX_BODY: usize = 1024;
const PAGE: u32 = 500;

/// How to treat the existing entries of the other list
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CopyMode)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Existing entries are kept.
    #[default]
    Add,
    /// Existing entries are replaced, and those that are not on the copied list are removed.
    Replace,
}

#[derive(Serialize, Default, ToSchema)]
#[schema(as = Copied)]
pub(crate) struct CopyReport {
    success: bool,
    /// Entries that were created or replaced
    added: u64,
    removed: u64,
    /// The size of the other station's list afterwards
    new_size: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyTo {
    #[serde(deserialize_with = "input::parsed")]
    to: StationId,
    /// How to treat the other list's existing entries: `add` keeps them, `replace` makes the other list the same
    mode: Option<Mode>,
}

/// Copy a station's list to another station
///
/// With `add`, existing entries are kept.
#[utoipa::path(post, path = "/station/{station_id}/acl/copy", operation_id = "copy_list", tag = "lists",
    params(("station_id" = StationId, Path), Author), request_body = CopyTo,
    responses((status = 200, description = "The list is copied", body = CopyReport), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn copy(
    store: Data<AccessStore>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let from: StationId = path.parse()?;
    let CopyTo { to, mode } = body::json(&body::read(&request, payload, MAX_BODY).await?)?;
    if from == to {
        return Err(Problem::invalid("to", "it is the same station").into());
    }
    let changes = Changes::new(&store, actor(&request)?, "copy");
    let mut copied = CopyReport::default();
    let done = run(&changes, from, to, mode.unwrap_or_default(), &mut copied).await;
    let counts = Counts { applied: copied.added + copied.removed, ..Counts::default() };
    if let Err(error) = done {
        changes.failed(Some(counts)).await;
        let report = serde_json::to_value(&copied).unwrap_or_default();
        return Err(AclError::Interrupted { error, report });
    }
    changes.applied(counts).await;
    copied.success = true;
    Ok(HttpResponse::Ok().json(copied))
}

/// Adds the new entries first, so that a driver who is on both lists is never absent from the second.
async fn run(
    changes: &Changes,
    from: StationId,
    to: StationId,
    mode: Mode,
    copied: &mut CopyReport,
) -> Result<(), StoreError> {
    let store = changes.store();
    for kind in [Kind::Listed, Kind::Timed] {
        let mut cursor = Some(String::new());
        while let Some(place) = cursor {
            let (entries, next) = page(store, from, kind, &place).await?;
            let admit = |entry| match mode {
                Mode::Add => (to, Change::AdmitIfAbsent(entry)),
                Mode::Replace => (to, Change::Admit(entry)),
            };
            copied.added += changes.each(&entries.into_iter().map(admit).collect::<Vec<_>>()).await?;
            cursor = next;
        }
    }
    if mode == Mode::Replace {
        for kind in [Kind::Listed, Kind::Timed] {
            copied.removed += remove_others(changes, from, to, kind).await?;
        }
    }
    copied.new_size = store.lists.page(to, &PageQuery { limit: 1, ..PageQuery::default() }).await?.size;
    Ok(())
}

/// Removes the drivers of the second list who are not on the first.
async fn remove_others(
    changes: &Changes,
    from: StationId,
    to: StationId,
    kind: Kind,
) -> Result<u64, StoreError> {
    let (mut removed, mut cursor) = (0, Some(String::new()));
    while let Some(place) = cursor {
        let (entries, next) = page(changes.store(), to, kind, &place).await?;
        let pairs: Vec<_> = entries.into_iter().map(|entry| (from, entry.token)).collect();
        let kept = changes.store().lists.has_entries(&pairs).await?;
        let others = pairs.into_iter().zip(kept).filter(|(_, kept)| !kept);
        let others: Vec<_> = others.map(|((_, token), _)| (to, Change::Remove(token))).collect();
        removed += changes.each(&others).await?;
        cursor = next;
    }
    Ok(removed)
}

/// Active entries and entries that have yet to begin are listed separately.
#[derive(Clone, Copy)]
enum Kind {
    Listed,
    Timed,
}

async fn page(
    store: &AccessStore,
    station: StationId,
    kind: Kind,
    cursor: &str,
) -> Result<(Vec<Entry>, Option<String>), StoreError> {
    let query = PageQuery { cursor: (!cursor.is_empty()).then_some(cursor), limit: PAGE, search: None };
    match kind {
        Kind::Listed => {
            let Page { entries, next, .. } = store.lists.page(station, &query).await?;
            Ok((entries, next))
        }
        Kind::Timed => {
            let Listing { items, next } = store.lists.timed(station, &query).await?;
            Ok((items, next))
        }
    }
}
