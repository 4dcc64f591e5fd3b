//! What a code from a mail allows, once and for its account only.

use std::time::Duration;

use charging::accounts::codes::{self, Purpose};
use charging::accounts::sign_ins::{self, Refreshed};
use charging::accounts::{
    self, Account, AccountError, Email, Language, NewAccount, PasswordHash, Secret, verification,
};
use charging::notifications::{self, ClaimedMail, MailKind};
use charging::{At, Db};
use uuid::Uuid;

use crate::databases::{each_database, on};

const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn account(db: &Db, name: &str) -> Account {
    let new = NewAccount {
        username: name.parse().unwrap(),
        password: PasswordHash::of_no_account(),
        language: Language::De,
        terms: Some("2027-01".parse().unwrap()),
    };
    db.write(async |tx| accounts::create(tx, &new).await).await.unwrap()
}

/// The mails that are due.
pub(crate) async fn mails(db: &Db) -> Vec<ClaimedMail> {
    let mails = db.write(async |tx| notifications::claim(tx, 100, LONG).await).await.unwrap();
    let done = mails.clone();
    db.write(async |tx| {
        for mail in &done {
            notifications::sent(tx, mail.claim).await?;
        }
        Ok::<_, charging::DbError>(())
    })
    .await
    .unwrap();
    mails
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

fn code(mail: &ClaimedMail) -> Secret {
    mail.data["code"].as_str().unwrap().parse().unwrap()
}

fn seen(mails: &[ClaimedMail]) -> Vec<(MailKind, &str)> {
    mails.iter().map(|mail| (mail.kind, mail.to.as_str())).collect()
}

async fn request(db: &Db, account: &Account, address: &str) -> Vec<ClaimedMail> {
    let address = email(address);
    db.write(async |tx| verification::request_verification(tx, account, &address).await).await.unwrap();
    mails(db).await
}

async fn verify(db: &Db, code: &Secret) -> Result<Option<Uuid>, AccountError> {
    db.write(async |tx| verification::verify(tx, code).await).await
}

pub(crate) async fn verified(db: &Db, name: &str, address: &str) -> Account {
    let account = account(db, name).await;
    let mails = request(db, &account, address).await;
    assert_eq!(verify(db, &code(&mails[0])).await.unwrap(), Some(account.id));
    find(db, account.id).await.unwrap()
}

async fn find(db: &Db, id: Uuid) -> Option<Account> {
    db.read(async |tx| accounts::find(tx, id).await).await.unwrap()
}

async fn pending(db: &Db, id: Uuid) -> Option<String> {
    db.read(async |tx| codes::pending(tx, id, Purpose::VerifyEmail).await).await.unwrap()
}

/// As if every code had been sent this long before.
async fn age_codes(db: &Db, by: Duration) {
    let by = i64::try_from(by.as_micros()).unwrap();
    db.write(async |tx| {
        on!(tx, |c| {
            let codes: Vec<(Vec<u8>, At)> =
                sqlx::query_as("SELECT hash, expires_at FROM account_codes").fetch_all(&mut *c).await?;
            for (hash, expires) in codes {
                let earlier = expires.minus(Duration::from_micros(by.unsigned_abs()));
                let query = sqlx::query("UPDATE account_codes SET expires_at = $2 WHERE hash = $1");
                query.bind(hash).bind(earlier).execute(&mut *c).await?;
            }
        });
        Ok::<_, charging::DbError>(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_address_belongs_to_an_account_once_its_code_came_back() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let mails = request(db, &ada, "Ada@Example.com").await;
        assert_eq!(seen(&mails), [(MailKind::VerifyEmail, "Ada@Example.com")]);
        assert_eq!((mails[0].language, mails[0].data["username"].as_str()), (Language::De, Some("ada")));
        assert_eq!(
            (find(db, ada.id).await.unwrap().email, pending(db, ada.id).await),
            (None, Some("Ada@Example.com".into()))
        );
        let code = code(&mails[0]);
        assert_eq!(verify(db, &code).await.unwrap(), Some(ada.id));
        assert_eq!(find(db, ada.id).await.unwrap().email.as_deref(), Some("Ada@Example.com"));
        assert_eq!(pending(db, ada.id).await, None);
        assert_eq!(verify(db, &code).await.unwrap(), None, "a used code");
        assert_eq!(verify(db, &Secret::generate().unwrap()).await.unwrap(), None, "an unknown code");
        let found = db.read(async |tx| accounts::by_login(tx, "ada@example.com").await).await.unwrap();
        assert_eq!(found.unwrap().id, ada.id);
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_an_address_gets_a_notice_a_day_and_the_other_account_learns_nothing() {
    each_database(async |db| {
        let ada = verified(db, "ada", "ada@example.com").await;
        let eve = account(db, "eve").await;
        assert_eq!(
            seen(&request(db, &eve, "ADA@example.com").await),
            [(MailKind::EmailTaken, "ada@example.com")]
        );
        assert_eq!(pending(db, eve.id).await.as_deref(), Some("ADA@example.com"), "as for any address");
        let mallory = account(db, "mallory").await;
        assert_eq!(seen(&request(db, &mallory, "ada@example.com").await), []);
        assert_eq!(find(db, ada.id).await.unwrap().email.as_deref(), Some("ada@example.com"));
    })
    .await;
}

#[tokio::test]
async fn of_two_accounts_that_wait_for_one_address_the_first_gets_it() {
    each_database(async |db| {
        let (ada, eve) = (account(db, "ada").await, account(db, "eve").await);
        let first = code(&request(db, &ada, "a@example.com").await[0]);
        let second = code(&request(db, &eve, "a@example.com").await[0]);
        assert_eq!(verify(db, &second).await.unwrap(), Some(eve.id));
        assert_eq!(verify(db, &first).await.unwrap(), None);
        assert_eq!(find(db, ada.id).await.unwrap().email, None);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_sent_at_most_once_a_minute_and_ends_after_two_days() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let first = request(db, &ada, "a@example.com").await;
        assert_eq!((first.len(), request(db, &ada, "a@example.com").await.len()), (1, 0));
        assert_eq!(
            seen(&request(db, &ada, "b@example.com").await),
            [(MailKind::VerifyEmail, "b@example.com")]
        );
        assert_eq!(verify(db, &code(&first[0])).await.unwrap(), None, "a later code replaces it");
        age_codes(db, Duration::from_secs(61)).await;
        let last = request(db, &ada, "b@example.com").await;
        assert_eq!(last.len(), 1);
        age_codes(db, Purpose::VerifyEmail.lifetime()).await;
        assert_eq!(verify(db, &code(&last[0])).await.unwrap(), None, "an old code");
        assert_eq!(db.write(async |tx| codes::prune(tx, At::now(), 10).await).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_reset_sets_the_password_and_ends_all_sign_ins() {
    each_database(async |db| {
        let ada = verified(db, "ada", "ada@example.com").await;
        let issued = db.write(async |tx| sign_ins::begin(tx, ada.id, None).await).await.unwrap();
        let ask = async |address: &str| {
            let address = email(address);
            db.write(async |tx| verification::request_reset(tx, &address).await).await.unwrap();
            mails(db).await
        };
        assert_eq!(seen(&ask("unknown@example.com").await), []);
        let sent = ask("ADA@example.com").await;
        assert_eq!(seen(&sent), [(MailKind::ResetPassword, "ada@example.com")]);
        assert_eq!(seen(&ask("ada@example.com").await), [], "a repeat within a minute");
        let (code, hash) =
            (code(&sent[0]), "another password".parse::<accounts::Password>().unwrap().hash().unwrap());
        assert_eq!(verify(db, &code).await.unwrap(), None, "a code has one purpose");
        let reset = async || db.write(async |tx| verification::reset(tx, &code, &hash).await).await.unwrap();
        assert_eq!((reset().await, reset().await), (Some(ada.id), None));
        assert!(find(db, ada.id).await.unwrap().password.verify("another password"));
        let refreshed =
            db.write(async |tx| sign_ins::refresh(tx, &issued.refresh, LONG).await).await.unwrap();
        assert!(matches!(refreshed, Refreshed::Refused));
        assert_eq!(seen(&mails(db).await), [(MailKind::PasswordChanged, "ada@example.com")]);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_is_reported_to_its_owner_once() {
    each_database(async |db| {
        let ada = verified(db, "ada", "ada@example.com").await;
        let issued = db.write(async |tx| sign_ins::begin(tx, ada.id, None).await).await.unwrap();
        let again =
            async || db.write(async |tx| sign_ins::refresh(tx, &issued.refresh, Duration::ZERO).await).await;
        assert!(matches!(again().await.unwrap(), Refreshed::Issued(_)));
        assert!(matches!(again().await.unwrap(), Refreshed::Reused { .. }));
        assert!(matches!(again().await.unwrap(), Refreshed::Refused));
        assert_eq!(seen(&mails(db).await), [(MailKind::SignInReused, "ada@example.com")]);
    })
    .await;
}

#[tokio::test]
async fn sign_ins_that_have_ended_and_used_refresh_tokens_are_deleted_after_a_week() {
    each_database(async |db| {
        let ada = account(db, "ada").await;
        let stays = db.write(async |tx| sign_ins::begin(tx, ada.id, None).await).await.unwrap();
        let ends = db.write(async |tx| sign_ins::begin(tx, ada.id, None).await).await.unwrap();
        let why = sign_ins::Ending::SignedOut;
        db.write(async |tx| sign_ins::end(tx, ada.id, ends.sign_in_id, why).await).await.unwrap();
        db.write(async |tx| sign_ins::refresh(tx, &stays.refresh, LONG).await).await.unwrap();
        let prune = async |at: At| {
            let sign_ins = db.write(async |tx| sign_ins::prune(tx, at, 10).await).await.unwrap();
            let used = at.minus(sign_ins::USED_KEPT_FOR);
            (sign_ins, db.write(async |tx| sign_ins::prune_tokens(tx, used, 10).await).await.unwrap())
        };
        assert_eq!(prune(At::now()).await, (0, 0));
        let later = At::now().plus(sign_ins::ENDED_KEPT_FOR).plus(LONG);
        assert_eq!(prune(later).await, (1, 1));
        let live = db.read(async |tx| sign_ins::stored(tx, ada.id).await).await.unwrap();
        assert_eq!(live.iter().map(|one| one.id).collect::<Vec<_>>(), [stays.sign_in_id]);
    })
    .await;
}
