//! Writes both sets of acl-service anew: first what should not be there is removed, then what should be there is added,
//! in pages. Nothing is lost in between, so authorizations go on.

use std::collections::HashSet;

use authorization::AclAdmin;
use charging::stations::charging_stations::public;
use charging::tokens::members as platform_members;
use common::ids::{DriverToken, StationId};
use store::{PageQuery, PlatformVersion};
use uuid::Uuid;

use super::{CoreSync, SyncError, members, version};

/// The stations or members of one page.
const PAGE: u16 = 1000;
/// No database has counted so far.
const MARK: u64 = 1 << 62;

impl CoreSync<'_> {
    /// Writes both sets, and sets this version. Changes that are made meanwhile have been noted, and are sent afterwards.
    pub(super) async fn rebuild(&mut self, target: i64) -> Result<(), SyncError> {
        tracing::info!("the public stations and members of acl-service are written anew");
        // A store that loses it loses with it what is written from here on.
        let mark = PlatformVersion::new(MARK | (Uuid::now_v7().as_u64_pair().1 >> 2));
        self.admin.set_version(mark).await?;
        let removed = self.remove_stations().await? + self.remove_members().await?;
        let (stations, members) = (self.add_stations().await?, self.add_members().await?);
        if self.admin.version().await? != mark {
            return self.interrupted().await;
        }
        self.admin.set_version(version(target)).await?;
        tracing::info!(
            stations,
            members,
            removed,
            "the public stations and members of acl-service are complete"
        );
        Ok(())
    }

    async fn remove_stations(&mut self) -> Result<usize, SyncError> {
        let (mut cursor, mut removed) = (None::<String>, 0);
        loop {
            self.hold().await?;
            let page = self.admin.public_stations(&query(cursor.as_deref())).await?;
            let ids: Vec<Uuid> = page.items.iter().map(|id| id.uuid()).collect();
            let known = self.db.read(async move |tx| public::among(tx, &ids).await).await?;
            let stale: Vec<StationId> =
                page.items.into_iter().filter(|id| !known.contains(&id.uuid())).collect();
            if !stale.is_empty() {
                self.admin.change_public(&[], &stale).await?;
            }
            removed += stale.len();
            match page.next {
                None => return Ok(removed),
                next => cursor = next,
            }
        }
    }

    async fn remove_members(&mut self) -> Result<usize, SyncError> {
        let (mut cursor, mut removed) = (None::<String>, 0);
        loop {
            self.hold().await?;
            let page = self.admin.members(&query(cursor.as_deref())).await?;
            let tokens: Vec<DriverToken> = page.items.into_iter().map(|member| member.token).collect();
            let asked = tokens.clone();
            let known = self.db.read(async move |tx| platform_members::among(tx, &asked).await).await?;
            let known: HashSet<DriverToken> = known.into_iter().map(|member| member.driver_token).collect();
            let stale: Vec<DriverToken> = tokens.into_iter().filter(|token| !known.contains(token)).collect();
            if !stale.is_empty() {
                self.admin.change_members(&[], &stale).await?;
            }
            removed += stale.len();
            match page.next {
                None => return Ok(removed),
                next => cursor = next,
            }
        }
    }

    async fn add_stations(&mut self) -> Result<usize, SyncError> {
        let (mut after, mut added) = (Uuid::nil(), 0);
        loop {
            self.hold().await?;
            let page = self.db.read(async move |tx| public::after(tx, after, i64::from(PAGE)).await).await?;
            let Some(last) = page.last() else { return Ok(added) };
            after = *last;
            let ids: Vec<StationId> = page.iter().map(|id| StationId::from_uuid(*id)).collect();
            self.admin.change_public(&ids, &[]).await?;
            added += ids.len();
        }
    }

    async fn add_members(&mut self) -> Result<usize, SyncError> {
        let (mut after, mut added) = (Uuid::nil(), 0);
        loop {
            self.hold().await?;
            let page =
                self.db.read(async move |tx| platform_members::after(tx, after, i64::from(PAGE)).await);
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(added) };
            after = last.id;
            self.admin.change_members(&members(&page), &[]).await?;
            added += page.len();
        }
    }

    /// Goes on only as the one process that does this work.
    async fn hold(&mut self) -> Result<(), SyncError> {
        if self.lease.hold(self.db).await? { Ok(()) } else { Err(SyncError::NotHeld) }
    }
}

fn query(cursor: Option<&str>) -> PageQuery<'_> {
    PageQuery { cursor, limit: u32::from(PAGE), search: None }
}

const _: () = assert!(PAGE as usize <= AclAdmin::MAX_CHANGES, "a page is one change");
