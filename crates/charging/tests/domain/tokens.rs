//! Tokens: three names that are unique each, one status that counts, blocks by owner and operator, and codes that work once.

use charging::accounts::{self, Account, AccountError, AccountStatus, Language, NewAccount, PasswordHash};
use charging::tokens::id_tags::{self, IdTagDraft, IdTagStatus, Put};
use charging::tokens::{
    self, Filter, IdTag, MAX_APP_TOKENS, Token, TokenDraft, TokenStatus, TokenTerms, TokenType, Whitelist,
    groups,
};
use charging::{At, Db};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases::each_database;

pub(crate) async fn account(db: &Db, name: &str) -> Account {
    let new = NewAccount {
        username: name.parse().unwrap(),
        password: PasswordHash::of_no_account(),
        language: Language::En,
        terms: None,
    };
    db.write(async |tx| accounts::create(tx, &new).await).await.unwrap()
}

pub(crate) fn card(document: &Value) -> TokenDraft {
    serde_json::from_value(document.clone()).unwrap()
}

pub(crate) async fn create(db: &Db, document: Value) -> Result<Token, AccountError> {
    let draft = card(&document);
    db.write(async |tx| tokens::create(tx, &draft, None).await.map(|(token, _)| token)).await
}

pub(crate) async fn of_account(db: &Db, account: Uuid) -> Vec<Token> {
    let filter = Filter { account: Some(account), ..Filter::default() };
    list(db, &filter).await
}

async fn list(db: &Db, filter: &Filter) -> Vec<Token> {
    db.read(async |tx| tokens::list(tx, filter, Uuid::nil(), 100).await).await.unwrap()
}

async fn find(db: &Db, id: Uuid) -> Option<Token> {
    db.read(async |tx| tokens::find(tx, id).await).await.unwrap()
}

pub(crate) async fn update(db: &Db, before: &Token, terms: &TokenTerms) -> Result<Token, AccountError> {
    db.write(async |tx| tokens::update(tx, before, &before.driver_token, terms, None).await).await
}

async fn set_status(db: &Db, account: Uuid, status: AccountStatus) {
    db.write(async |tx| accounts::set_status(tx, account, status, None).await).await.unwrap();
}

/// The field of a conflict or of a refusal.
pub(crate) fn field<T: std::fmt::Debug>(done: Result<T, AccountError>) -> String {
    match done {
        Err(AccountError::Conflict(refused) | AccountError::Refused(refused)) => refused.field.into_owned(),
        other => panic!("expected a refusal, not {other:?}"),
    }
}

fn tag(text: &str) -> IdTag {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_new_account_has_one_app_token_and_may_have_twenty() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let first = of_account(db, ada.id).await;
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].kind, first[0].status(At::now())), (TokenType::AppUser, TokenStatus::Active));
        assert_eq!(first[0].terms.whitelist, Whitelist::Never);
        let more = async || db.write(async |tx| tokens::create_app_token(tx, ada.id, None).await).await;
        for _ in 1..MAX_APP_TOKENS {
            more().await.unwrap();
        }
        assert_eq!(field(more().await), "type");
        // Cards do not count.
        create(db, json!({"uid": "04A1", "user_id": ada.id})).await.unwrap();
        assert_eq!(of_account(db, ada.id).await.len(), 21);
    })
    .await;
}

#[tokio::test]
async fn each_of_the_three_names_is_unique_and_case_counts_in_one_of_them() {
    each_database(async |db| {
        let driver = "A_driver_token_of_ours";
        let first =
            create(db, json!({"uid": "04aB", "id_tag": "tag1", "driver_token": driver})).await.unwrap();
        assert_eq!((first.uid.expose(), first.id_tag.as_ref().unwrap().expose()), ("04aB", "tag1"));
        assert_eq!(field(create(db, json!({"uid": "04Ab", "id_tag": "x"})).await), "uid");
        assert_eq!(field(create(db, json!({"uid": "y", "id_tag": "TAG1"})).await), "id_tag");
        let same = json!({"uid": "z", "driver_token": driver});
        assert_eq!(field(create(db, same).await), "driver_token");
        let other = json!({"uid": "z", "driver_token": driver.to_lowercase()});
        assert_eq!(create(db, other).await.unwrap().id_tag, Some(tag("z")));
        assert_eq!(field(create(db, json!({"status": "active"})).await), "uid");
        // A uid that is too long for OCPP is no id tag.
        let long = create(db, json!({"uid": "u".repeat(36)})).await.unwrap();
        assert_eq!(long.id_tag, None);
        let found = db.read(async |tx| tokens::by_id_tag(tx, &tag("TaG1")).await).await.unwrap();
        assert_eq!(found, Some(first));
    })
    .await;
}

#[tokio::test]
async fn a_token_is_blocked_while_its_account_is_and_expires_by_itself() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let status = async |id| find(db, id).await.unwrap().status(At::now());
        let always =
            create(db, json!({"uid": "c1", "user_id": ada.id, "whitelist": "always"})).await.unwrap();
        set_status(db, ada.id, AccountStatus::Blocked).await;
        assert_eq!(status(always.id).await, TokenStatus::Blocked);
        let late = create(db, json!({"uid": "c2", "user_id": ada.id})).await.unwrap();
        assert_eq!(status(late.id).await, TokenStatus::Blocked);
        set_status(db, ada.id, AccountStatus::Active).await;
        assert_eq!(
            (status(always.id).await, status(late.id).await),
            (TokenStatus::Active, TokenStatus::Active)
        );
        let past = json!({"uid": "c3", "expires_at": "2020-01-01T00:00:00Z"});
        let past = create(db, past).await.unwrap();
        assert_eq!(status(past.id).await, TokenStatus::Expired);
        let unknown = json!({"uid": "c4", "user_id": Uuid::now_v7()});
        assert_eq!(field(create(db, unknown).await), "user_id");
    })
    .await;
}

#[tokio::test]
async fn an_owner_does_not_lift_the_block_of_an_operator() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let own = async |before: &Token, status| {
            db.write(async |tx| tokens::set_own_status(tx, before, status, None).await).await
        };
        let token = of_account(db, ada.id).await.remove(0);
        let blocked = own(&token, TokenStatus::Blocked).await.unwrap();
        let active = own(&blocked, TokenStatus::Active).await.unwrap();
        assert_eq!(active.status(At::now()), TokenStatus::Active);
        assert_eq!(field(own(&active, TokenStatus::Expired).await), "status");
        let terms = TokenTerms { status: TokenStatus::Blocked, ..active.terms.clone() };
        let blocked = update(db, &active, &terms).await.unwrap();
        assert_eq!(field(own(&blocked, TokenStatus::Active).await), "status");
        // An earlier version changes nothing.
        assert!(matches!(update(db, &active, &active.terms.clone()).await, Err(AccountError::Stale)));
        let lifted = TokenTerms { status: TokenStatus::Active, ..blocked.terms.clone() };
        assert_eq!(update(db, &blocked, &lifted).await.unwrap().blocked_by, None);
    })
    .await;
}

#[tokio::test]
async fn a_code_binds_a_card_once_and_an_earlier_one_not_at_all() {
    each_database(async |db| {
        let (ada, bob) = (account(db, "ada").await, account(db, "bob").await);
        let draft = card(&json!({"uid": "04A1", "bind_code": true}));
        let (token, code) = db.write(async |tx| tokens::create(tx, &draft, None).await).await.unwrap();
        let code = code.unwrap();
        let issue = async || db.write(async |tx| tokens::issue_code(tx, token.id).await).await;
        let bind = async |account, code| {
            db.write(async |tx| tokens::bind(tx, account, code, None).await).await.unwrap()
        };
        let newer = issue().await.unwrap();
        assert_eq!(bind(ada.id, &code).await, None);
        let bound = bind(ada.id, &newer).await.unwrap();
        assert_eq!((bound.id, bound.terms.user_id), (token.id, Some(ada.id)));
        assert_eq!(bind(bob.id, &newer).await, None);
        assert_eq!(field(issue().await), "user_id");
        // A card that an operator has bound meanwhile is not bound by its code.
        let draft = card(&json!({"uid": "04A2", "bind_code": true}));
        let (token, code) = db.write(async |tx| tokens::create(tx, &draft, None).await).await.unwrap();
        let terms = TokenTerms { user_id: Some(ada.id), ..token.terms.clone() };
        let token = update(db, &token, &terms).await.unwrap();
        update(db, &token, &TokenTerms { user_id: None, ..terms }).await.unwrap();
        assert_eq!(bind(bob.id, &code.unwrap()).await, None);
    })
    .await;
}

#[tokio::test]
async fn an_id_tag_is_the_same_row_seen_by_ocpp() {
    each_database(async |db| {
        let put = async |name: &str, document: Value| {
            let draft: IdTagDraft = serde_json::from_value(document).unwrap();
            db.write(async |tx| id_tags::put(tx, &tag(name), &draft, None).await).await
        };
        let Put::Created(first) = put("Tag1", json!({"parent_id_tag": "Fleet"})).await.unwrap() else {
            panic!("it is new")
        };
        assert_eq!((first.kind, first.id_tag.as_ref().unwrap().expose()), (TokenType::Rfid, "Tag1"));
        assert_eq!(first.terms.group, Some(tag("Fleet")));
        let blocked = json!({"status": "Blocked", "whitelist": "allowed"});
        let Put::Replaced(second) = put("TAG1", blocked).await.unwrap() else { panic!("it was there") };
        assert_eq!((second.id, &second.driver_token), (first.id, &first.driver_token));
        assert_eq!(second.id_tag.as_ref().unwrap().expose(), "Tag1");
        assert_eq!((second.terms.group.clone(), second.terms.whitelist), (None, Whitelist::Allowed));
        assert_eq!(IdTagStatus::from(second.status(At::now())), IdTagStatus::Blocked);
        assert!(matches!(put("tag1", json!({"status": "Invalid"})).await, Ok(Put::Deleted)));
        assert_eq!(find(db, first.id).await, None);
        assert!(matches!(put("tag1", json!({"status": "Invalid"})).await, Ok(Put::Deleted)));
    })
    .await;
}

#[tokio::test]
async fn a_group_in_use_is_not_deleted_and_its_name_is_compared_without_case() {
    each_database(async |db| {
        let group = db.write(async |tx| groups::create(tx, &tag("Taxis")).await).await.unwrap();
        let again = db.write(async |tx| groups::create(tx, &tag("TAXIS")).await).await;
        assert_eq!(field(again), "name");
        assert_eq!(field(create(db, json!({"uid": "a", "group": "none"})).await), "group");
        let token = create(db, json!({"uid": "a", "group": "TAXIS"})).await.unwrap();
        create(db, json!({"uid": "b"})).await.unwrap();
        let delete = async || db.write(async |tx| groups::delete(tx, group.id).await).await;
        assert_eq!(field(delete().await), "tokens");
        let of_group = Filter { group: Some(tag("taxis")), ..Filter::default() };
        assert_eq!(list(db, &of_group).await, std::slice::from_ref(&token));
        let terms = TokenTerms { group: None, ..token.terms.clone() };
        update(db, &token, &terms).await.unwrap();
        delete().await.unwrap();
        assert!(matches!(delete().await, Err(AccountError::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn a_list_is_filtered_by_prefix_account_and_tag() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let card = create(db, json!({"uid": "04%A", "user_id": ada.id})).await.unwrap();
        let other = create(db, json!({"uid": "04BA", "id_tag": "X_1"})).await.unwrap();
        let by = async |prefix: &str, account| {
            let filter = Filter { prefix: Some(prefix.to_owned()), account, ..Filter::default() };
            list(db, &filter).await.into_iter().map(|token| token.id).collect::<Vec<_>>()
        };
        assert_eq!(by("04", None).await, [card.id, other.id]);
        assert_eq!(by("04%", None).await, [card.id]);
        assert_eq!(by("x_", None).await, [other.id]);
        assert_eq!(by("04", Some(ada.id)).await, [card.id]);
        let with_tag = Filter { with_id_tag: true, ..Filter::default() };
        assert_eq!(list(db, &with_tag).await.len(), 3);
    })
    .await;
}
