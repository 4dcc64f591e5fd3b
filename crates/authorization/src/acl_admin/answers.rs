//! What acl-service takes and answers, as far as [`AclAdmin`](super::AclAdmin) uses it.

use std::collections::BTreeMap;

use common::ids::{DriverToken, StationId};
use serde::{Deserialize, Serialize};
use store::{Entry, GroupName, GroupSize, Member, Period, PlatformVersion, parse_moment, show_moment};

use super::AclAdminError;

/// The validity of an entry or of a membership.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Validity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// An entry or a member with its validity.
#[derive(Serialize, Deserialize)]
pub(super) struct Timed {
    driver_token: DriverToken,
    #[serde(flatten)]
    validity: Validity,
}

#[derive(Deserialize)]
pub(super) struct ListSize {
    pub(super) new_size: u64,
}

#[derive(Deserialize)]
pub(super) struct EntryPage {
    pub(super) driver_tokens: Vec<DriverToken>,
    pub(super) times: BTreeMap<String, Validity>,
    pub(super) size: u64,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct TimedPage {
    #[serde(alias = "drivers", alias = "members")]
    pub(super) entries: Vec<Timed>,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct StationPage {
    #[serde(alias = "stations")]
    pub(super) station_ids: Vec<StationId>,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NamePage {
    pub(super) groups: Vec<String>,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SizedGroup {
    stations: u64,
    drivers: u64,
}

/// An answer of which nothing is needed.
#[derive(Deserialize)]
pub(super) struct Done {}

#[derive(Serialize)]
pub(super) struct SetChanges<'a, A, R> {
    pub(super) add: &'a [A],
    pub(super) remove: &'a [R],
}

#[derive(Deserialize)]
pub(super) struct ChangedSet {
    pub(super) added: u64,
    pub(super) removed: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Version {
    version: Option<u64>,
}

impl Validity {
    pub(super) fn of(period: Period) -> Self {
        Self { from: period.from().map(show_moment), until: period.until().map(show_moment) }
    }

    pub(super) fn period(&self) -> Result<Period, AclAdminError> {
        let moment = |text: &Option<String>| match text.as_deref() {
            None => Ok(None),
            Some(text) => parse_moment(text).map(Some).ok_or_else(|| AclAdminError::unreadable("a time")),
        };
        let period = Period::new(moment(&self.from)?, moment(&self.until)?);
        period.map_err(|_| AclAdminError::unreadable("a validity"))
    }
}

impl From<&Member> for Timed {
    fn from(member: &Member) -> Self {
        let validity = Validity { from: None, until: member.until.map(show_moment) };
        Self { driver_token: member.token.clone(), validity }
    }
}

impl Timed {
    pub(super) fn entry(self) -> Result<Entry, AclAdminError> {
        Ok(Entry { period: self.validity.period()?, token: self.driver_token })
    }

    pub(super) fn member(self) -> Result<Member, AclAdminError> {
        Ok(Member { until: self.validity.period()?.until(), token: self.driver_token })
    }
}

impl NamePage {
    pub(super) fn names(&self) -> Result<Vec<GroupName>, AclAdminError> {
        let name = |text: &String| GroupName::parse(text).map_err(|_| AclAdminError::unreadable("a name"));
        self.groups.iter().map(name).collect()
    }
}

impl From<SizedGroup> for GroupSize {
    fn from(group: SizedGroup) -> Self {
        Self { stations: group.stations, drivers: group.drivers }
    }
}

impl From<Option<PlatformVersion>> for Version {
    fn from(version: Option<PlatformVersion>) -> Self {
        Self { version: version.map(PlatformVersion::number) }
    }
}

impl Version {
    pub(super) fn parse(&self) -> Result<Option<PlatformVersion>, AclAdminError> {
        let version =
            |number| PlatformVersion::new(number).ok_or_else(|| AclAdminError::unreadable("a version"));
        self.version.map(version).transpose()
    }
}
