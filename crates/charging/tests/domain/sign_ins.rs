//! Sign-ins: a refresh token has one successor, and one that is used again after the grace ends its sign-in.

use std::collections::HashSet;
use std::time::Duration;

use charging::accounts::sign_ins::{self, Ending, Issued, LIFETIME, Refreshed, SignIn};
use charging::accounts::{AccountStatus, Secret, set_status, signing_keys};
use charging::events;
use charging::{At, Db};
use common::role::Role;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::databases::{each_database, on, on_postgres};
use crate::people::{register, set};

const GRACE: Duration = Duration::from_secs(20);

async fn begin(db: &Db, account: Uuid, client: Option<&str>) -> Issued {
    db.write(async |tx| sign_ins::begin(tx, account, client).await).await.unwrap()
}

async fn refresh(db: &Db, token: &Secret, grace: Duration) -> Refreshed {
    db.write(async |tx| sign_ins::refresh(tx, token, grace).await).await.unwrap()
}

/// The successor of a token, which must be accepted.
async fn next(db: &Db, token: &Secret) -> Secret {
    match refresh(db, token, GRACE).await {
        Refreshed::Issued(issued) => issued.refresh,
        other => panic!("expected a successor, not {other:?}"),
    }
}

async fn is_refused(db: &Db, token: &Secret) -> bool {
    matches!(refresh(db, token, GRACE).await, Refreshed::Refused)
}

async fn live(db: &Db, account: Uuid) -> Vec<SignIn> {
    db.read(async |tx| sign_ins::live(tx, account).await).await.unwrap()
}

async fn end(db: &Db, account: Uuid, sign_in: Uuid) -> bool {
    db.write(async |tx| sign_ins::end(tx, account, sign_in, Ending::SignedOut).await).await.unwrap()
}

/// Whether its access tokens are accepted.
async fn is_admitted(db: &Db, account: Uuid, sign_in: Uuid) -> bool {
    db.read(async |tx| sign_ins::roles(tx, account, sign_in).await).await.unwrap().is_some()
}

/// How many refresh tokens a sign-in has had.
async fn tokens(db: &Db, sign_in: Uuid) -> i64 {
    let count = "SELECT COUNT(*) FROM refresh_tokens WHERE sign_in_id = $1";
    let counted = db.read(async |tx| {
        let (count,): (i64,) = on!(tx, |c| sqlx::query_as(count).bind(sign_in).fetch_one(c).await)?;
        Ok::<_, charging::DbError>(count)
    });
    counted.await.unwrap()
}

/// The sign-ins that events have named as ended.
async fn ended(db: &Db) -> Vec<Uuid> {
    db.write(async |tx| events::number(tx).await).await.unwrap();
    let all = db.read(async |tx| events::after(tx, 0, 1000).await).await.unwrap();
    let all = all.iter().filter(|event| event.routing_key == "account.signed_out");
    all.map(|event| event.data["sign_in_id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_sign_in_is_shown_to_its_owner_until_it_ends() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await.id, register(db, "ben").await.id);
        let client = format!("Firefox\u{7}\n{}", "x".repeat(300));
        let before = At::now();
        let issued = begin(db, ada, Some(&client)).await;
        let (second, bens) = (begin(db, ada, None).await, begin(db, ben, None).await);
        assert_eq!(issued.account_id, ada);
        let shown = live(db, ada).await;
        assert_eq!(
            shown.iter().map(|one| one.id).collect::<Vec<_>>(),
            [issued.sign_in_id, second.sign_in_id]
        );
        let kept = shown[0].client.as_deref().unwrap();
        assert!(kept.starts_with("Firefoxxxx") && kept.len() == 200, "{kept}");
        assert!(
            shown[0].authenticated_at >= before
                && shown[0].expires_at == shown[0].last_used_at.plus(LIFETIME)
        );
        let found = async |account: Uuid, id: Uuid| {
            db.read(async |tx| sign_ins::find(tx, account, id).await).await.unwrap()
        };
        assert_eq!(found(ada, issued.sign_in_id).await.as_ref(), Some(&shown[0]));
        assert_eq!(found(ben, issued.sign_in_id).await, None, "another account's");
        assert!(!is_admitted(db, ben, issued.sign_in_id).await, "another account's");
        assert!(is_admitted(db, ada, issued.sign_in_id).await);
        assert!(end(db, ada, issued.sign_in_id).await);
        assert!(!end(db, ada, issued.sign_in_id).await, "it has ended already");
        assert_eq!(found(ada, issued.sign_in_id).await, None);
        assert!(!is_admitted(db, ada, issued.sign_in_id).await && is_refused(db, &issued.refresh).await);
        assert!(is_admitted(db, ada, second.sign_in_id).await && is_admitted(db, ben, bens.sign_in_id).await);
        assert_eq!(ended(db).await, [issued.sign_in_id]);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_replaced_again_and_again() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let issued = begin(db, ada, None).await;
        let (mut token, mut seen) = (issued.refresh.clone(), HashSet::from([issued.refresh.reveal()]));
        for _ in 0..10 {
            token = next(db, &token).await;
            assert!(seen.insert(token.reveal()), "a token comes back");
        }
        assert_eq!(tokens(db, issued.sign_in_id).await, 11);
        assert_eq!(live(db, ada).await.len(), 1);
        let authenticated = live(db, ada).await[0].authenticated_at;
        assert!(live(db, ada).await[0].last_used_at >= authenticated);
        for unknown in [Secret::generate().unwrap(), "A".repeat(43).parse().unwrap()] {
            assert!(is_refused(db, &unknown).await);
        }
        assert_eq!(live(db, ada).await.len(), 1, "an unknown token ends nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_refreshes_of_one_token_at_once_get_the_same_successor() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        for round in 1..=3 {
            let issued = begin(db, ada, None).await;
            let refreshed = join_all((0..40).map(|_| next(db, &issued.refresh))).await;
            let successors: HashSet<String> = refreshed.iter().map(Secret::reveal).collect();
            assert_eq!(successors.len(), 1, "round {round}");
            assert_eq!(tokens(db, issued.sign_in_id).await, 2, "round {round}");
            assert_eq!(next(db, &issued.refresh).await, refreshed[0], "a repeat within the grace");
            let after = next(db, &refreshed[0]).await;
            assert_eq!(next(db, &refreshed[0]).await, after);
            assert_eq!(tokens(db, issued.sign_in_id).await, 3);
            assert!(is_admitted(db, ada, issued.sign_in_id).await);
        }
        assert!(ended(db).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_used_again_after_the_grace_ends_its_sign_in_and_every_token_of_it() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let (stolen, other) = (begin(db, ada, None).await, begin(db, ada, None).await);
        let second = next(db, &stolen.refresh).await;
        let third = next(db, &second).await;
        let rotated = "UPDATE refresh_tokens SET rotated_at = $2 WHERE sign_in_id = $1 AND rotated_at IS NOT NULL";
        let earlier = At::now().minus(GRACE).minus(Duration::from_millis(1));
        db.write(async |tx| set(tx, rotated, stolen.sign_in_id, earlier).await).await.unwrap();
        let again = join_all((0..5).map(|_| refresh(db, &stolen.refresh, GRACE))).await;
        let reused = |one: &&Refreshed| {
            matches!(one, Refreshed::Reused { account_id, sign_in_id } if *account_id == ada && *sign_in_id == stolen.sign_in_id)
        };
        assert!(again.iter().any(|one| reused(&one)), "{again:?}");
        assert!(again.iter().all(|one| reused(&one) || matches!(one, Refreshed::Refused)), "{again:?}");
        for token in [&stolen.refresh, &second, &third] {
            assert!(is_refused(db, token).await);
        }
        assert!(!is_admitted(db, ada, stolen.sign_in_id).await);
        assert_eq!(live(db, ada).await.iter().map(|one| one.id).collect::<Vec<_>>(), [other.sign_in_id]);
        assert_eq!(tokens(db, stolen.sign_in_id).await, 3, "no token was made");
        assert_eq!(ended(db).await, [stolen.sign_in_id], "one event");
        next(db, &other.refresh).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_grace_the_second_use_ends_the_sign_in() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let issued = begin(db, ada, None).await;
        let Refreshed::Issued(second) = refresh(db, &issued.refresh, Duration::ZERO).await else { panic!() };
        // At the same millisecond it is within the grace still.
        let used = At::now();
        while At::now() <= used {
            tokio::task::yield_now().await;
        }
        let again = refresh(db, &issued.refresh, Duration::ZERO).await;
        assert!(matches!(again, Refreshed::Reused { .. }), "{again:?}");
        assert!(is_refused(db, &second.refresh).await);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_is_not_used_expires_and_is_pruned() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let (old, fresh) = (begin(db, ada, None).await, begin(db, ada, None).await);
        let expire = "UPDATE sign_ins SET expires_at = $2 WHERE id = $1";
        let now = At::now();
        db.write(async |tx| set(tx, expire, old.sign_in_id, now).await).await.unwrap();
        assert!(is_refused(db, &old.refresh).await);
        assert!(!is_admitted(db, ada, old.sign_in_id).await);
        assert_eq!(live(db, ada).await.iter().map(|one| one.id).collect::<Vec<_>>(), [fresh.sign_in_id]);
        let prune = async |limit: i64| {
            let before = At::now().plus(Duration::from_secs(1));
            db.write(async |tx| sign_ins::prune(tx, before, limit).await).await.unwrap()
        };
        assert_eq!((prune(0).await, prune(9).await, prune(9).await), (0, 1, 0));
        assert_eq!((tokens(db, old.sign_in_id).await, tokens(db, fresh.sign_in_id).await), (0, 1));
        let before = live(db, ada).await[0].expires_at;
        next(db, &fresh.refresh).await;
        assert!(live(db, ada).await[0].expires_at >= before, "a refresh prolongs it");
    })
    .await;
}

#[tokio::test]
async fn all_sign_ins_of_an_account_end_but_the_one_that_is_kept() {
    each_database(async |db| {
        let (ada, ben) = (register(db, "ada").await.id, register(db, "ben").await.id);
        let mut issued = Vec::new();
        for account in [ada, ada, ada, ben] {
            issued.push(begin(db, account, None).await);
        }
        let keep = Some(issued[1].sign_in_id);
        db.write(async |tx| sign_ins::end_all(tx, ada, keep, Ending::SignedOut).await).await.unwrap();
        for (n, one) in issued.iter().enumerate() {
            assert_eq!(is_admitted(db, one.account_id, one.sign_in_id).await, n == 1 || n == 3, "{n}");
        }
        db.write(async |tx| sign_ins::end_all(tx, ada, None, Ending::Password).await).await.unwrap();
        assert_eq!((live(db, ada).await.len(), live(db, ben).await.len()), (0, 1));
        let mut ended = ended(db).await;
        ended.sort_unstable();
        let mut expected: Vec<Uuid> = issued[..3].iter().map(|one| one.sign_in_id).collect();
        expected.sort_unstable();
        assert_eq!(ended, expected);
    })
    .await;
}

#[tokio::test]
async fn a_blocked_account_is_refused_at_once_also_where_a_sign_in_would_be_left() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let issued = begin(db, ada, None).await;
        let roles = db.read(async |tx| sign_ins::roles(tx, ada, issued.sign_in_id).await).await.unwrap();
        assert_eq!(roles.unwrap().iter().map(|grant| grant.role).collect::<Vec<_>>(), [Role::Driver]);
        let block = AccountStatus::Blocked;
        db.write(async |tx| set_status(tx, ada, block, None).await).await.unwrap();
        assert!(!is_admitted(db, ada, issued.sign_in_id).await && is_refused(db, &issued.refresh).await);
        let revive = "UPDATE sign_ins SET ended_at = NULL, last_used_at = $2 WHERE id = $1";
        db.write(async |tx| set(tx, revive, issued.sign_in_id, At::now()).await).await.unwrap();
        assert!(!is_admitted(db, ada, issued.sign_in_id).await, "the status counts too");
        assert!(!is_admitted(db, Uuid::now_v7(), Uuid::now_v7()).await);
    })
    .await;
}

#[tokio::test]
async fn replicas_that_start_together_agree_on_one_key() {
    on_postgres(async |place| {
        let replicas = join_all((0..4).map(|_| place.open())).await;
        let replicas: Vec<Db> = replicas.into_iter().map(Result::unwrap).collect();
        let keys = join_all(replicas.iter().map(signing_keys::stored)).await;
        let ids: HashSet<String> =
            keys.into_iter().flat_map(Result::unwrap).map(|key| key.id().to_owned()).collect();
        assert_eq!(ids.len(), 1);
    })
    .await;
    each_database(async |db| {
        let keys = join_all((0..8).map(|_| signing_keys::stored(db))).await;
        let keys: Vec<_> = keys.into_iter().map(Result::unwrap).collect();
        assert!(keys.iter().all(|stored| stored.len() == 1 && stored[0].id() == keys[0][0].id()));
        assert_eq!(signing_keys::stored(db).await.unwrap()[0].public(), keys[0][0].public());
    })
    .await;
}
