//! Roles: what an account may do, and where; and that there is always an administrator.

use charging::Db;
use charging::accounts::{self, AccountError, AccountStatus, Filter, roles};
use charging::stations::locations;
use common::role::{Role, RoleGrant};
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, create_location};
use crate::people::{conflict, read, refused, register};

fn everywhere(role: Role) -> RoleGrant {
    RoleGrant { role, location_ids: None }
}

fn at(role: Role, ids: &[Uuid]) -> RoleGrant {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    RoleGrant { role, location_ids: Some(ids) }
}

async fn set(db: &Db, account: Uuid, grants: &[RoleGrant]) -> Result<(), AccountError> {
    db.write(async |tx| roles::set(tx, account, grants).await).await
}

async fn of(db: &Db, account: Uuid) -> Vec<RoleGrant> {
    db.read(async |tx| roles::of(tx, account).await).await.unwrap()
}

async fn block(db: &Db, account: Uuid) -> Result<(), AccountError> {
    db.write(async |tx| Ok(accounts::set_status(tx, account, AccountStatus::Blocked, None).await?)).await
}

async fn places(db: &Db) -> [Uuid; 2] {
    let mut ids = Vec::new();
    for name in ["Here", "There"] {
        ids.push(create_location(db, &drafts::location(name)).await.id);
    }
    [ids[0], ids[1]]
}

#[tokio::test]
async fn roles_are_replaced_and_that_of_a_driver_remains() {
    each_database(async |db| {
        let [here, there] = places(db).await;
        let ada = register(db, "ada").await;
        let driver = everywhere(Role::Driver);
        assert_eq!(of(db, ada.id).await, std::slice::from_ref(&driver));
        let all = [everywhere(Role::Operator), at(Role::Staff, &[there, here]), at(Role::Host, &[there])];
        set(db, ada.id, &all).await.unwrap();
        let [operator, staff, host] = all;
        assert_eq!(of(db, ada.id).await, [driver.clone(), host.clone(), staff, operator]);
        set(db, ada.id, &[host.clone(), at(Role::Host, &[here])]).await.unwrap();
        assert_eq!(
            of(db, ada.id).await,
            [driver.clone(), at(Role::Host, &[here, there])],
            "the same role twice"
        );
        set(db, ada.id, &[]).await.unwrap();
        assert_eq!(of(db, ada.id).await, std::slice::from_ref(&driver));
        set(db, ada.id, &[at(Role::Staff, &[])]).await.unwrap();
        assert_eq!(of(db, ada.id).await, [driver, at(Role::Staff, &[])], "nowhere yet");
        assert_eq!(of(db, Uuid::now_v7()).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_roles_is_a_new_version_of_the_account() {
    each_database(async |db| {
        let ada = register(db, "ada").await;
        set(db, ada.id, &[everywhere(Role::Operator)]).await.unwrap();
        let after = read(db, ada.id).await;
        assert!(after.version > ada.version && after.updated_at >= ada.updated_at);
    })
    .await;
}

#[tokio::test]
async fn a_role_at_the_wrong_places_is_refused_and_changes_nothing() {
    each_database(async |db| {
        let [here, _] = places(db).await;
        let ada = register(db, "ada").await;
        let before = [at(Role::Staff, &[here])];
        set(db, ada.id, &before).await.unwrap();
        let nowhere = Uuid::now_v7();
        assert_eq!(refused(set(db, ada.id, &[everywhere(Role::Staff)]).await), "roles.0.location_ids");
        let second = [everywhere(Role::Driver), at(Role::Operator, &[here])];
        assert_eq!(refused(set(db, ada.id, &second).await), "roles.1.location_ids");
        let unknown = [at(Role::Host, &[here, nowhere])];
        let unknown = conflict(set(db, ada.id, &unknown).await);
        assert!(
            ["roles.0.location_ids.0", "roles.0.location_ids.1"].contains(&unknown.as_str()),
            "{unknown}"
        );
        let many: Vec<Uuid> = (0..=roles::MAX_LOCATIONS).map(|_| Uuid::now_v7()).collect();
        assert_eq!(refused(set(db, ada.id, &[at(Role::Host, &many)]).await), "roles.0.location_ids");
        assert_eq!(of(db, ada.id).await[1..], before);
    })
    .await;
}

#[tokio::test]
async fn a_role_ends_at_a_location_that_is_deleted() {
    each_database(async |db| {
        let [here, there] = places(db).await;
        let ada = register(db, "ada").await.id;
        set(db, ada, &[at(Role::Staff, &[here, there])]).await.unwrap();
        db.write(async |tx| locations::delete(tx, here, 1).await).await.unwrap();
        assert_eq!(of(db, ada).await[1..], [at(Role::Staff, &[there])]);
        db.write(async |tx| locations::delete(tx, there, 1).await).await.unwrap();
        assert_eq!(of(db, ada).await[1..], [at(Role::Staff, &[])], "never everywhere");
    })
    .await;
}

#[tokio::test]
async fn accounts_are_listed_by_where_they_work() {
    each_database(async |db| {
        let [here, there] = places(db).await;
        let mut all = Vec::new();
        for (name, grants) in [
            ("ada", vec![at(Role::Staff, &[here])]),
            ("ben", vec![at(Role::Host, &[here, there])]),
            ("cleo", vec![at(Role::Staff, &[there])]),
            ("dora", vec![everywhere(Role::Admin)]),
        ] {
            let account = register(db, name).await;
            set(db, account.id, &grants).await.unwrap();
            all.push(account.id);
        }
        let list = async |at: &[Uuid], role: Option<Role>, prefix: Option<&str>, after: Uuid, limit: i64| {
            let filter = Filter { prefix: prefix.map(str::to_owned), role, at: Some(at.to_vec()) };
            let found = db.read(async |tx| accounts::list(tx, &filter, after, limit).await).await.unwrap();
            found.into_iter().map(|account| account.username).collect::<Vec<_>>()
        };
        let nil = Uuid::nil();
        assert_eq!(list(&[here], None, None, nil, 9).await, ["ada", "ben"]);
        assert_eq!(list(&[here, there], None, None, nil, 9).await, ["ada", "ben", "cleo"]);
        assert_eq!(list(&[here, there], None, None, nil, 1).await, ["ada"]);
        assert_eq!(list(&[here, there], None, None, all[0], 1).await, ["ben"]);
        assert_eq!(list(&[here, there], Some(Role::Staff), None, nil, 9).await, ["ada", "cleo"]);
        assert_eq!(list(&[there], None, Some("CL"), nil, 9).await, ["cleo"]);
        assert_eq!(list(&[], None, None, nil, 9).await, Vec::<String>::new());
        let holders = db.read(async |tx| roles::holders(tx, Role::Staff).await).await.unwrap();
        assert_eq!(holders, [all[0], all[2]]);
    })
    .await;
}

async fn admins(db: &Db) -> i64 {
    db.read(async |tx| roles::admins(tx).await).await.unwrap()
}

#[tokio::test]
async fn the_last_administrator_keeps_the_role_and_is_not_blocked() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await.id, register(db, "ben").await.id);
        let admin = [everywhere(Role::Admin)];
        assert_eq!(admins(db).await, 0);
        set(db, ada, &admin).await.unwrap();
        assert_eq!(conflict(set(db, ada, &[everywhere(Role::Operator)]).await), "roles");
        assert_eq!(conflict(block(db, ada).await), "status");
        set(db, ada, &[everywhere(Role::Operator), everywhere(Role::Admin)]).await.unwrap();
        set(db, ben, &admin).await.unwrap();
        block(db, ben).await.unwrap();
        assert_eq!(admins(db).await, 1, "one that is blocked does not count");
        assert_eq!(conflict(set(db, ada, &[]).await), "roles");
        assert_eq!((admins(db).await, of(db, ada).await.len()), (1, 3));
        set(db, ben, &[]).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_administrators_who_leave_at_once_one_stays() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await.id, register(db, "ben").await.id);
        let admin = [everywhere(Role::Admin)];
        for round in 0..10 {
            for account in [ada, ben] {
                set(db, account, &admin).await.unwrap();
            }
            let (one, other) = tokio::join!(set(db, ada, &[]), set(db, ben, &[]));
            assert_eq!((one.is_ok() != other.is_ok(), admins(db).await), (true, 1), "round {round}");
            for account in [ada, ben] {
                set(db, account, &admin).await.unwrap();
            }
            let (blocked, lost) = tokio::join!(block(db, ada), set(db, ben, &[]));
            assert_eq!((blocked.is_ok() != lost.is_ok(), admins(db).await), (true, 1), "round {round}");
            let unblock = AccountStatus::Active;
            db.write(async |tx| Ok::<_, AccountError>(accounts::set_status(tx, ada, unblock, None).await?))
                .await
                .unwrap();
        }
    })
    .await;
}
