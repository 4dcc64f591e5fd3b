//! Mails: one for a cause, sent by one worker at a time, and forgotten once they are sent.

use std::time::Duration;

use charging::notifications::{self, Claim, ClaimedMail, Language, MailKind, NewMail, Templates};
use charging::{At, Db, DbError, PublicUrl, Tx};
use futures_util::future::join_all;
use serde_json::Value;
use service_runtime::settings::Settings;
use sqlx::types::Json;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::databases::{SOON, each_database, on};

const LONG: Duration = Duration::from_secs(3600);
const ADDRESS: &str = "anna@example.com";

/// The columns of a row.
type Columns = (String, i64, Option<String>, Option<Json<Value>>);

/// What is stored of a mail.
#[derive(Debug, PartialEq)]
struct Row {
    state: String,
    attempts: i64,
    recipient: Option<String>,
    data: Option<Value>,
}

fn mail(kind: MailKind, cause: &str) -> NewMail<'static> {
    NewMail {
        kind,
        account_id: None,
        to: ADDRESS,
        language: Language::De,
        dedupe: cause.to_owned(),
        expires: LONG,
        data: kind.example(),
    }
}

async fn queue(db: &Db, mail: &NewMail<'_>) {
    db.write(async |tx| notifications::queue(tx, mail).await).await.unwrap();
}

async fn claim(db: &Db, limit: i64, span: Duration) -> Vec<ClaimedMail> {
    db.write(async |tx| notifications::claim(tx, limit, span).await).await.unwrap()
}

/// Claims the only mail that is due.
async fn claim_one(db: &Db, span: Duration) -> ClaimedMail {
    let [mail] = &claim(db, 10, span).await[..] else { panic!("one mail") };
    mail.clone()
}

async fn drop_stale(db: &Db) -> Vec<String> {
    db.write(async |tx| notifications::drop_stale(tx, 10).await).await.unwrap()
}

async fn oldest(db: &Db) -> Option<At> {
    db.read(async |tx| notifications::oldest(tx).await).await.unwrap()
}

async fn stored(tx: &mut Tx) -> Result<Vec<Row>, DbError> {
    let all = "SELECT state, attempts, recipient, data FROM mails ORDER BY id";
    let rows: Vec<Columns> = on!(tx, |c| sqlx::query_as(all).fetch_all(c).await)?;
    let row = |(state, attempts, recipient, data): Columns| Row {
        state,
        attempts,
        recipient,
        data: data.map(|data| data.0),
    };
    Ok(rows.into_iter().map(row).collect())
}

async fn rows(db: &Db) -> Vec<Row> {
    db.read(async |tx| stored(tx).await).await.unwrap()
}

fn ended(state: &str, attempts: i64) -> Row {
    Row { state: state.to_owned(), attempts, recipient: None, data: None }
}

async fn run(db: &Db, statement: &'static str) {
    let run =
        async |tx: &mut Tx| Ok::<_, DbError>(on!(tx, |c| sqlx::query(statement).execute(c).await.map(drop))?);
    db.write(run).await.unwrap();
}

/// Makes every mail due, however long it was put off.
async fn make_due(db: &Db) {
    run(db, "UPDATE mails SET due_at = created_at").await;
}

/// Makes every mail stale.
async fn expire(db: &Db) {
    run(db, "UPDATE mails SET expires_at = created_at").await;
}

#[tokio::test]
async fn a_cause_has_one_mail_of_each_kind_also_after_it_was_sent() {
    each_database(async |db| {
        let first = mail(MailKind::VerifyEmail, "1");
        for _ in 0..3 {
            queue(db, &first).await;
        }
        queue(db, &mail(MailKind::VerifyEmail, "2")).await;
        queue(db, &mail(MailKind::EmailTaken, "1")).await;
        let claimed = claim(db, 10, LONG).await;
        assert_eq!(claimed.len(), 3);
        for mail in claimed {
            db.write(async |tx| notifications::sent(tx, mail.claim).await).await.unwrap();
        }
        queue(db, &first).await;
        assert_eq!(rows(db).await, [ended("sent", 1), ended("sent", 1), ended("sent", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_mail_is_claimed_as_it_was_queued() {
    each_database(async |db| {
        queue(db, &mail(MailKind::FleetInvitation, "1")).await;
        let claimed = claim_one(db, LONG).await;
        assert_eq!((claimed.kind, claimed.language), (MailKind::FleetInvitation, Language::De));
        assert_eq!((&*claimed.to, &claimed.data), (ADDRESS, &MailKind::FleetInvitation.example()));
        assert_eq!(claimed.claim.attempt, 1);
        let left = claimed.claim.expires_at.millis() - At::now().millis();
        assert!((3_500_000..=3_600_000).contains(&left), "{left}");
        assert!(!format!("{claimed:?}").contains("anna"));
    })
    .await;
}

#[tokio::test]
async fn a_mail_of_a_transaction_that_is_rolled_back_is_not_sent() {
    each_database(async |db| {
        let refused = db.write(async |tx| -> Result<(), DbError> {
            notifications::queue(tx, &mail(MailKind::VerifyEmail, "1")).await?;
            Err(DbError::Slow)
        });
        assert!(refused.await.is_err());
        assert_eq!(rows(db).await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_at_once_one_gets_each_mail() {
    each_database(async |db| {
        for cause in 0..30 {
            queue(db, &mail(MailKind::VerifyEmail, &cause.to_string())).await;
        }
        let workers = (0..12).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                // Those that another worker was about to claim may be missing, but never all of them.
                for _ in 0..10 {
                    let claimed = db.write(async move |tx| notifications::claim(tx, 4, LONG).await).await;
                    mine.extend(claimed.unwrap().into_iter().map(|mail| mail.claim.id));
                }
                mine
            })
        });
        let mut all: Vec<Uuid> = join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
        all.extend(claim(db, 100, LONG).await.into_iter().map(|mail| mail.claim.id));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!((count, all.len()), (30, 30));
        assert!(rows(db).await.iter().all(|row| row.attempts == 1));
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_dies_passes_on_and_decides_nothing_any_more() {
    each_database(async |db| {
        queue(db, &mail(MailKind::VerifyEmail, "1")).await;
        let dead = claim_one(db, Duration::from_millis(50)).await;
        let passed_on = async {
            loop {
                if let [mail] = &claim(db, 10, LONG).await[..] {
                    return mail.clone();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let second = timeout(SOON, passed_on).await.unwrap();
        assert_eq!(second.claim, Claim { attempt: 2, ..dead.claim });
        db.write(async |tx| notifications::failed(tx, dead.claim).await).await.unwrap();
        db.write(async |tx| notifications::put_off(tx, dead.claim).await).await.unwrap();
        assert_eq!(rows(db).await[0].state, "queued");
        assert!(claim(db, 10, LONG).await.is_empty(), "the second claim holds");
        // It was sent, even if the report is late.
        db.write(async |tx| notifications::sent(tx, dead.claim).await).await.unwrap();
        db.write(async |tx| notifications::failed(tx, second.claim).await).await.unwrap();
        assert_eq!(rows(db).await, [ended("sent", 2)]);
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_yet_is_put_off_and_tried_again() {
    each_database(async |db| {
        queue(db, &mail(MailKind::VerifyEmail, "1")).await;
        for attempt in 1..=3 {
            let claimed = claim_one(db, LONG).await;
            assert_eq!(claimed.claim.attempt, attempt);
            db.write(async |tx| notifications::put_off(tx, claimed.claim).await).await.unwrap();
            assert!(claim(db, 10, LONG).await.is_empty(), "it is not due at once");
            assert_eq!(rows(db).await[0].recipient.as_deref(), Some(ADDRESS));
            make_due(db).await;
        }
        let claimed = claim_one(db, LONG).await;
        db.write(async |tx| notifications::failed(tx, claimed.claim).await).await.unwrap();
        assert_eq!(rows(db).await, [ended("failed", 4)]);
        assert_eq!(oldest(db).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_stale_mail_is_dropped_unsent() {
    each_database(async |db| {
        queue(db, &NewMail { expires: Duration::ZERO, ..mail(MailKind::ResetPassword, "1") }).await;
        queue(db, &mail(MailKind::VerifyEmail, "1")).await;
        assert_eq!(claim_one(db, LONG).await.kind, MailKind::VerifyEmail);
        assert_eq!(drop_stale(db).await, ["reset_password"]);
        assert_eq!(drop_stale(db).await, [""; 0]);
        let rows = rows(db).await;
        assert_eq!((&rows[0], &*rows[1].state), (&ended("dropped", 0), "queued"));
    })
    .await;
}

#[tokio::test]
async fn a_stale_mail_is_not_dropped_while_a_worker_sends_it_and_at_once_when_it_is_put_off() {
    each_database(async |db| {
        queue(db, &mail(MailKind::ResetPassword, "1")).await;
        let claimed = claim_one(db, LONG).await;
        expire(db).await;
        assert_eq!(drop_stale(db).await, [""; 0]);
        let claim = Claim { expires_at: At::now(), ..claimed.claim };
        db.write(async |tx| notifications::put_off(tx, claim).await).await.unwrap();
        assert_eq!(drop_stale(db).await, ["reset_password"]);
    })
    .await;
}

#[tokio::test]
async fn a_kind_of_a_later_version_is_left_to_it_until_it_is_stale() {
    each_database(async |db| {
        queue(db, &mail(MailKind::ResetPassword, "1")).await;
        run(db, "UPDATE mails SET kind = 'invoice_issued'").await;
        assert!(claim(db, 10, LONG).await.is_empty());
        expire(db).await;
        assert_eq!(drop_stale(db).await, ["invoice_issued"]);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_mail_that_is_not_sent_is_known() {
    each_database(async |db| {
        assert_eq!(oldest(db).await, None);
        let before = At::now();
        queue(db, &mail(MailKind::VerifyEmail, "1")).await;
        let first = oldest(db).await.unwrap();
        assert!((before..=At::now()).contains(&first));
        queue(db, &mail(MailKind::VerifyEmail, "2")).await;
        assert_eq!(oldest(db).await, Some(first));
    })
    .await;
}

#[tokio::test]
async fn erasing_a_person_deletes_all_their_mails_but_the_one_about_it() {
    each_database(async |db| {
        let (person, another) = (Some(Uuid::now_v7()), Some(Uuid::now_v7()));
        queue(db, &NewMail { account_id: person, ..mail(MailKind::VerifyEmail, "sent") }).await;
        let sent = claim_one(db, LONG).await;
        db.write(async |tx| notifications::sent(tx, sent.claim).await).await.unwrap();
        queue(db, &NewMail { account_id: person, ..mail(MailKind::ResetPassword, "queued") }).await;
        queue(db, &NewMail { account_id: another, ..mail(MailKind::ResetPassword, "another's") }).await;
        db.write(async |tx| {
            notifications::erase(tx, person.unwrap()).await?;
            let about_it = NewMail { account_id: person, ..mail(MailKind::AccountErased, "erased") };
            notifications::queue(tx, &about_it).await
        })
        .await
        .unwrap();
        let kinds = async || {
            let kinds = claim(db, 10, Duration::ZERO).await.into_iter().map(|mail| mail.kind);
            let mut kinds: Vec<MailKind> = kinds.collect();
            kinds.sort_unstable_by_key(|kind| kind.as_str());
            kinds
        };
        assert_eq!(kinds().await, [MailKind::AccountErased, MailKind::ResetPassword]);
        // A second run, such as after a backup was restored.
        db.write(async |tx| notifications::erase(tx, person.unwrap()).await).await.unwrap();
        assert_eq!(kinds().await.len(), 2);
        assert_eq!(rows(db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn mails_that_have_ended_are_pruned_some_at_a_time() {
    each_database(async |db| {
        for cause in ["1", "2", "3", "4"] {
            queue(db, &mail(MailKind::VerifyEmail, cause)).await;
        }
        for mail in claim(db, 3, LONG).await {
            db.write(async |tx| notifications::sent(tx, mail.claim).await).await.unwrap();
        }
        let prune =
            async |before: At| db.write(async |tx| notifications::prune(tx, before, 2).await).await.unwrap();
        assert_eq!(prune(At::now().minus(LONG)).await, 0);
        let later = At::now().plus(LONG);
        assert_eq!([prune(later).await, prune(later).await, prune(later).await], [2, 1, 0]);
        assert_eq!(rows(db).await.len(), 1, "what is not sent stays");
    })
    .await;
}

#[test]
fn each_mail_in_each_language() {
    let settings = Settings::of([(&charging::settings::PUBLIC_URL, "https://charge.example".to_owned())]);
    let templates = Templates::new(PublicUrl::from_settings(&settings).unwrap(), None).unwrap();
    let claim = Claim { id: Uuid::nil(), attempt: 1, expires_at: "2027-03-01T09:05:00Z".parse().unwrap() };
    for kind in MailKind::ALL {
        for language in Language::ALL {
            let (kind, language, data) = (*kind, *language, kind.example());
            let mail = ClaimedMail { claim, kind, language, to: ADDRESS.to_owned(), data };
            let mail = templates.render(&mail).unwrap();
            let shown = format!("{}\n---\n{}---\n{}", mail.subject, mail.text, mail.html);
            insta::assert_snapshot!(format!("mail_{kind}_{language}"), shown);
        }
    }
}
