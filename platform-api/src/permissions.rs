//! Who may do what: the one table that the gate, the document and the tests are made from.

use common::api_key::Scope;
use common::role::Role;
use http_server::Caller;
use http_server::accounts::Permission;
use uuid::Uuid;

const EVERYONE: &[Role] = &Role::ALL;
const READ: &[Scope] = &[Scope::PlatformRead, Scope::PlatformOperate];
const OPERATE: &[Scope] = &[Scope::PlatformOperate];
const ADMIN: &[Scope] = &[Scope::PlatformAdmin];

macro_rules! permissions {
    ($($name:ident = $about:literal, $roles:expr, $scopes:expr;)*) => {
        $(pub(crate) const $name: &Permission = &Permission { name: $about, roles: $roles, scopes: $scopes };)*
    };
}

permissions! {
    OWN_ACCOUNT = "see and change the own account", EVERYONE, &[];
    SEE_LIVE = "see what happens, live", EVERYONE, READ;
    SEE_STATUS_LOG = "see what stations have sent", &[Role::Staff, Role::Operator, Role::Admin], READ;
    SEE_CHARGERS = "see chargers, their messages, transactions and commands",
        &[Role::Staff, Role::Operator, Role::Admin], READ;
    SEE_UNKNOWN_CHARGERS = "see chargers that are not known", &[Role::Operator, Role::Admin], READ;
    EDIT_CHARGERS = "adopt and change chargers, and close transactions", &[Role::Operator, Role::Admin], ADMIN;
    COMMAND_CHARGERS = "send commands to chargers", &[Role::Staff, Role::Operator, Role::Admin], OPERATE;
    EXPORT_NETWORK = "export all locations and stations", &[Role::Operator, Role::Admin], READ;
    EDIT_NETWORK = "edit locations, stations and booking terms", &[Role::Operator, Role::Admin], OPERATE;
    EDIT_ACCESS = "edit access lists, groups, tokens and fleets", &[Role::Operator, Role::Admin], OPERATE;
    OWN_FLEETS = "see and manage the fleets that the account pays for", EVERYONE, OPERATE;
    SEE_USERS = "see accounts and the audit trail", &[Role::Staff, Role::Operator, Role::Admin], READ;
    EDIT_USERS = "change, block and erase accounts", &[Role::Admin], ADMIN;
}

/// Where a permission holds for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everywhere.
    Everywhere,
    /// At these locations only.
    At(Vec<Uuid>),
}

impl Reach {
    /// Of a caller that the gate has admitted by this permission.
    pub(crate) fn of(caller: &Caller, permission: &Permission) -> Self {
        let Some(account) = &caller.account else { return Self::Everywhere };
        let mut places = Vec::new();
        for grant in account.roles.iter().filter(|grant| permission.roles.contains(&grant.role)) {
            match &grant.location_ids {
                Some(ids) => places.extend(ids),
                None => return Self::Everywhere,
            }
        }
        Self::At(places)
    }

    /// The places, unless it holds everywhere.
    pub(crate) fn places(&self) -> Option<Vec<Uuid>> {
        match self {
            Self::Everywhere => None,
            Self::At(places) => Some(places.clone()),
        }
    }

    /// Whether it includes this place. What is at no location belongs to no site.
    pub(crate) fn covers(&self, location: Option<Uuid>) -> bool {
        match self {
            Self::Everywhere => true,
            Self::At(places) => location.is_some_and(|location| places.contains(&location)),
        }
    }
}

/// Whether the caller is known: strangers see less of a station.
pub(crate) fn is_known(caller: &Caller) -> bool {
    caller.account.is_some() || caller.may(READ)
}

/// The caller, as the audit trail names it.
pub(crate) fn actor(caller: &Caller) -> String {
    match (&caller.account, &caller.id) {
        (Some(account), _) => format!("account:{}", account.id),
        (None, Some(key)) => format!("key:{key}"),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use common::role::RoleGrant;
    use http_server::accounts::Account;

    use super::*;

    fn caller(roles: &[RoleGrant]) -> Caller {
        let account = Account { id: Uuid::nil(), sign_in: Uuid::nil(), roles: roles.to_vec() };
        Caller { name: None, id: None, scopes: None, account: Some(account), address: None }
    }

    #[test]
    fn a_scoped_role_reaches_its_locations_and_nothing_else() {
        let (here, there) = (Uuid::now_v7(), Uuid::now_v7());
        let staff = RoleGrant { role: Role::Staff, location_ids: Some(vec![here]) };
        let host = RoleGrant { role: Role::Host, location_ids: Some(vec![there]) };
        let operator = RoleGrant { role: Role::Operator, location_ids: None };
        let reach = |roles: &[RoleGrant]| Reach::of(&caller(roles), SEE_STATUS_LOG);
        let scoped = reach(&[host.clone(), staff.clone()]);
        assert!(scoped.covers(Some(here)) && !scoped.covers(Some(there)) && !scoped.covers(None));
        assert!(!reach(&[host]).covers(Some(there)));
        assert_eq!(reach(&[staff, operator]), Reach::Everywhere);
    }
}
