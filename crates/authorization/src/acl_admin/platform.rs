//! Public stations, members, and their version.

use common::ids::{DriverToken, StationId};
use reqwest::Method;
use store::{Listing, Member, PageQuery, PlatformVersion, SetChanged};

use super::answers::{ChangedSet, Done, SetChanges, StationPage, Timed, TimedPage, Version};
use super::{AclAdmin, AclAdminError};

const PUBLIC: &str = "public-stations";
const MEMBERS: &str = "members";
const VERSION: &[&str] = &["platform-version"];

impl AclAdmin {
    /// Makes a station public, or not.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn set_public(&self, station: StationId, public: bool) -> Result<(), AclAdminError> {
        let method = if public { Method::PUT } else { Method::DELETE };
        self.call::<Done>(method, &[PUBLIC, &station.to_string()]).await.map(drop)
    }

    /// Creates or replaces a membership. One that has ended by now is removed.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn set_member(&self, member: &Member) -> Result<(), AclAdminError> {
        // Not `PUT /members/…`, which refuses an end in the past: it may pass while the change waits for acl-service.
        self.change_members(std::slice::from_ref(member), &[]).await.map(drop)
    }

    /// Ends a membership.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn remove_member(&self, token: &DriverToken) -> Result<(), AclAdminError> {
        self.call::<Done>(Method::DELETE, &[MEMBERS, token.expose()]).await.map(drop)
    }

    /// Adds and removes up to [`AclAdmin::MAX_CHANGES`] public stations each, all or none. None may be named twice.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn change_public(
        &self,
        add: &[StationId],
        remove: &[StationId],
    ) -> Result<SetChanged, AclAdminError> {
        self.change(PUBLIC, &SetChanges { add, remove }).await
    }

    /// Adds or replaces, and removes, up to [`AclAdmin::MAX_CHANGES`] members each, all or none. None may be named
    /// twice. A member whose membership has ended by now is removed.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn change_members(
        &self,
        add: &[Member],
        remove: &[DriverToken],
    ) -> Result<SetChanged, AclAdminError> {
        let add: Vec<Timed> = add.iter().map(Timed::from).collect();
        self.change(MEMBERS, &SetChanges { add: &add, remove }).await
    }

    /// A page of the public stations, in the order of their ids.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn public_stations(&self, query: &PageQuery<'_>) -> Result<Listing<StationId>, AclAdminError> {
        let page: StationPage = self.page(&[PUBLIC], query).await?;
        Ok(Listing { items: page.station_ids, next: page.cursor })
    }

    /// A page of the members, in the order of their tokens. It may be shorter than the limit and have a next page.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn members(&self, query: &PageQuery<'_>) -> Result<Listing<Member>, AclAdminError> {
        let page: TimedPage = self.page(&[MEMBERS], query).await?;
        let items = page.entries.into_iter().map(Timed::member).collect::<Result<_, _>>()?;
        Ok(Listing { items, next: page.cursor })
    }

    /// The version up to which both sets are complete; `None` if it was never set, or if the store lost it.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn version(&self) -> Result<Option<PlatformVersion>, AclAdminError> {
        self.get::<Version>(VERSION).await?.parse()
    }

    /// Sets the version, after the changes up to it are applied. `None` removes it.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn set_version(&self, version: Option<PlatformVersion>) -> Result<(), AclAdminError> {
        self.call_with::<Done>(Method::PUT, VERSION, &Version::from(version)).await.map(drop)
    }

    async fn change(&self, set: &str, changes: &impl serde::Serialize) -> Result<SetChanged, AclAdminError> {
        let changed: ChangedSet = self.call_with(Method::POST, &[set], changes).await?;
        Ok(SetChanged { added: changed.added, removed: changed.removed })
    }
}
