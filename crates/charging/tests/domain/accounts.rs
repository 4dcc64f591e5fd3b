//! Accounts: names that are one, addresses that belong to one account, blocks, codes, the audit trail.

use std::collections::BTreeSet;
use std::time::Duration;

use charging::accounts::audit::{self, Act, Entry, Subjects};
use charging::accounts::codes::{self, Purpose};
use charging::accounts::{
    self, Account, AccountError, AccountStatus, Email, Filter, Language, PasswordHash, Profile, Secret,
    sign_ins,
};
use charging::{At, Db, DbError};
use common::role::Role;
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::databases::each_database;
use crate::people::{conflict, draft, find, read, register, set, try_register};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

async fn set_email(db: &Db, id: Uuid, text: Option<&str>) -> Result<(), AccountError> {
    let email = text.map(email);
    db.write(async |tx| accounts::set_email(tx, id, email.as_ref()).await).await
}

async fn by_login(db: &Db, login: &str) -> Option<Uuid> {
    let found = db.read(async |tx| accounts::by_login(tx, login).await).await.unwrap();
    found.map(|account| account.id)
}

async fn set_status(db: &Db, id: Uuid, status: AccountStatus, reason: Option<&str>) {
    db.write(async |tx| accounts::set_status(tx, id, status, reason).await).await.unwrap();
}

#[tokio::test]
async fn a_name_is_taken_however_it_is_written() {
    each_database(async |db| {
        let created = register(db, "Ada").await;
        assert_eq!((created.username.as_str(), created.version), ("Ada", 1));
        assert_eq!((created.status, created.totp_confirmed), (AccountStatus::Active, false));
        assert_eq!(find(db, created.id).await, Some(created));
        for same in ["Ada", "ada", "ADA", "ａｄａ", "Ａｄａ"] {
            assert_eq!(conflict(try_register(db, same).await), "username", "{same}");
        }
        register(db, "Straße").await;
        // A letter, and the same with a mark of its own.
        register(db, "é-name").await;
        assert_eq!(conflict(try_register(db, "e\u{301}-NAME").await), "username");
        for other in ["adam", "a-da", "ädä"] {
            register(db, other).await;
        }
        assert_eq!(find(db, Uuid::now_v7()).await, None);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_one_name_at_once_one_gets_it() {
    each_database(async |db| {
        let done = join_all((0..20).map(|_| try_register(db, "ada"))).await;
        let (made, refused): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (1, 19));
        for refused in refused {
            assert_eq!(conflict(refused), "username");
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_is_found_by_its_name_and_by_its_verified_address() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "Ada").await, register(db, "ben").await);
        set_email(db, ada.id, Some("Ada@Example.com")).await.unwrap();
        for login in ["Ada", "aDA", "ａｄａ", "ada@example.com", "ADA@EXAMPLE.COM"] {
            assert_eq!(by_login(db, login).await, Some(ada.id), "{login}");
        }
        assert_eq!(by_login(db, "BEN").await, Some(ben.id));
        for nothing in ["", "ad", "adam", "ben@example.com", "Ada%", "ada ", "\0ada", "@", "' OR 1=1 --"] {
            assert_eq!(by_login(db, nothing).await, None, "{nothing:?}");
        }
        assert_eq!(conflict(set_email(db, ben.id, Some("ada@EXAMPLE.com")).await), "email");
        assert_eq!(read(db, ben.id).await.email, None);
        set_email(db, ada.id, None).await.unwrap();
        assert_eq!(by_login(db, "ada@example.com").await, None);
        set_email(db, ben.id, Some("ada@example.com")).await.unwrap();
        assert_eq!(by_login(db, "ada@example.com").await, Some(ben.id));
    })
    .await;
}

#[tokio::test]
async fn a_profile_is_replaced_by_the_one_who_knows_its_version() {
    each_database(async |db| {
        let ada = register(db, "ada").await;
        let full: Profile = serde_json::from_value(json!({
            "name": "Ada Lovelace", "language": "de",
            "address": {"line1": "Kai 1", "postal_code": "20457", "city": "Hamburg", "country": "DEU"},
        }))
        .unwrap();
        let bare: Profile = serde_json::from_value(json!({})).unwrap();
        let update = async |version: i64, profile: &Profile| {
            db.write(async |tx| accounts::update(tx, ada.id, version, profile).await).await
        };
        let changed = update(ada.version, &full).await.unwrap();
        assert_eq!((changed.profile(), changed.version), (full, ada.version + 1));
        assert!(matches!(update(ada.version, &bare).await, Err(AccountError::Stale)));
        let emptied = update(changed.version, &bare).await.unwrap();
        assert_eq!(emptied.profile(), Profile { language: Some(Language::En), ..bare.clone() });
        assert_eq!((&emptied.username, emptied.created_at), (&ada.username, ada.created_at));
        let gone = db.write(async |tx| accounts::update(tx, Uuid::now_v7(), 1, &bare).await).await;
        assert!(matches!(gone, Err(AccountError::NotFound)), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn accounts_are_listed_by_id_by_prefix_and_by_role() {
    each_database(async |db| {
        let mut all = Vec::new();
        for name in ["Ada", "adam", "ben", "a%b", "a_b", "a!b"] {
            all.push(register(db, name).await);
        }
        set_email(db, all[2].id, Some("ADA.ben@example.com")).await.unwrap();
        let list = async |filter: Filter, after: Uuid, limit: i64| {
            let found = db.read(async |tx| accounts::list(tx, &filter, after, limit).await).await.unwrap();
            found.into_iter().map(|account| account.username).collect::<Vec<_>>()
        };
        let by = |prefix: &str, role: Option<Role>| Filter {
            prefix: Some(prefix.to_owned()),
            role,
            ..Filter::default()
        };
        assert_eq!(list(Filter::default(), Uuid::nil(), 4).await, ["Ada", "adam", "ben", "a%b"]);
        assert_eq!(list(Filter::default(), all[3].id, 4).await, ["a_b", "a!b"]);
        assert_eq!(list(by("ADA", None), Uuid::nil(), 9).await, ["Ada", "adam", "ben"]);
        assert_eq!(list(by("ada", Some(Role::Driver)), all[0].id, 9).await, ["adam", "ben"]);
        assert_eq!(list(by("ada", Some(Role::Admin)), Uuid::nil(), 9).await, Vec::<String>::new());
        for (prefix, one) in [("a%", "a%b"), ("a_", "a_b"), ("a!", "a!b")] {
            assert_eq!(list(by(prefix, None), Uuid::nil(), 9).await, [one]);
        }
        let drivers = Filter { role: Some(Role::Driver), ..Filter::default() };
        assert_eq!(list(drivers, all[0].id, 2).await, ["adam", "ben"]);
    })
    .await;
}

#[tokio::test]
async fn a_new_password_and_a_block_end_sign_ins() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await, register(db, "ben").await);
        let begin = async |account: Uuid| {
            db.write(async |tx| sign_ins::begin(tx, account, None).await).await.unwrap().sign_in_id
        };
        let live = async |account: Uuid| {
            let live = db.read(async |tx| sign_ins::live(tx, account).await).await.unwrap();
            live.into_iter().map(|one| one.id).collect::<BTreeSet<_>>()
        };
        let (first, second, bens) = (begin(ada.id).await, begin(ada.id).await, begin(ben.id).await);
        let password = PasswordHash::of_no_account();
        db.write(async |tx| accounts::set_password(tx, ada.id, &password, Some(second)).await).await.unwrap();
        assert_eq!(live(ada.id).await, [second].into());
        db.write(async |tx| accounts::set_password(tx, ada.id, &password, None).await).await.unwrap();
        assert_eq!(live(ada.id).await, [].into());
        assert_ne!(begin(ada.id).await, first);
        set_status(db, ada.id, AccountStatus::Blocked, Some("unpaid")).await;
        let blocked = read(db, ada.id).await;
        assert_eq!((blocked.is_active(), blocked.status_reason.as_deref()), (false, Some("unpaid")));
        assert_eq!(live(ada.id).await, [].into());
        set_status(db, ada.id, AccountStatus::Active, None).await;
        assert!(read(db, ada.id).await.is_active());
        assert_eq!(live(ada.id).await, [].into(), "an old sign-in does not come back");
        assert_eq!(live(ben.id).await, [bens].into());
    })
    .await;
}

/// As sign-in does: begin, then look whether the account is still what the password was compared with.
async fn sign_in(db: &Db, before: &Account) -> bool {
    let done = db.write(async |tx| {
        sign_ins::begin(tx, before.id, None).await?;
        let now = accounts::find(tx, before.id).await?;
        let same = now.filter(|now| now.is_active() && now.version == before.version);
        same.map(drop).ok_or(AccountError::NotFound)
    });
    done.await.is_ok()
}

#[tokio::test]
async fn a_sign_in_that_begins_beside_a_block_or_a_new_password_does_not_outlive_it() {
    each_database(async |db| {
        let ada = register(db, "ada").await;
        let password = PasswordHash::of_no_account();
        for _ in 0..25 {
            let before = read(db, ada.id).await;
            let block = async || set_status(db, ada.id, AccountStatus::Blocked, None).await;
            let change = async || {
                let done = db.write(async |tx| accounts::set_password(tx, ada.id, &password, None).await);
                done.await.unwrap();
            };
            tokio::join!(sign_in(db, &before), sign_in(db, &before), block(), sign_in(db, &before));
            let live = db.read(async |tx| sign_ins::live(tx, ada.id).await).await.unwrap();
            assert_eq!(live, [], "beside a block");
            set_status(db, ada.id, AccountStatus::Active, None).await;
            let before = read(db, ada.id).await;
            tokio::join!(sign_in(db, &before), sign_in(db, &before), change(), sign_in(db, &before));
            let live = db.read(async |tx| sign_ins::live(tx, ada.id).await).await.unwrap();
            assert_eq!(live, [], "beside a new password");
        }
    })
    .await;
}

#[tokio::test]
async fn a_code_works_once_for_its_purpose_and_only_the_latest() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await, register(db, "ben").await);
        let address = email("Ada@example.com");
        let create = async |account: Uuid, purpose: Purpose| {
            db.write(async |tx| codes::create(tx, account, purpose, &address).await).await.unwrap()
        };
        let take = async |code: &Secret, purpose: Purpose| {
            db.write(async |tx| codes::take(tx, code, purpose).await).await.unwrap()
        };
        let (verify, reset) = (Purpose::VerifyEmail, Purpose::ResetPassword);
        let replaced = create(ada.id, verify).await;
        let (code, other, bens) =
            (create(ada.id, verify).await, create(ada.id, reset).await, create(ben.id, verify).await);
        assert_eq!(take(&replaced, verify).await, None, "an earlier code");
        assert_eq!(take(&code, reset).await, None, "another purpose");
        assert_eq!(take(&Secret::generate().unwrap(), verify).await, None, "unknown");
        let pending = db.read(async |tx| codes::pending(tx, ada.id, verify).await).await.unwrap();
        assert_eq!(pending.as_deref(), Some("Ada@example.com"));
        let taken = join_all((0..10).map(|_| take(&code, verify))).await;
        let taken: Vec<_> = taken.into_iter().flatten().collect();
        assert_eq!(taken, [(ada.id, address.clone())]);
        assert_eq!(db.read(async |tx| codes::pending(tx, ada.id, verify).await).await.unwrap(), None);
        db.write(async |tx| codes::cancel(tx, ada.id, reset).await).await.unwrap();
        assert_eq!(take(&other, reset).await, None, "cancelled");
        assert_eq!(take(&bens, verify).await, Some((ben.id, address.clone())));
    })
    .await;
}

#[tokio::test]
async fn a_code_that_is_too_old_is_refused_and_pruned() {
    each_database(async |db| {
        let ada = register(db, "ada").await;
        let address = email("ada@example.com");
        let code = db.write(async |tx| codes::create(tx, ada.id, Purpose::ResetPassword, &address).await);
        let code = code.await.unwrap();
        let prune = async |before: At| db.write(async |tx| codes::prune(tx, before, 9).await).await.unwrap();
        assert_eq!(prune(At::now().plus(Purpose::ResetPassword.lifetime()).minus(A_DAY)).await, 0);
        let earlier = At::now().minus(Duration::from_secs(1));
        let age = "UPDATE account_codes SET expires_at = $2 WHERE account_id = $1";
        db.write(async |tx| set(tx, age, ada.id, earlier).await).await.unwrap();
        let take = db.write(async |tx| codes::take(tx, &code, Purpose::ResetPassword).await).await.unwrap();
        assert_eq!(take, None);
        assert_eq!((prune(At::now()).await, prune(At::now()).await), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn the_audit_trail_shows_who_did_what_to_whom_newest_first() {
    each_database(async |db| {
        let (ada, ben) = (Uuid::now_v7(), Uuid::now_v7());
        for (n, subject) in [ada, ben, ada, ada].into_iter().enumerate() {
            let reason = (n % 2 == 0).then_some("unpaid");
            let data = json!({"number": n, "roles": ["host"]});
            let act = Act {
                actor: "key:a",
                action: "account.status",
                subject: "account",
                subject_id: subject,
                reason,
                data,
            };
            db.write(async |tx| audit::write(tx, &act).await).await.unwrap();
        }
        let list = async |subject: Option<Uuid>, before: Uuid, limit: i64| -> Vec<Entry> {
            let subjects = subject.map_or(Subjects::All, |one| Subjects::These([one].into()));
            db.read(async |tx| audit::list(tx, &subjects, before, limit).await).await.unwrap()
        };
        let numbers = |entries: &[Entry]| -> Vec<i64> {
            entries.iter().map(|entry| entry.data.0["number"].as_i64().unwrap()).collect()
        };
        let all = list(None, Uuid::max(), 9).await;
        assert_eq!(numbers(&all), [3, 2, 1, 0]);
        assert_eq!(numbers(&list(None, all[1].id, 1).await), [1]);
        assert_eq!(numbers(&list(Some(ada), Uuid::max(), 9).await), [3, 2, 0]);
        assert_eq!(numbers(&list(Some(ada), all[0].id, 1).await), [2]);
        let first = &all[3];
        assert_eq!((first.actor.as_str(), first.action.as_str()), ("key:a", "account.status"));
        assert_eq!((first.subject.as_str(), first.subject_id), ("account", ada));
        assert_eq!((first.reason.as_deref(), all[2].reason.as_deref()), (Some("unpaid"), None));
        assert!(first.at <= At::now());
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_leaves_no_account() {
    each_database(async |db| {
        let done: Result<(), DbError> = db
            .write(async |tx| {
                accounts::create(tx, &draft("ada")).await.map_err(|_| DbError::Away)?;
                Err(DbError::Away)
            })
            .await;
        assert!(done.is_err());
        assert_eq!(by_login(db, "ada").await, None);
        register(db, "ada").await;
    })
    .await;
}
