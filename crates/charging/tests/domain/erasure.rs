//! An erasure takes everything that is about a person, in one transaction; an export shows it before.

use std::time::Duration;

use charging::accounts::audit::{self, Act, Subjects};
use charging::accounts::codes::{self, Purpose};
use charging::accounts::{
    self, Account, AccountError, AccountStatus, Profile, erasure, export, roles, sign_ins,
};
use charging::idempotency::{self, Answer, Key, Known};
use charging::notifications::MailKind;
use charging::{At, Db, DbError, Tx, events};
use common::role::{Role, RoleGrant};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases::{each_database, is_postgres, on};
use crate::verification::{account, mails, verified};

const ADMIN: &[RoleGrant] = &[RoleGrant { role: Role::Admin, location_ids: None }];

async fn erase(db: &Db, id: Uuid) -> Result<(), AccountError> {
    db.write(async |tx| erasure::erase(tx, id, "account:admin", Some("asked by letter")).await).await
}

async fn find(db: &Db, id: Uuid) -> Option<Account> {
    db.read(async |tx| accounts::find(tx, id).await).await.unwrap()
}

async fn run(db: &Db, statement: &'static str, id: Uuid, account: Uuid) {
    db.write(async |tx| {
        on!(tx, |c| sqlx::query(statement).bind(id).bind(account).bind(At::now()).execute(c).await.map(drop))
            .map_err(DbError::from)
    })
    .await
    .unwrap();
}

const VEHICLE: &str = "INSERT INTO vehicles (id, account_id, name, plate, version, created_at, updated_at) \
                       VALUES ($1, $2, 'MARK car', 'MARK-1', 1, $3, $3)";
const TOKEN: &str = "INSERT INTO tokens (id, account_id, type, uid, uid_key, driver_token, status, owner_blocked, whitelist, version, \
                     created_at, updated_at) VALUES ($1, $2, 'APP_USER', 'MARKUID', 'markuid', 'MARK_driver_token_123456', \
                     'active', FALSE, 'allowed', 1, $3, $3)";
const FLEET: &str = "INSERT INTO fleets (id, name, payer_id, version, created_at, updated_at) \
                     VALUES ($1, 'Fleet', $2, 1, $3, $3)";

/// Everything about a person that the platform stores, each with a mark.
async fn person(db: &Db) -> Account {
    let ada = verified(db, "mark.ada", "mark@example.com").await;
    let address = json!({"line1": "MARK street", "city": "MARK city", "country": "DEU"});
    let profile = Profile {
        email: None,
        name: "MARK Lovelace".parse().ok(),
        language: None,
        address: serde_json::from_value(address).ok(),
    };
    let act = Act {
        actor: "account:admin",
        action: "account.status",
        subject: "account",
        subject_id: ada.id,
        reason: Some("MARK was seen"),
        data: json!({}),
    };
    let key = Key {
        caller: format!("account:{}", ada.id),
        route: "POST /api/v1/me/vehicles",
        key: "1".to_owned(),
        request: vec![1],
    };
    let answer = Answer { status: 201, headers: json!({}), body: "MARK-1".to_owned() };
    db.write(async |tx| {
        accounts::update(tx, ada.id, ada.version, &profile).await?;
        accounts::set_status(tx, ada.id, AccountStatus::Active, Some("MARK reason")).await?;
        sign_ins::begin(tx, ada.id, Some("MARK browser")).await?;
        codes::create(tx, ada.id, Purpose::VerifyEmail, &"mark.new@example.com".parse().unwrap()).await?;
        audit::write(tx, &act).await?;
        assert_eq!(idempotency::reserve(tx, &key).await?, Known::New);
        idempotency::answer(tx, &key, &answer).await?;
        Ok::<_, AccountError>(())
    })
    .await
    .unwrap();
    run(db, VEHICLE, Uuid::now_v7(), ada.id).await;
    run(db, TOKEN, Uuid::now_v7(), ada.id).await;
    find(db, ada.id).await.unwrap()
}

/// Every row of every table, as text in lower case.
async fn dump(tx: &mut Tx) -> Result<Vec<String>, DbError> {
    let tables: Vec<(String,)> = match is_postgres(tx) {
        true => {
            on!(tx, |c| sqlx::query_as("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
                .fetch_all(c)
                .await)?
        }
        false => on!(tx, |c| sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(c)
            .await)?,
    };
    let mut rows = Vec::new();
    for (table,) in tables {
        let text = match is_postgres(tx) {
            true => format!("SELECT row_to_json(r)::text FROM {table} AS r"),
            false => {
                let columns: Vec<(String,)> = on!(tx, |c| {
                    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                    sqlx::query_as(sqlx::AssertSqlSafe(columns)).fetch_all(c).await
                })?;
                let columns: Vec<String> =
                    columns.iter().map(|(name,)| format!("coalesce(quote(\"{name}\"), '')")).collect();
                format!("SELECT {} FROM {table}", columns.join(" || ' ' || "))
            }
        };
        let found: Vec<(String,)> =
            on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(text)).fetch_all(c).await)?;
        rows.extend(found.into_iter().map(|(row,)| format!("{table}: {row}").to_lowercase()));
    }
    Ok(rows)
}

async fn marked(db: &Db) -> Vec<String> {
    let rows = db.read(async |tx| dump(tx).await).await.unwrap();
    assert!(rows.len() > 5, "{rows:?}");
    rows.into_iter().filter(|row| row.contains("mark")).collect()
}

#[tokio::test]
async fn nothing_of_a_person_stays_but_ids_and_the_last_mail() {
    each_database(async |db| {
        let ada = person(db).await;
        let other = account(db, "other").await;
        mails(db).await;
        assert!(marked(db).await.len() >= 7, "{:?}", marked(db).await);
        erase(db, ada.id).await.unwrap();
        // acl-service has to forget the token, which the row does once it is sent.
        let left: Vec<String> = marked(db).await;
        let (changes, left): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|row| row.starts_with("core_changes"));
        assert_eq!(changes.len(), 1);
        assert!(left.len() == 1 && left[0].starts_with("mails"), "{left:?}");
        let [last] = &mails(db).await[..] else { panic!("one mail") };
        assert_eq!((last.kind, last.to.as_str()), (MailKind::AccountErased, "mark@example.com"));
        assert_eq!(marked(db).await.len(), 1, "only the change for acl-service");
        let entries =
            db.read(async |tx| audit::list(tx, &Subjects::All, Uuid::max(), 9).await).await.unwrap();
        let entries: Vec<_> =
            entries.iter().map(|entry| (entry.action.as_str(), entry.reason.as_deref())).collect();
        assert_eq!(entries, [("account.erased", Some("asked by letter")), ("account.status", None)]);
        let erased = db.read(async |tx| erasure::list(tx, Uuid::nil(), 9).await).await.unwrap();
        assert_eq!(erased.iter().map(|one| one.account_id).collect::<Vec<_>>(), [ada.id]);
        let numbered = db.write(async |tx| events::number(tx).await).await.unwrap();
        let written = db.read(async |tx| events::after(tx, 0, 99).await).await.unwrap();
        let last = written.last().unwrap();
        assert_eq!(
            (numbered, last.routing_key.as_str()),
            (u64::try_from(written.len()).unwrap(), "account.erased")
        );
        assert_eq!(*last.data, json!({"account_id": ada.id}));
        assert!(find(db, other.id).await.is_some());
        assert_eq!(account(db, "mark.ada").await.username, "mark.ada", "the name is free again");
        assert!(matches!(erase(db, ada.id).await, Err(AccountError::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn what_is_open_is_named_and_nothing_is_erased() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        run(db, FLEET, Uuid::now_v7(), ada.id).await;
        let refused = erase(db, ada.id).await;
        assert!(matches!(&refused, Err(AccountError::Conflict(why)) if why.field == "fleet"), "{refused:?}");
        assert!(find(db, ada.id).await.is_some());
        assert_eq!(mails(db).await.len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_administrators_who_leave_at_once_one_stays() {
    each_database(async |db| {
        let mut admins = Vec::new();
        for name in ["ada", "bob", "eve"] {
            let id = account(db, name).await.id;
            db.write(async |tx| roles::set(tx, id, ADMIN).await).await.unwrap();
            admins.push(id);
        }
        let left = join_all(admins.iter().map(|id| erase(db, *id))).await;
        let erased = left.iter().filter(|done| done.is_ok()).count();
        let last = |done: &Result<(), AccountError>| matches!(done, Err(AccountError::Conflict(why)) if why.field == "roles");
        assert_eq!((erased, left.iter().filter(|done| last(done)).count()), (2, 1), "{left:?}");
        assert_eq!(db.read(async |tx| roles::admins(tx).await).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_a_backup_brings_back_is_erased_again() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let again =
            async |id: Uuid| db.write(async |tx| erasure::erase_again(tx, id, "voltgate users").await).await;
        assert!(again(ada.id).await.unwrap());
        assert!(!again(ada.id).await.unwrap());
        assert!(!again(Uuid::now_v7()).await.unwrap());
        assert_eq!(db.read(async |tx| erasure::list(tx, Uuid::nil(), 9).await).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_export_has_everything_of_its_owner_and_nothing_of_others() {
    each_database(async |db| {
        let ada = person(db).await;
        let other = account(db, "other").await;
        run(db, "INSERT INTO vehicles (id, account_id, name, version, created_at, updated_at) VALUES ($1, $2, 'theirs', 1, $3, $3)", Uuid::now_v7(), other.id).await;
        let read = async |account: Account| -> Value {
            let export = db.read(async |tx| export::export(tx, account.clone()).await).await.unwrap();
            serde_json::to_value(export).unwrap()
        };
        let export = read(ada.clone()).await;
        let members: Vec<&str> = export.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = ["profile", "vehicles", "tokens", "reservations", "sessions", "cdrs", "invoices", "payments", "payment_methods"];
        expected.sort_unstable();
        let mut members = members;
        members.sort_unstable();
        assert_eq!(members, expected);
        let profile = &export["profile"];
        assert_eq!((&profile["username"], &profile["email"]), (&json!("mark.ada"), &json!("mark@example.com")));
        assert_eq!(profile["email_pending"], "mark.new@example.com");
        assert_eq!(profile["address"]["city"], "MARK city");
        assert_eq!((&profile["consents"][0]["to"], &profile["consents"][0]["version"]), (&json!("terms"), &json!("2027-01")));
        assert_eq!(profile["sign_ins"][0]["client"], "MARK browser");
        assert_eq!((export["vehicles"].as_array().unwrap().len(), &export["vehicles"][0]["plate"]), (1, &json!("MARK-1")));
        let tokens = export["tokens"].as_array().unwrap();
        let marked = tokens.iter().find(|token| token["uid"] == "MARKUID").unwrap();
        // Every account has a token of its own from the beginning.
        assert_eq!((tokens.len(), &marked["type"]), (2, &json!("APP_USER")));
        assert!(!export.to_string().contains("theirs") && !export.to_string().contains("argon2"), "{export}");
        let theirs = read(other).await;
        assert!(!theirs.to_string().to_lowercase().contains("mark"), "{theirs}");
    })
    .await;
}

#[tokio::test]
async fn the_audit_trail_is_read_by_subjects_and_pruned_by_age() {
    each_database(async |db| {
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        for subject_id in ids.iter().chain(&ids) {
            let act = Act {
                actor: "key:1",
                action: "account.status",
                subject: "account",
                subject_id: *subject_id,
                reason: None,
                data: json!({}),
            };
            db.write(async |tx| audit::write(tx, &act).await).await.unwrap();
        }
        let list = async |subjects: Subjects, before: Uuid, limit: i64| {
            let found = db.read(async |tx| audit::list(tx, &subjects, before, limit).await).await.unwrap();
            found.into_iter().map(|entry| (entry.id, entry.subject_id)).collect::<Vec<_>>()
        };
        let subjects = |found: &[(Uuid, Uuid)]| found.iter().map(|(_, subject)| *subject).collect::<Vec<_>>();
        let two = Subjects::These([ids[0], ids[2]].into());
        let first = list(two.clone(), Uuid::max(), 3).await;
        assert_eq!(subjects(&first), [ids[2], ids[0], ids[2]]);
        assert_eq!(subjects(&list(two, first[2].0, 3).await), [ids[0]]);
        assert_eq!(list(Subjects::These([].into()), Uuid::max(), 3).await, []);
        assert_eq!(list(Subjects::All, Uuid::max(), 9).await.len(), 6);
        let prune = async |before: At| db.write(async |tx| audit::prune(tx, before, 4).await).await.unwrap();
        assert_eq!(prune(At::now().minus(Duration::from_secs(60))).await, 0);
        let later = At::now().plus(Duration::from_secs(60));
        assert_eq!([prune(later).await, prune(later).await], [4, 2]);
    })
    .await;
}
