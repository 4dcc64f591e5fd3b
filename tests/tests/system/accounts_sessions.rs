//! What happens to a sign-in counts at once, on every replica: refresh, sign-out, blocks, roles, streams.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::event_stream::EventStream;
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, Platform};
use tests::{PATIENCE, eventually};
use tokio::io::AsyncReadExt;

use super::accounts::{on_each_database, two_replicas, unlimited};

/// The first byte of a WebSocket's frame that closes it.
const CLOSE: u8 = 0x88;

async fn live(platform: &Platform, person: &Person) -> EventStream {
    EventStream::open(person.request(platform, Method::GET, "/api/v1/live")).await.begun().await
}

async fn web_socket(platform: &Platform, person: &Person) -> reqwest::Upgraded {
    let request = person.request(platform, Method::GET, "/ws/live").header("connection", "upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
    let opened = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send().await.unwrap();
    assert_eq!(opened.status(), 101);
    opened.upgrade().await.unwrap()
}

/// Waits for the frame that closes the socket.
async fn is_closed(socket: &mut reqwest::Upgraded) {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("the socket ends").unwrap();
    assert_eq!(bytes.first(), Some(&CLOSE), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_refreshes_at_once_at_two_replicas_get_the_same_successor() {
    let replicas = two_replicas(unlimited().await).await;
    let ada = replicas[0].register("ada").await;
    let mut token = ada.refresh.clone();
    for round in 0..3 {
        let asking = (0..40).map(|n| replicas[n % 2].refresh(&token));
        let answers = join_all(asking).await;
        for answer in &answers {
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        }
        let text = |answer: &Answer, name: &str| answer.body[name].as_str().unwrap().to_owned();
        let successors: BTreeSet<String> = answers.iter().map(|answer| text(answer, "refresh")).collect();
        assert_eq!(successors.len(), 1, "round {round}");
        for (n, answer) in answers.iter().enumerate() {
            let person = Person { access: text(answer, "access"), ..ada.clone() };
            assert_eq!(person.status(&replicas[(n + 1) % 2]).await, 200);
        }
        token = successors.into_iter().next().unwrap();
    }
    let sign_ins = ada.get(&replicas[1], "/api/v1/me/sign-ins").await;
    assert_eq!(sign_ins.body["items"].as_array().unwrap().len(), 1, "{}", sign_ins.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_counts_at_once_on_both_replicas_and_ends_the_streams() {
    let [one, other] = two_replicas(unlimited().await).await;
    let ada = one.register("ada").await;
    let elsewhere = other.sign_in("ada").await;
    let ben = one.register("ben").await;
    let mut streams = vec![live(&one, &ada).await, live(&other, &ada).await];
    let mut sockets = vec![web_socket(&one, &ada).await, web_socket(&other, &ada).await];
    let mut others =
        vec![live(&one, &elsewhere).await, live(&other, &elsewhere).await, live(&one, &ben).await];
    assert_eq!(ada.sign_out(&one).await, 200);
    let at_once = (ada.status(&one).await, ada.status(&other).await);
    assert_eq!(at_once, (401, 401));
    assert_eq!((ada.sign_out(&one).await, ada.sign_out(&other).await), (401, 401), "a second time");
    assert_eq!(other.refresh(&ada.refresh).await.refusal(), (401, "authorization"));
    for stream in &mut streams {
        assert!(stream.next().await.is_none(), "the stream ends");
    }
    for socket in &mut sockets {
        is_closed(socket).await;
    }
    one.station("HAM-1").await;
    for stream in &mut others {
        assert_eq!(stream.next().await.expect("it goes on").kind, "station");
    }
    assert_eq!((elsewhere.status(&one).await, ben.status(&other).await), (200, 200));
    let refused = ada.request(&one, Method::GET, "/api/v1/live");
    assert_eq!(Answer::to(refused).await.refusal(), (401, "authorization"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_and_a_block_count_on_the_next_request_of_every_replica() {
    let [one, other] = two_replicas(unlimited().await).await;
    let ada = one.register("ada").await;
    let users = async |platform: &Platform| ada.get(platform, "/api/v1/users").await.status;
    for round in 0..5 {
        assert_eq!((users(&one).await, users(&other).await), (403, 403), "round {round}");
        let (mut stream, mut socket) = (live(&other, &ada).await, web_socket(&other, &ada).await);
        let promoted = one.change_user(&ada.id, &json!({"roles": [{"role": "operator"}]})).await;
        assert_eq!(promoted.status, 200, "{}", promoted.text);
        assert_eq!((users(&other).await, users(&one).await), (200, 200), "round {round}");
        assert!(stream.next().await.is_none(), "it was opened with the former roles");
        is_closed(&mut socket).await;
        let demoted = other.change_user(&ada.id, &json!({"roles": []})).await;
        assert_eq!(demoted.body["roles"], json!([{"role": "driver"}]), "{}", demoted.text);
    }
    let (mut stream, mut socket) = (live(&other, &ada).await, web_socket(&one, &ada).await);
    let blocked = one.change_user(&ada.id, &json!({"status": "blocked", "reason": "unpaid"})).await;
    assert_eq!(blocked.status, 200, "{}", blocked.text);
    assert_eq!((ada.status(&other).await, ada.status(&one).await), (401, 401));
    assert!(stream.next().await.is_none(), "it ends");
    is_closed(&mut socket).await;
    assert_eq!(other.try_to_sign_in("ada", PASSWORD).await.status, 401);
    assert_eq!(one.change_user(&ada.id, &json!({"status": "active"})).await.status, 200);
    assert_eq!((ada.status(&other).await, ada.status(&one).await), (401, 401), "it does not come back");
    assert_eq!(other.sign_in("ada").await.status(&one).await, 200);
}

#[tokio::test]
async fn sign_ins_are_listed_and_ended_by_their_owner_only() {
    on_each_database(&[], async |platform| {
        let ada = platform.register("ada").await;
        let login = platform.stranger(Method::POST, "/api/auth/login/").header("user-agent", "My phone/1.0");
        let login = login.json(&json!({"username": "ada", "password": PASSWORD}));
        let phone = Person::of(&Answer::to(login).await);
        let (tablet, ben) = (platform.sign_in("ada").await, platform.register("ben").await);
        let list = async |person: &Person| {
            let listed = person.get(&platform, "/api/v1/me/sign-ins").await;
            assert_eq!((listed.status, &listed.body["cursor"]), (200, &Value::Null));
            listed.body["items"].as_array().unwrap().clone()
        };
        let shown = list(&phone).await;
        assert_eq!(shown.len(), 3);
        let current: Vec<bool> = shown.iter().map(|one| one["current"].as_bool().unwrap()).collect();
        assert_eq!(current, [false, true, false]);
        assert_eq!((&shown[0]["client"], &shown[1]["client"]), (&Value::Null, &json!("My phone/1.0")));
        let delete = async |person: &Person, path: &str| {
            Answer::to(person.request(&platform, Method::DELETE, path)).await
        };
        let place = |one: &Value| format!("/api/v1/me/sign-ins/{}", one["id"].as_str().unwrap());
        for path in [place(&shown[0]), place(&json!({"id": ada.id})), place(&json!({"id": "7"}))] {
            assert_eq!(delete(&ben, &path).await.refusal(), (404, "id"), "{path}");
        }
        assert_eq!(delete(&phone, &place(&shown[0])).await.status, 204);
        assert_eq!(delete(&phone, &place(&shown[0])).await.refusal(), (404, "id"));
        assert_eq!((ada.status(&platform).await, tablet.status(&platform).await), (401, 200));
        let second = platform.sign_in("ada").await;
        assert_eq!(delete(&phone, "/api/v1/me/sign-ins").await.status, 204);
        let statuses = [&tablet, &second, &phone, &ben].map(|person| person.status(&platform));
        assert_eq!(join_all(statuses).await, [401, 401, 200, 200]);
        assert_eq!(list(&phone).await.len(), 1);
        assert_eq!(delete(&phone, &place(&shown[1])).await.status, 204, "its own");
        assert_eq!(phone.status(&platform).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sign_ins() {
    on_each_database(&[], async |platform| {
        let (ada, other) = (platform.register("ada").await, platform.sign_in("ada").await);
        let change = async |now: &str, new: &str| {
            let body = json!({"password": now, "new_password": new});
            ada.post(&platform, "/api/v1/me/password", &body).await
        };
        assert_eq!(change("wrong horse", "another horse").await.refusal(), (401, "authorization"));
        assert_eq!(change(PASSWORD, "short").await.refusal(), (400, "new_password"));
        assert_eq!((ada.status(&platform).await, other.status(&platform).await), (200, 200));
        let changed = change(PASSWORD, "another horse").await;
        assert_eq!((changed.status, &changed.body), (200, &json!({"message": "Password changed"})));
        assert_eq!((ada.status(&platform).await, other.status(&platform).await), (200, 401));
        assert_eq!(platform.refresh(&other.refresh).await.status, 401);
        assert_eq!(platform.refresh(&ada.refresh).await.status, 200);
        assert_eq!(platform.try_to_sign_in("ada", PASSWORD).await.status, 401);
        assert_eq!(platform.try_to_sign_in("ada", "another horse").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn an_access_token_ends_by_itself_and_a_refresh_brings_another() {
    on_each_database(&[("ACCESS_TOKEN_SEC", "1")], async |platform| {
        let ada = platform.register("ada").await;
        assert_eq!(ada.status(&platform).await, 200);
        eventually("the access token to expire", async || (ada.status(&platform).await == 401).then_some(()))
            .await;
        let refreshed = platform.refresh(&ada.refresh).await;
        let access = refreshed.body["access"].as_str().unwrap().to_owned();
        assert_eq!(Person { access, ..ada }.status(&platform).await, 200);
        platform.sign_in("ada").await;
    })
    .await;
}
