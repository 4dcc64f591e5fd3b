//! Entries of lists, and groups.

use common::ids::{DriverToken, StationId};
use reqwest::Method;
use serde::Deserialize;
use store::{Entry, GroupName, GroupSize, Listing, Page, PageQuery};

use super::answers::{
    Done, EntryPage, ListSize, NamePage, SizedGroup, StationPage, Timed, TimedPage, Validity,
};
use super::{AclAdmin, AclAdminError};

/// What a change of a group did to the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct GroupChanged {
    /// The stations, or drivers, that were processed.
    pub reached: u64,
    /// The entries that changed.
    pub changed: u64,
}

impl AclAdmin {
    /// Creates or replaces an entry; returns the size of the station's list.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn allow(&self, station: StationId, entry: &Entry) -> Result<u64, AclAdminError> {
        let path = ["station", &station.to_string(), "driver", entry.token.expose(), "acl"];
        let changed: ListSize = self.call_with(Method::PUT, &path, &Validity::of(entry.period)).await?;
        Ok(changed.new_size)
    }

    /// Removes an entry; returns the size of the station's list.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn deny(&self, station: StationId, token: &DriverToken) -> Result<u64, AclAdminError> {
        let path = ["station", &station.to_string(), "driver", token.expose(), "acl"];
        let changed: ListSize = self.call(Method::DELETE, &path).await?;
        Ok(changed.new_size)
    }

    /// A page of a station's entries that have begun.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn entries(&self, station: StationId, query: &PageQuery<'_>) -> Result<Page, AclAdminError> {
        let page: EntryPage = self.page(&["station", &station.to_string(), "acl"], query).await?;
        let EntryPage { driver_tokens, times, size, cursor } = page;
        let entry = |token: DriverToken| {
            let period = times.get(token.expose()).map(Validity::period).transpose()?.unwrap_or_default();
            Ok(Entry { token, period })
        };
        let entries = driver_tokens.into_iter().map(entry).collect::<Result<_, AclAdminError>>()?;
        Ok(Page { entries, size, next: cursor })
    }

    /// A page of a station's entries with a validity, including those that have yet to begin.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn timed_entries(
        &self,
        station: StationId,
        query: &PageQuery<'_>,
    ) -> Result<Listing<Entry>, AclAdminError> {
        self.entries_at(&["station", &station.to_string(), "acl", "timed"], query).await
    }

    /// Creates a group unless it exists; returns its size.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn create_group(&self, name: &GroupName) -> Result<GroupSize, AclAdminError> {
        let group: SizedGroup = self.call(Method::PUT, &["groups", &name.to_string()]).await?;
        Ok(group.into())
    }

    /// Deletes a group. The lists of its stations are unchanged.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn delete_group(&self, name: &GroupName) -> Result<(), AclAdminError> {
        self.call::<Done>(Method::DELETE, &["groups", &name.to_string()]).await.map(drop)
    }

    /// The size of a group.
    ///
    /// # Errors
    /// See [`AclAdminError`]; an unknown group is [`AclAdminError::NotFound`].
    pub async fn group(&self, name: &GroupName) -> Result<GroupSize, AclAdminError> {
        let group: SizedGroup = self.get(&["groups", &name.to_string()]).await?;
        Ok(group.into())
    }

    /// A page of the groups' names.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn groups(&self, query: &PageQuery<'_>) -> Result<Listing<GroupName>, AclAdminError> {
        let page: NamePage = self.page(&["groups"], query).await?;
        Ok(Listing { items: page.names()?, next: page.cursor })
    }

    /// A page of a group's stations.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn group_stations(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<StationId>, AclAdminError> {
        let page: StationPage = self.page(&["groups", &name.to_string(), "stations"], query).await?;
        Ok(Listing { items: page.station_ids, next: page.cursor })
    }

    /// A page of a group's drivers.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn group_drivers(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<Entry>, AclAdminError> {
        self.entries_at(&["groups", &name.to_string(), "drivers"], query).await
    }

    /// Adds a station to a group, and the group's drivers to its list.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn join_group(
        &self,
        name: &GroupName,
        station: StationId,
    ) -> Result<GroupChanged, AclAdminError> {
        let path = ["groups", &name.to_string(), "stations", &station.to_string()];
        self.call(Method::PUT, &path).await
    }

    /// Removes a station from a group. Its list is unchanged.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn leave_group(&self, name: &GroupName, station: StationId) -> Result<(), AclAdminError> {
        let path = ["groups", &name.to_string(), "stations", &station.to_string()];
        self.call::<Done>(Method::DELETE, &path).await.map(drop)
    }

    /// Adds a driver to a group and to the lists of its stations.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn admit(&self, name: &GroupName, entry: &Entry) -> Result<GroupChanged, AclAdminError> {
        let path = ["groups", &name.to_string(), "drivers", entry.token.expose()];
        self.call_with(Method::PUT, &path, &Validity::of(entry.period)).await
    }

    /// Removes a driver from a group and from the lists of its stations.
    ///
    /// # Errors
    /// See [`AclAdminError`].
    pub async fn dismiss(
        &self,
        name: &GroupName,
        token: &DriverToken,
    ) -> Result<GroupChanged, AclAdminError> {
        let path = ["groups", &name.to_string(), "drivers", token.expose()];
        self.call(Method::DELETE, &path).await
    }

    async fn entries_at(
        &self,
        path: &[&str],
        query: &PageQuery<'_>,
    ) -> Result<Listing<Entry>, AclAdminError> {
        let page: TimedPage = self.page(path, query).await?;
        let items = page.entries.into_iter().map(Timed::entry).collect::<Result<_, _>>()?;
        Ok(Listing { items, next: page.cursor })
    }
}
