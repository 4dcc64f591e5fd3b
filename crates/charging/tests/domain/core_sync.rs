//! What acl-service must learn: every change that may alter it is noted, and is sent as the present state.

use charging::Db;
use charging::accounts::{self, AccountError, AccountStatus};
use charging::core_sync::{self, Batch, Subject};
use charging::stations::charging_stations::public;
use charging::stations::connectors::Access;
use charging::stations::{StationDraft, charging_stations};
use charging::tokens::{self, TokenStatus, TokenTerms, members};
use common::ids::DriverToken;
use serde_json::json;
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{create_station, station, update_station};
use crate::tokens::{account, create, of_account, update};

async fn pending(db: &Db) -> Batch {
    db.read(async |tx| core_sync::pending(tx, 500).await).await.unwrap()
}

async fn sent(db: &Db, batch: &Batch) -> bool {
    db.write(async |tx| core_sync::sent(tx, batch).await).await.unwrap()
}

/// Takes what is to be sent: the public stations, those that are not, the members, and those that are none, all sorted.
async fn taken(db: &Db) -> (Vec<Uuid>, Vec<Uuid>, Vec<String>, Vec<String>) {
    let mut batch = pending(db).await;
    assert!(sent(db, &batch).await);
    let (mut public, mut not_public, mut members, mut none) = (vec![], vec![], vec![], vec![]);
    for (_, states) in batch.by_actor.drain() {
        public.extend(states.public);
        not_public.extend(states.not_public);
        members.extend(states.members.into_iter().map(|member| member.driver_token.expose().to_owned()));
        none.extend(states.no_members.into_iter().map(|token| token.expose().to_owned()));
    }
    public.sort_unstable();
    not_public.sort_unstable();
    members.sort_unstable();
    none.sort_unstable();
    (public, not_public, members, none)
}

#[tokio::test]
async fn stations_are_noted_when_they_open_close_or_go() {
    each_database(async |db| {
        let first = create_station(db, &station("HAM-1", None, &[])).await;
        let list = StationDraft { access: Some(Access::List), ..station("HAM-2", None, &[]) };
        let second = create_station(db, &list).await;
        assert_eq!(taken(db).await, (vec![first.row.id], vec![second.row.id], vec![], vec![]));
        // Another name changes nothing for acl-service.
        let draft = StationDraft { name: "Left".parse().ok(), ..first.draft() };
        let first = update_station(db, &first, &draft).await.unwrap();
        assert!(pending(db).await.is_empty());
        let closed = StationDraft { access: Some(Access::List), ..first.draft() };
        update_station(db, &first, &closed).await.unwrap();
        let opened = StationDraft { access: Some(Access::Public), ..second.draft() };
        let second = update_station(db, &second, &opened).await.unwrap();
        assert_eq!(taken(db).await, (vec![second.row.id], vec![first.row.id], vec![], vec![]));
        let (id, version) = (second.row.id, second.row.version);
        db.write(async |tx| charging_stations::delete(tx, id, version).await).await.unwrap();
        assert_eq!(taken(db).await, (vec![], vec![id], vec![], vec![]));
    })
    .await;
}

#[tokio::test]
async fn tokens_are_noted_with_the_state_that_they_have_when_they_are_sent() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let app = of_account(db, ada.id).await.remove(0);
        let app_name = app.driver_token.expose().to_owned();
        assert_eq!(taken(db).await, (vec![], vec![], vec![app_name.clone()], vec![]));
        let later = json!({"uid": "04A1", "expires_at": "2100-01-01T00:00:00Z"});
        let card = create(db, later).await.unwrap();
        let batch = pending(db).await;
        let until = batch.by_actor[&None].members[0].until;
        assert_eq!(until, "2100-01-01T00:00:00Z".parse().ok());
        let blocked = TokenTerms { status: TokenStatus::Blocked, ..card.terms.clone() };
        let card = update(db, &card, &blocked).await.unwrap();
        let card_name = card.driver_token.expose().to_owned();
        assert_eq!(taken(db).await, (vec![], vec![], vec![], vec![card_name.clone()]));
        let renamed = DriverToken::parse("another_name_of_the_card").unwrap();
        let active = TokenTerms { status: TokenStatus::Active, ..card.terms.clone() };
        let card =
            db.write(async |tx| tokens::update(tx, &card, &renamed, &active, None).await).await.unwrap();
        let members = vec!["another_name_of_the_card".to_owned()];
        assert_eq!(taken(db).await, (vec![], vec![], members.clone(), vec![card_name]));
        db.write(async |tx| tokens::remove(tx, &card, None).await).await.unwrap();
        assert_eq!(taken(db).await, (vec![], vec![], vec![], members));
    })
    .await;
}

#[tokio::test]
async fn a_blocked_account_takes_all_of_its_tokens_along_and_brings_them_back() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        create(db, json!({"uid": "04A1", "user_id": ada.id})).await.unwrap();
        let mut names: Vec<String> =
            of_account(db, ada.id).await.iter().map(|token| token.driver_token.expose().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(taken(db).await, (vec![], vec![], names.clone(), vec![]));
        for status in [AccountStatus::Blocked, AccountStatus::Active] {
            db.write(async |tx| {
                accounts::set_status(tx, ada.id, status, None).await?;
                core_sync::attribute(tx, Subject::Account(ada.id), "account:operator").await?;
                Ok::<_, AccountError>(())
            })
            .await
            .unwrap();
            let by: Vec<Option<String>> = pending(db).await.by_actor.into_keys().collect();
            assert_eq!(by, [Some("account:operator".to_owned())]);
            let (_, _, members, none) = taken(db).await;
            match status {
                AccountStatus::Blocked => assert_eq!((members, none), (vec![], names.clone())),
                AccountStatus::Active => assert_eq!((members, none), (names.clone(), vec![])),
            }
        }
        db.write(async |tx| members::erase(tx, ada.id, None).await).await.unwrap();
        assert_eq!(pending(db).await.by_actor[&None].members.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_taken_once_and_only_at_its_version() {
    each_database(async |db| {
        create_station(db, &station("HAM-1", None, &[])).await;
        let batch = pending(db).await;
        assert_eq!((batch.version, batch.next_version()), (0, 1));
        create_station(db, &station("HAM-2", None, &[])).await;
        assert!(sent(db, &batch).await);
        // What was noted meanwhile is still there.
        let next = pending(db).await;
        assert_eq!((next.version, next.next_version()), (1, 2));
        assert!(!sent(db, &batch).await);
        assert_eq!(pending(db).await, next);
        assert_eq!(db.read(async |tx| core_sync::waiting(tx).await).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn pages_for_a_rebuild_have_everything_once() {
    each_database(async |db| {
        let mut public_ids = Vec::new();
        for number in 0..7 {
            let access = if number == 3 { Access::List } else { Access::Public };
            let draft = StationDraft { access: Some(access), ..station(&format!("HAM-{number}"), None, &[]) };
            let created = create_station(db, &draft).await;
            if access == Access::Public {
                public_ids.push(created.row.id);
            }
            create(db, json!({"uid": format!("04A{number}"), "status": if number == 3 { "blocked" } else { "active" }}))
                .await
                .unwrap();
        }
        public_ids.sort_unstable();
        let (mut after, mut pages) = (Uuid::nil(), Vec::new());
        loop {
            let page = db.read(async move |tx| public::after(tx, after, 4).await).await.unwrap();
            let Some(last) = page.last() else { break };
            after = *last;
            pages.extend(page);
        }
        assert_eq!(pages, public_ids);
        let (mut after, mut tokens) = (Uuid::nil(), Vec::new());
        loop {
            let page = db.read(async move |tx| members::after(tx, after, 4).await).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            tokens.extend(page.into_iter().map(|member| member.driver_token));
        }
        assert_eq!(tokens.len(), 6);
        tokens.push(DriverToken::parse("a_token_of_another_place").unwrap());
        let among = db.read(async |tx| members::among(tx, &tokens).await).await.unwrap();
        assert_eq!(among.len(), 6);
    })
    .await;
}
