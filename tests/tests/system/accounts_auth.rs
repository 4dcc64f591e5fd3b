//! Registration, sign-in, refresh and sign-out: their exact answers, and refusals that reveal nothing.

use reqwest::Method;
use serde_json::{Map, Value, json};
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, Platform};

use super::accounts::on_each_database;

/// The answer with a name in the place of each value that is new in each run.
fn shape(answer: &Answer) -> Value {
    let header = |name: &str| answer.header(name).map(str::to_owned);
    json!({
        "status": answer.status,
        "content-type": header("content-type"),
        "cache-control": header("cache-control"),
        "www-authenticate": header("www-authenticate"),
        "etag": header("etag"),
        "body": named(&answer.body),
    })
}

fn named(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(name_of(text)),
        Value::Array(items) => items.iter().map(named).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), named(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn name_of(text: &str) -> &str {
    let is_token =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if text.parse::<uuid::Uuid>().is_ok() {
        "<id>"
    } else if text.len() > 200 && text.split('.').count() == 3 && is_token(text) {
        "<access token>"
    } else if text.len() == 43 && is_token(text) {
        "<refresh token>"
    } else if text.len() > 18 && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
        "<time>"
    } else {
        text
    }
}

#[tokio::test]
async fn each_answer_has_its_exact_shape_with_and_without_a_slash() {
    on_each_database(&[], async |platform| {
        let location = platform.location("Harbour garage").await.id();
        for (name, slash) in [("Ada", "/"), ("Ben", "")] {
            let post = async |step: &str, body: Value| {
                platform.post_as_stranger(&format!("/api/auth/{step}{slash}"), &body).await
            };
            let credentials = json!({"username": name, "password": PASSWORD});
            let registered = post("register", credentials.clone()).await;
            let signed_in = post("login", credentials).await;
            let person = Person::of(&signed_in);
            assert_eq!(person.name, name);
            let refreshed = post("refresh", json!({"refresh": person.refresh})).await;
            let me = person.get(&platform, "/api/v1/me").await;
            let sign_ins = person.get(&platform, "/api/v1/me/sign-ins").await;
            let path = format!("/api/auth/logout{slash}");
            let sign_out = async || Answer::to(person.request(&platform, Method::POST, &path)).await;
            let (signed_out, again) = (sign_out().await, sign_out().await);
            let roles =
                json!({"roles": [{"role": "staff", "location_ids": [location]}, {"role": "operator"}]});
            let changed = platform.change_user(&person.id, &roles).await;
            let user = platform.get(&format!("/api/v1/users/{}", person.id)).await;
            let with_roles = post("login", json!({"username": name, "password": PASSWORD})).await;
            let answers = [
                ("register", registered),
                ("login", signed_in),
                ("refresh", refreshed),
                ("GET /api/v1/me", me),
                ("GET /api/v1/me/sign-ins", sign_ins),
                ("logout", signed_out),
                ("logout again", again),
                ("PATCH /api/v1/users/{id}", changed),
                ("GET /api/v1/users/{id}", user),
                ("login with roles", with_roles),
            ];
            let mut shapes = Map::new();
            for (step, answer) in &answers {
                shapes.insert((*step).to_owned(), shape(answer));
            }
            let shapes = Value::Object(shapes).to_string().replace(name, "<name>");
            insta::assert_json_snapshot!("answers", serde_json::from_str::<Value>(&shapes).unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn credentials_that_have_expired_do_not_disturb_a_sign_in() {
    on_each_database(&[], async |platform| {
        let gone = platform.register("ada").await;
        assert_eq!(gone.sign_out(&platform).await, 200);
        let revoked = "vg_unknown_5ec4e7000000000000000000000000000000000000000000";
        for stale in [gone.access.as_str(), "x.y.z", "", revoked, "a b c"] {
            let post = |step: &str, body: Value| {
                let request = platform.stranger(Method::POST, &format!("/api/auth/{step}/"));
                Answer::to(request.header("authorization", format!("Bearer {stale}")).json(&body))
            };
            let signed_in = post("login", json!({"username": "ada", "password": PASSWORD})).await;
            assert_eq!(signed_in.status, 200, "{stale:?}: {}", signed_in.text);
            let refreshed = post("refresh", json!({"refresh": signed_in.body["refresh"]})).await;
            assert_eq!(refreshed.status, 200, "{stale:?}: {}", refreshed.text);
            let taken = post("register", json!({"username": "ADA", "password": PASSWORD})).await;
            assert_eq!(taken.refusal(), (409, "username"), "{stale:?}");
        }
        let me = Answer::to(platform.stranger(Method::GET, "/api/v1/me").bearer_auth("x.y.z")).await;
        assert_eq!(me.refusal(), (401, "authorization"));
    })
    .await;
}

/// Everything of an answer that a stranger sees, but for the time.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    (answer.status, headers, answer.text.clone())
}

#[tokio::test]
async fn a_refused_sign_in_looks_the_same_whatever_the_reason() {
    on_each_database(&[], async |platform| {
        platform.register("ada").await;
        let blocked = platform.register("ben").await;
        let done = platform.change_user(&blocked.id, &json!({"status": "blocked", "reason": "unpaid"})).await;
        assert_eq!((done.status, &done.body["status"]), (200, &json!("blocked")));
        let wrong = platform.try_to_sign_in("ada", "correct horse batterz").await;
        assert_eq!(wrong.refusal(), (401, "authorization"));
        for (name, password) in [
            ("stranger", PASSWORD),
            ("stranger@example.com", PASSWORD),
            ("ben", PASSWORD),
            ("ben", "correct horse batterz"),
            ("no such name", PASSWORD),
            ("", ""),
            ("ada", ""),
            ("ada", "short"),
            ("ada\u{0}", PASSWORD),
            ("ada", &"x".repeat(5000)),
            (&"x".repeat(5000), PASSWORD),
        ] {
            let refused = platform.try_to_sign_in(name, password).await;
            assert_eq!(seen(&refused), seen(&wrong), "{name:.20} {password:.20}");
        }
        assert_eq!(platform.change_user(&blocked.id, &json!({"status": "active"})).await.status, 200);
        platform.sign_in("ben").await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_refresh_looks_the_same_whatever_the_reason() {
    on_each_database(&[("REFRESH_GRACE_SEC", "0")], async |platform| {
        let unknown = platform.refresh(&"A".repeat(43)).await;
        assert_eq!(unknown.refusal(), (401, "authorization"));
        let gone = platform.register("ada").await;
        assert_eq!(gone.sign_out(&platform).await, 200);
        let stolen = platform.register("ben").await;
        let blocked = platform.register("cleo").await;
        let successor = platform.refresh(&stolen.refresh).await;
        assert_eq!(successor.status, 200);
        platform.change_user(&blocked.id, &json!({"status": "blocked"})).await;
        let reused = tests::eventually("the grace of no seconds to be over", async || {
            let again = platform.refresh(&stolen.refresh).await;
            (again.status == 401).then_some(again)
        })
        .await;
        let of_family = platform.refresh(successor.body["refresh"].as_str().unwrap()).await;
        let others = [
            platform.refresh(&gone.refresh).await,
            platform.refresh(&blocked.refresh).await,
            platform.refresh("").await,
            platform.refresh("not a token").await,
            platform.refresh(&gone.access).await,
        ];
        for refused in [reused, of_family].iter().chain(&others) {
            assert_eq!(seen(refused), seen(&unknown));
        }
        assert_eq!(stolen.status(&platform).await, 401, "its access token");
        let access = successor.body["access"].as_str().unwrap();
        let me = Answer::to(platform.stranger(Method::GET, "/api/v1/me").bearer_auth(access)).await;
        assert_eq!(me.status, 401, "that of the successor");
        platform.sign_in("ben").await;
    })
    .await;
}

#[tokio::test]
async fn a_registration_names_what_is_wrong_and_a_taken_address_is_no_secret_lost() {
    on_each_database(&[("TERMS_VERSION", "2027-01")], async |platform| {
        let register = async |body: Value| platform.post_as_stranger("/api/auth/register", &body).await;
        let good = json!({
            "username": "Ada", "password": PASSWORD, "terms_version": "2027-01", "email": "ada@example.com",
            "language": "de",
        });
        let ada = register(good.clone()).await;
        assert_eq!((ada.status, &ada.body["user"]["email"]), (201, &Value::Null), "{}", ada.text);
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            body
        };
        for (body, refusal) in [
            (with("username", json!("ad")), (400, "username")),
            (with("username", json!("a b c")), (400, "username")),
            (with("username", json!("ad\u{200b}a")), (400, "username")),
            (with("username", json!("x".repeat(65))), (400, "username")),
            (with("username", json!(7)), (400, "username")),
            (with("username", json!("aDA")), (409, "username")),
            (with("username", json!("ａｄａ")), (409, "username")),
            (with("password", json!("1234567")), (400, "password")),
            (with("password", json!("x".repeat(257))), (400, "password")),
            (with("email", json!("ada")), (400, "email")),
            (with("language", json!("fr")), (400, "language")),
            (with("terms_version", json!("2026-01")), (400, "terms_version")),
            (with("terms_version", Value::Null), (400, "terms_version")),
            (with("role", json!("admin")), (400, "role")),
            (with("roles", json!([])), (400, "roles")),
            (json!({}), (400, "username")),
            (json!([]), (400, "body")),
        ] {
            let refused = register(body.clone()).await;
            assert_eq!(refused.refusal(), refusal, "{body}: {}", refused.text);
            assert!(!refused.text.contains(PASSWORD), "{}", refused.text);
        }
        for (name, password) in [("eight", "12345678".to_owned()), ("most", "ü".repeat(256))] {
            let mut body = with("username", json!(name));
            body["password"] = json!(password);
            // The address of another account.
            let made = register(body).await;
            assert_eq!((made.status, &made.body["user"]["email"]), (201, &Value::Null), "{}", made.text);
            assert_eq!(platform.try_to_sign_in(name, &password).await.status, 200);
        }
        let again = register(with("username", json!("Ben"))).await;
        let strip = |answer: &Answer| named(&answer.body).to_string().replace("Ada", "x").replace("Ben", "x");
        assert_eq!(strip(&again), strip(&ada));
        let me = Person::of(&ada).get(&platform, "/api/v1/me").await.body;
        assert_eq!((&me["terms_version"], &me["language"]), (&json!("2027-01"), &json!("de")));
        assert_eq!((&me["email"], &me["email_pending"]), (&Value::Null, &json!("ada@example.com")));
        assert!(me["terms_at"].is_string());
    })
    .await;
}

#[tokio::test]
async fn passwords_and_tokens_are_in_no_log_and_in_no_metric() {
    let platform = Platform::of(super::accounts::unlimited().await.with("LOG_LEVEL", "debug")).await;
    let ada = platform.register("ada-with-a-name").await;
    platform.try_to_sign_in("ada-with-a-name", "wrong password 7").await;
    let second = platform.refresh(&ada.refresh).await;
    ada.get(&platform, "/api/v1/me").await;
    let metrics = Answer::to(platform.stranger(Method::GET, "/metrics")).await.text;
    let secrets = [
        PASSWORD,
        "wrong password 7",
        "ada-with-a-name",
        &ada.access,
        &ada.refresh,
        second.body["access"].as_str().unwrap(),
        second.body["refresh"].as_str().unwrap(),
    ];
    let log = platform.process.log();
    assert!(log.contains("platform-api listens"));
    for secret in secrets {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret}");
    }
}
