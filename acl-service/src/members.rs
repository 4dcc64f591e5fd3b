//! Member tokens: the active tokens of the platform, which may charge at every public station.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::DriverToken;
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Listing, Member, Millis};
use utoipa::ToSchema;

use crate::actor::{Author, actor};
use crate::changes::Changes;
use crate::error::Answer;
use crate::paging::Paging;
use crate::public_stations::{ChangedSet, MAX_BODY, each_once};
use crate::validity;

const ACTION: &str = "member";

/// Whether a token is a member
#[derive(Serialize, ToSchema)]
pub(crate) struct Membership {
    driver_token: DriverToken,
    member: bool,
    /// When the membership ends, if it does
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false)]
    until: Option<String>,
}

/// A member
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct ShownMember {
    driver_token: DriverToken,
    /// When the membership ends, if it does
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false)]
    until: Option<String>,
}

/// A page of the members
#[derive(Serialize, ToSchema)]
pub(crate) struct Members {
    members: Vec<ShownMember>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// When a membership ends. By default it never does
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMembership {
    /// In the future
    #[schema(format = "date-time")]
    until: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    driver_token: DriverToken,
    /// When the membership ends. If that is in the past, the token is no member
    #[schema(format = "date-time")]
    until: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberChanges {
    #[schema(value_type = Vec<NewMember>, max_items = 1000, required = false)]
    add: Option<Vec<NewMember>>,
    #[schema(value_type = Vec<DriverToken>, max_items = 1000, required = false)]
    remove: Option<Vec<DriverToken>>,
}

impl From<Member> for ShownMember {
    fn from(member: Member) -> Self {
        Self { driver_token: member.token, until: member.until.map(validity::show) }
    }
}

impl NewMember {
    fn parse(self) -> Result<Member, Problem> {
        Ok(Member { token: self.driver_token, until: end(self.until.as_deref())? })
    }
}

/// Show whether a token is a member
#[utoipa::path(get, path = "/members/{driver_token}", operation_id = "show_member", tag = "platform",
    params(("driver_token" = DriverToken, Path)),
    responses((status = 200, description = "Whether the token is a member now", body = Membership), Invalid, Unavailable))]
pub(crate) async fn show(store: Data<AccessStore>, path: Path<String>, request: HttpRequest) -> Answer {
    query::none(&request)?;
    let token = DriverToken::parse(&path)?;
    let member = store.public.member(&token).await?;
    Ok(membership(token, member.as_ref()))
}

/// Make a token a member: it may charge at every public station
///
/// Replaces the whole membership: without `until`, an earlier end is removed.
#[utoipa::path(put, path = "/members/{driver_token}", operation_id = "add_member", tag = "platform",
    params(("driver_token" = DriverToken, Path), Author), request_body(content = NewMembership),
    responses((status = 200, description = "The token is a member", body = Membership), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn put(
    store: Data<AccessStore>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let token = DriverToken::parse(&path)?;
    let author = actor(&request)?;
    let until = until_in_body(&body::read(&request, payload, validity::MAX_BODY).await?)?;
    let member = Member { token: token.clone(), until };
    Changes::new(&store, author, ACTION).members(std::slice::from_ref(&member), &[]).await?;
    Ok(membership(token, Some(&member)))
}

/// End a membership
#[utoipa::path(delete, path = "/members/{driver_token}", operation_id = "remove_member", tag = "platform",
    params(("driver_token" = DriverToken, Path), Author),
    responses((status = 200, description = "The token is no member", body = Membership), Invalid, Unavailable))]
pub(crate) async fn remove(store: Data<AccessStore>, path: Path<String>, request: HttpRequest) -> Answer {
    let token = DriverToken::parse(&path)?;
    Changes::new(&store, actor(&request)?, ACTION).members(&[], std::slice::from_ref(&token)).await?;
    Ok(membership(token, None))
}

/// List the members, in the order of their tokens
///
/// A page may be shorter than `limit` and have a next page.
#[utoipa::path(get, path = "/members", operation_id = "list_members", tag = "platform", params(Paging),
    responses((status = 200, description = "A page of members", body = Members), Invalid, Unavailable))]
pub(crate) async fn list(store: Data<AccessStore>, paging: Query<Paging>) -> Answer {
    let Listing { items, next } = store.public.members(&paging.0.query()?).await?;
    let members = items.into_iter().map(ShownMember::from).collect();
    Ok(HttpResponse::Ok().json(Members { members, cursor: next }))
}

/// Add and remove many members, all or none
#[utoipa::path(post, path = "/members", operation_id = "change_members", tag = "platform", params(Author),
    request_body = MemberChanges,
    responses((status = 200, description = "The changes are made", body = ChangedSet), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(store: Data<AccessStore>, request: HttpRequest, payload: Payload) -> Answer {
    query::none(&request)?;
    let author = actor(&request)?;
    let body: MemberChanges = body::json(&body::read(&request, payload, MAX_BODY).await?)?;
    let (add, remove) = (body.add.unwrap_or_default(), body.remove.unwrap_or_default());
    let added: Vec<DriverToken> = add.iter().map(|member| member.driver_token.clone()).collect();
    each_once(&added, &remove)?;
    let add = add.into_iter().map(NewMember::parse).collect::<Result<Vec<_>, _>>()?;
    let changed = Changes::new(&store, author, ACTION).members(&add, &remove).await?;
    Ok(HttpResponse::Ok().json(ChangedSet::from(changed)))
}

fn membership(driver_token: DriverToken, member: Option<&Member>) -> HttpResponse {
    let until = member.and_then(|member| member.until).map(validity::show);
    HttpResponse::Ok().json(Membership { driver_token, member: member.is_some(), until })
}

/// The end in an optional body `{"until": …}`, in the future.
fn until_in_body(body: &[u8]) -> Result<Option<Millis>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let until = body::json::<Option<NewMembership>>(body)?.and_then(|new| new.until);
    Ok(validity::period(None, until.as_deref(), validity::now())?.until())
}

/// The end of a membership in a list. It may be in the past: it may have passed while the list was on its way.
fn end(until: Option<&str>) -> Result<Option<Millis>, Problem> {
    Ok(validity::period(None, until, 0)?.until())
}
