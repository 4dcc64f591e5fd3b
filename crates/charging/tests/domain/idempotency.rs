//! A repeated request has one effect and one answer.

use std::time::Duration;

use charging::idempotency::{self, Answer, Key, Known};
use charging::stations::locations;
use charging::{At, Db, DbError, Tx};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, create_location};

fn key(caller: &str, request: &[u8]) -> Key {
    let (route, key) = ("POST /api/v1/locations", "key 1".to_owned());
    Key { caller: caller.to_owned(), route, key, request: request.to_vec() }
}

fn answer(body: &str) -> Answer {
    let headers = json!({"location": "/api/v1/locations/1", "etag": "\"1\""});
    Answer { status: 201, headers, body: body.to_owned() }
}

async fn reserve(db: &Db, key: &Key) -> Known {
    db.write(async |tx| idempotency::reserve(tx, key).await).await.unwrap()
}

async fn reserve_and_answer(tx: &mut Tx, key: &Key, with: &Answer) -> Result<Known, DbError> {
    let known = idempotency::reserve(tx, key).await?;
    if known == Known::New {
        idempotency::answer(tx, key, with).await?;
    }
    Ok(known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_repeats_at_once_have_one_effect_and_one_answer() {
    each_database(async |db| {
        let repeat = async || {
            let location = drafts::location("One");
            db.write(async |tx| -> Result<Answer, charging::stations::StationError> {
                let key = key("caller", b"digest");
                match idempotency::reserve(tx, &key).await? {
                    Known::New => {
                        let created = locations::create(tx, &location).await?;
                        let answer = answer(&created.id.to_string());
                        idempotency::answer(tx, &key, &answer).await?;
                        Ok(answer)
                    }
                    Known::Answered(answer) => Ok(answer),
                    Known::OfAnother => panic!("the same request"),
                }
            })
            .await
            .unwrap()
        };
        let answers = join_all((0..20).map(|_| repeat())).await;
        let created = db.read(async |tx| locations::list(tx, Uuid::nil(), 99).await).await.unwrap();
        assert_eq!(created.len(), 1);
        assert_eq!(answers, vec![answer(&created[0].id.to_string()); 20]);
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_repeated_as_it_was_with_any_text() {
    each_database(async |db| {
        for (caller, headers, body) in
            [("a", json!({}), ""), ("b", Value::Null, "\u{1f50c} ä\n"), ("c", json!({"x": "\u{e4}\\"}), "{}")]
        {
            let (key, given) =
                (key(caller, &[0, 255]), Answer { status: 409, headers, body: body.to_owned() });
            let first = db.write(async |tx| reserve_and_answer(tx, &key, &given).await).await.unwrap();
            assert_eq!((first, reserve(db, &key).await), (Known::New, Known::Answered(given)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_with_another_request_is_refused_and_callers_are_apart() {
    each_database(async |db| {
        let first = key("caller", b"one");
        db.write(async |tx| reserve_and_answer(tx, &first, &answer("{}")).await).await.unwrap();
        assert_eq!(reserve(db, &key("caller", b"two")).await, Known::OfAnother);
        assert_eq!(reserve(db, &key("another", b"two")).await, Known::New);
        let route = Key { route: "POST /api/v1/stations", ..key("caller", b"two") };
        assert_eq!(reserve(db, &route).await, Known::New);
    })
    .await;
}

#[tokio::test]
async fn a_first_request_that_is_rolled_back_leaves_the_key_free() {
    each_database(async |db| {
        let (key, reserved, may_end) = (key("caller", b"one"), Semaphore::new(0), Semaphore::new(0));
        let first = db.write(async |tx| -> Result<(), DbError> {
            assert_eq!(idempotency::reserve(tx, &key).await?, Known::New);
            reserved.add_permits(1);
            may_end.acquire().await.unwrap().forget();
            Err(DbError::Slow)
        });
        let second = async {
            reserved.acquire().await.unwrap().forget();
            let waits = reserve_and_answer_later(db, &key);
            let (known, ()) = tokio::join!(waits, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                may_end.add_permits(1);
            });
            known
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!((second, reserve(db, &key).await), (Known::New, Known::Answered(answer("second"))));
    })
    .await;
}

async fn reserve_and_answer_later(db: &Db, key: &Key) -> Known {
    db.write(async |tx| reserve_and_answer(tx, key, &answer("second")).await).await.unwrap()
}

#[tokio::test]
async fn old_keys_are_deleted_some_at_a_time() {
    each_database(async |db| {
        for caller in ["a", "b", "c"] {
            let key = key(caller, b"one");
            db.write(async |tx| reserve_and_answer(tx, &key, &answer("{}")).await).await.unwrap();
        }
        let prune =
            async |before: At| db.write(async |tx| idempotency::prune(tx, before, 2).await).await.unwrap();
        assert_eq!(prune(At::now().minus(Duration::from_secs(60))).await, 0);
        let later = At::now().plus(Duration::from_secs(60));
        assert_eq!([prune(later).await, prune(later).await, prune(later).await], [2, 1, 0]);
        assert_eq!(reserve(db, &key("a", b"two")).await, Known::New);
        create_location(db, &drafts::location("unaffected")).await;
    })
    .await;
}
