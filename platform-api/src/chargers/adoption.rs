//! What operators set of a charger: its adoption, its terms, its password, and its end.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::audit::{self, Act};
use charging::chargers::{self, ChargerTerms, Password, Registration, credentials};
use charging::core_sync::{self, Subject};
use charging::stations::charging_stations::{self, Station};
use charging::stations::{ChargerName, StationDraft};
use charging::{Db, Tx};
use http_server::conditional::etag;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, NotFound, PreconditionFailed, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Problem, body, caller, input};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ChargerPath, ChargerView, reached};
use crate::answer;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::patch::{self, QueryId, if_matches};
use crate::permissions::{Reach, actor};

/// A charger, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChargerDraft {
    /// Its station: one without a charger gets this name, and one that does not exist is created. Only where the charger is not
    /// known yet
    #[serde(default, deserialize_with = "id", skip_serializing_if = "Option::is_none")]
    station_id: Option<Uuid>,
    /// Where it is
    #[serde(default, deserialize_with = "id")]
    location_id: Option<Uuid>,
    /// Whether it is accepted; `Accepted` unless given
    #[schema(inline)]
    registration: Option<Registration>,
    /// Whether it may connect; true unless given
    enabled: Option<bool>,
    /// The lowest security profile that it may connect with: 0 none, 1 password, 2 TLS and password, 3 TLS and certificate; 0
    /// unless given
    #[schema(minimum = 0, maximum = 3)]
    security_profile: Option<i64>,
    /// Whether it may connect without naming a subprotocol; false unless given
    assume_subprotocol: Option<bool>,
    /// How many minutes it is ahead of UTC, if it sends its local time without an offset; 0 unless given
    #[schema(minimum = -840, maximum = 840)]
    clock_offset_minutes: Option<i64>,
}

merge_patch! {
    /// A merge patch of a charger
    ChargerChange of ChargerDraft
}

/// The password of a charger: one of the two
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialsDraft {
    /// A password of 16 to 40 bytes
    #[schema(min_length = 16, max_length = 40, format = "password")]
    password: Option<String>,
    /// OCPP's AuthorizationKey: 32 to 40 hexadecimal digits
    #[schema(pattern = "^([0-9A-Fa-f]{2}){16,20}$", format = "password")]
    authorization_key: Option<String>,
}

impl ChargerDraft {
    fn of(station: &Station, terms: &ChargerTerms) -> Self {
        Self {
            station_id: None,
            location_id: station.row.location_id,
            registration: Some(terms.registration),
            enabled: Some(terms.enabled),
            security_profile: Some(terms.security_profile),
            assume_subprotocol: Some(terms.assume_subprotocol),
            clock_offset_minutes: Some(terms.clock_offset_minutes),
        }
    }

    /// What is not given is as in these.
    fn terms(&self, before: ChargerTerms) -> Result<ChargerTerms, ApiError> {
        let terms = ChargerTerms {
            registration: self.registration.unwrap_or(before.registration),
            enabled: self.enabled.unwrap_or(before.enabled),
            security_profile: self.security_profile.unwrap_or(before.security_profile),
            assume_subprotocol: self.assume_subprotocol.unwrap_or(before.assume_subprotocol),
            clock_offset_minutes: self.clock_offset_minutes.unwrap_or(before.clock_offset_minutes),
        };
        terms.check().map_err(|refused| Problem::invalid(refused.field, refused.detail))?;
        Ok(terms)
    }
}

/// Adopt a charger, or change it
///
/// A charger that is not known is adopted: its station is created, or is the one with `station_id`, and it leaves the list of
/// unknown chargers. Of one that is known, what is not given stays.
#[utoipa::path(put, path = "/api/v1/chargers/{charger}", operation_id = "put_charger", tag = "chargers",
    request_body = ChargerDraft,
    params(ChargerPath,
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The charger, which was known before", body = ChargerView,
            headers(("ETag" = String, description = "Its new version"))),
        (status = 201, description = "The charger, which was adopted", body = ChargerView, headers(
            ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn put(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let name: ChargerName = path.parse().map_err(|why| Problem::invalid("charger", why))?;
    let actor = actor(&caller(&request));
    let put = db.write(async |tx| {
        let known = charging_stations::by_charger(tx, name.as_str()).await?;
        if_matches(&request, known.as_ref().map_or(0, |station| station.row.version))?;
        let draft: ChargerDraft = body::document(&body)?;
        // What is malformed is refused before what is taken.
        draft.terms(ChargerTerms::default())?;
        let is_new = known.is_none();
        let station = match known {
            Some(station) if draft.station_id.is_some_and(|id| id != station.row.id) => {
                let detail = format!("the charger belongs to the station {}", station.row.id);
                return Err(Problem::conflict("station_id", detail).into());
            }
            Some(station) => station,
            None => adopted(tx, &name, &draft).await?,
        };
        let before = chargers::find(tx, station.row.id).await?;
        let before = before.map(|charger| charger.terms()).unwrap_or_default();
        let terms = draft.terms(before)?;
        let location = draft.location_id.or(station.row.location_id);
        let action = if is_new { "charger.adopted" } else { "charger.changed" };
        Ok::<_, ApiError>((is_new, set(tx, station, location, &terms, action, &actor).await?))
    });
    let (is_new, (version, view)) = put.await?;
    live.wake();
    if !is_new {
        return Ok(answer::document(version, &view));
    }
    let place = request.path().to_owned();
    Ok(HttpResponse::Created()
        .insert_header(("location", place))
        .insert_header(("etag", etag(version)))
        .json(view))
}

/// Change a charger
///
/// A merge patch (RFC 7396): members that are given replace those of the charger; `null` sets what a new charger has.
#[utoipa::path(patch, path = "/api/v1/chargers/{charger}", operation_id = "change_charger", tag = "chargers",
    request_body = ChargerChange,
    params(ChargerPath,
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The charger", body = ChargerView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, Conflict, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let actor = actor(&caller(&request));
    let changed = db.write(async |tx| {
        let station = reached(tx, &path, &Reach::Everywhere).await?;
        if_matches(&request, station.row.version)?;
        let before = chargers::find(tx, station.row.id).await?;
        let before = before.map(|charger| charger.terms()).unwrap_or_default();
        let draft = ChargerDraft::of(&station, &before);
        let draft: ChargerDraft = patch::merged(&draft, &body, &["station_id"])?;
        let terms = draft.terms(ChargerTerms::default())?;
        let location = draft.location_id;
        set(tx, station, location, &terms, "charger.changed", &actor).await
    });
    let (version, view) = changed.await?;
    live.wake();
    Ok(answer::document(version, &view))
}

/// Delete a charger
///
/// Its station is deleted, with its EVSEs, connectors and status log. Its transactions stay.
#[utoipa::path(delete, path = "/api/v1/chargers/{charger}", operation_id = "delete_charger", tag = "chargers",
    params(ChargerPath,
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let station = reached(tx, &path, &Reach::Everywhere).await?;
        if_matches(&request, station.row.version)?;
        charging_stations::delete(tx, station.row.id, station.row.version).await?;
        record(tx, "charger.deleted", station.row.id, &actor).await?;
        core_sync::attribute(tx, Subject::Station(station.row.id), &actor).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

/// Set the password of a charger
///
/// It is never shown. The charger needs it at its next connection.
#[utoipa::path(put, path = "/api/v1/chargers/{charger}/credentials", operation_id = "set_charger_credentials",
    tag = "chargers", request_body = CredentialsDraft, params(ChargerPath),
    responses((status = 204, description = "It is set"), Invalid, NotFound, BodyTooLarge, BodyTooSlow,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn set_credentials(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let station = reached(tx, &path, &Reach::Everywhere).await?;
        let password = body::document::<CredentialsDraft>(&body)?.password()?;
        credentials::set(tx, station.row.id, Some(&password)).await?;
        record(tx, "charger.credentials", station.row.id, &actor).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

impl CredentialsDraft {
    fn password(&self) -> Result<Password, Problem> {
        match (&self.password, &self.authorization_key) {
            (Some(password), None) => Password::new(password.as_bytes())
                .ok_or_else(|| Problem::invalid("password", "expected 16 to 40 bytes")),
            (None, Some(key)) => Password::from_key(key).ok_or_else(|| {
                Problem::invalid("authorization_key", "expected 32 to 40 hexadecimal digits, an even number")
            }),
            _ => Err(Problem::invalid("password", "expected either password or authorization_key")),
        }
    }
}

fn id<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Uuid>, D::Error> {
    Ok(input::optional::<QueryId, D>(text)?.map(|id| id.0))
}

/// The station that a charger is adopted for.
async fn adopted(tx: &mut Tx, name: &ChargerName, draft: &ChargerDraft) -> Result<Station, ApiError> {
    let id = draft.station_id;
    let existing = match id {
        Some(id) => charging_stations::find(tx, id).await?,
        None => None,
    };
    let Some(existing) = existing else {
        let draft = StationDraft {
            id,
            location_id: draft.location_id,
            charger: Some(name.clone()),
            name: None,
            access: None,
            tariff_id: None,
            evses: None,
        };
        return Ok(charging_stations::create(tx, &draft).await?);
    };
    if existing.row.charger.is_some() {
        return Err(Problem::conflict("station_id", "the station has another charger").into());
    }
    let draft = StationDraft { charger: Some(name.clone()), ..existing.draft() };
    Ok(charging_stations::update(tx, existing.row.id, existing.row.version, &draft).await?)
}

/// Sets what has changed. Returns the charger with its version.
async fn set(
    tx: &mut Tx,
    mut station: Station,
    location_id: Option<Uuid>,
    terms: &ChargerTerms,
    action: &'static str,
    actor: &str,
) -> Result<(i64, ChargerView), ApiError> {
    let (id, version) = (station.row.id, station.row.version);
    if station.row.location_id != location_id {
        let draft = StationDraft { location_id, ..station.draft() };
        station = charging_stations::update(tx, id, version, &draft).await?;
    }
    let before = chargers::find(tx, id).await?;
    if before.is_none_or(|charger| charger.terms() != *terms) {
        chargers::set_terms(tx, id, terms).await?;
        station.row.version += 1;
    }
    if station.row.version != version || action == "charger.adopted" {
        record(tx, action, id, actor).await?;
        core_sync::attribute(tx, Subject::Station(id), actor).await?;
    }
    let charger = chargers::find(tx, id).await?;
    Ok((station.row.version, ChargerView::of(station, charger)))
}

async fn record(tx: &mut Tx, action: &'static str, station: Uuid, actor: &str) -> Result<(), ApiError> {
    let act = Act { actor, action, subject: "station", subject_id: station, reason: None, data: json!({}) };
    Ok(audit::write(tx, &act).await?)
}
