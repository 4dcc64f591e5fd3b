//! Attempts on accounts are limited: an address is refused, a name is slowed down, and a second factor counts once.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, Platform};

use super::accounts::{on_each_database, unlimited};

/// RFC 6238 in a language that is not ours. Arguments: the secret, the seconds to add to this moment.
const TOTP: &str = r#"
import base64, hmac, struct, sys, time
secret, later = sys.argv[1:]
step = int(time.time() + int(later)) // 30
tag = hmac.digest(base64.b32decode(secret), struct.pack(">Q", step), "sha1")
place = tag[19] & 15
print("%06d" % ((struct.unpack(">I", tag[place:place + 4])[0] & 0x7FFFFFFF) % 1000000))
"#;

/// A platform-api that lets an address and a name try five times at once, and then every twelve seconds.
async fn limited() -> Platform {
    let deployment = unlimited().await.with("AUTH_RATE_PER_MIN", 5).with("TRUSTED_PROXIES", "127.0.0.0/8");
    Platform::of(deployment.with("RATE_LIMIT_ADDRESS_PER_SEC", 1000)).await
}

async fn from(platform: &Platform, address: &str, step: &str, body: &Value) -> Answer {
    let request = platform.stranger(Method::POST, &format!("/api/auth/{step}/"));
    Answer::to(request.header("x-forwarded-for", address).json(body)).await
}

fn credentials(name: &str, password: &str) -> Value {
    json!({"username": name, "password": password})
}

#[tokio::test]
async fn an_address_that_tries_too_often_is_refused_until_later() {
    let platform = limited().await;
    let address = "198.51.100.1";
    assert_eq!(from(&platform, address, "register", &credentials("ada", PASSWORD)).await.status, 201);
    for n in 0..4 {
        let wrong = from(&platform, address, "login", &credentials(&format!("name-{n}"), PASSWORD)).await;
        assert_eq!(wrong.status, 401, "{}", wrong.text);
    }
    for (step, body) in [
        ("login", credentials("ada", PASSWORD)),
        ("login", credentials("another", PASSWORD)),
        ("register", credentials("another", PASSWORD)),
    ] {
        let refused = from(&platform, address, step, &body).await;
        assert_eq!(refused.refusal(), (429, "address"), "{step}: {}", refused.text);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "{wait}");
        // Not those of the gate, which would admit more.
        assert_eq!(refused.header("ratelimit-policy"), Some("\"address\";q=5;w=60"), "{step}");
        assert!(refused.header("ratelimit").unwrap().starts_with("\"address\";r=0;t="), "{step}");
    }
    let elsewhere = from(&platform, "198.51.100.2", "login", &credentials("ada", PASSWORD)).await;
    let ada = Person::of(&elsewhere);
    let refresh = from(&platform, address, "refresh", &json!({"refresh": ada.refresh})).await;
    assert_eq!(refresh.status, 200, "who is signed in stays so: {}", refresh.text);
    assert_eq!(ada.sign_out(&platform).await, 200);
    // The holder of an address of version 6 has the whole network.
    for n in 0..5 {
        let address = format!("2001:db8::{n}");
        let from_network = from(&platform, &address, "login", &credentials("ben", PASSWORD)).await;
        assert_eq!(from_network.status, 401, "{n}");
    }
    let refused = from(&platform, "2001:db8::ffff:1", "login", &credentials("ada", PASSWORD)).await;
    assert_eq!(refused.refusal(), (429, "address"));
    let next = from(&platform, "2001:db8:0:1::1", "login", &credentials("ada", PASSWORD)).await;
    assert_eq!(next.status, 200, "{}", next.text);
}

#[tokio::test]
async fn the_password_is_limited_where_it_is_entered_again_too() {
    let platform = limited().await;
    let address = "198.51.100.1";
    let ada = Person::of(&from(&platform, "198.51.100.2", "register", &credentials("ada", PASSWORD)).await);
    let confirm = async |path: &str, body: Value| {
        let request = ada.request(&platform, Method::POST, path).header("x-forwarded-for", address);
        Answer::to(request.json(&body)).await
    };
    let guess = |n: usize| json!({"password": format!("guess number {n}")});
    for n in 0..5 {
        assert_eq!(confirm("/api/v1/me/second-factor", guess(n)).await.status, 401);
    }
    let change = json!({"password": PASSWORD, "new_password": "another horse"});
    for (path, body) in [
        ("/api/v1/me/second-factor", guess(5)),
        ("/api/v1/me/second-factor/confirm", json!({"otp": "000000"})),
        ("/api/v1/me/second-factor/remove", guess(5)),
        ("/api/v1/me/password", change),
    ] {
        assert_eq!(confirm(path, body).await.refusal(), (429, "address"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_tried_too_often_is_slowed_down_and_never_locked() {
    let platform = limited().await;
    assert_eq!(from(&platform, "192.0.2.1", "register", &credentials("Ada", PASSWORD)).await.status, 201);
    let name = async |spelling: &'static str, password: &'static str, n: usize| {
        let began = Instant::now();
        let answer =
            from(&platform, &format!("203.0.113.{n}"), "login", &credentials(spelling, password)).await;
        (answer.status, began.elapsed())
    };
    // The spellings of one name are one name, and one that does not exist is slowed down as much.
    for (spellings, last) in [(["ada", "Ada", "ADA", "ａｄａ", "adA"], 200), (["ben"; 5], 401)] {
        let first = if last == 200 { 0 } else { 100 };
        for (n, spelling) in spellings.into_iter().enumerate() {
            assert_eq!(name(spelling, "wrong horse", first + n).await.0, 401);
        }
        let spelling = spellings[0];
        let (status, took) = name(spelling, PASSWORD, first + 50).await;
        assert_eq!(status, last, "{spelling}");
        assert!(took >= Duration::from_secs(3), "{spelling}: {took:?}");
    }
    let (status, took) = name("cleo", PASSWORD, 200).await;
    assert!(status == 401 && took < Duration::from_secs(3), "another name: {took:?}");
}

async fn one_time_password(platform: &Platform, secret: &str, later: u32) -> String {
    let mut python = tokio::process::Command::new(&platform.deployment.servers.python);
    let made = python.args(["-c", TOTP, secret, &later.to_string()]).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn signing_in_with_a_second_factor_needs_a_password_of_this_moment() {
    on_each_database(&[], async |platform| {
        let ada = platform.register("ada").await;
        let post = async |step: &str, body: Value| {
            ada.post(&platform, &format!("/api/v1/me/second-factor{step}"), &body).await
        };
        let wrong = post("", json!({"password": "wrong horse"})).await;
        assert_eq!(wrong.refusal(), (401, "authorization"));
        let enrolment = post("", json!({"password": PASSWORD})).await;
        assert_eq!((enrolment.status, enrolment.header("cache-control")), (200, Some("no-store")));
        let secret = enrolment.body["secret"].as_str().unwrap().to_owned();
        let url = enrolment.body["url"].as_str().unwrap();
        assert!(url.starts_with("otpauth://totp/Voltgate:ada?") && url.contains(&secret), "{url}");
        platform.sign_in("ada").await;
        let first = one_time_password(&platform, &secret, 0).await;
        for bad in ["", "1", "abcdef", &first[..5]] {
            assert_eq!(post("/confirm", json!({"otp": bad})).await.refusal(), (400, "otp"), "{bad}");
        }
        assert_eq!(post("/confirm", json!({"otp": first})).await.status, 200);
        assert_eq!(ada.get(&platform, "/api/v1/me").await.body["second_factor"], json!(true));
        assert_eq!(post("", json!({"password": PASSWORD})).await.refusal(), (409, "second_factor"));
        let login = async |password: &str, otp: Option<&str>| {
            let mut body = credentials("ada", password);
            if let Some(otp) = otp {
                body["otp"] = json!(otp);
            }
            platform.post_as_stranger("/api/auth/login/", &body).await
        };
        let due = login(PASSWORD, None).await;
        insta::assert_json_snapshot!("second_factor_due", due.body);
        assert_eq!(due.header("www-authenticate"), Some("Bearer"));
        let is_due = |answer: &Answer| {
            answer.status == 401 && answer.body["type"] == json!("urn:voltgate:problem:second_factor")
        };
        for (otp, why) in [(Some(first.as_str()), "used"), (Some("12345"), "short"), (Some(""), "empty")] {
            assert!(is_due(&login(PASSWORD, otp).await), "{why}");
        }
        let next = one_time_password(&platform, &secret, 30).await;
        let refused = login("wrong horse", Some(&next)).await;
        assert_eq!(refused.body["type"], "urn:voltgate:problem:unauthorized", "no hint without the password");
        let signed_in = login(PASSWORD, Some(&next)).await;
        assert_eq!(signed_in.status, 200, "{}", signed_in.text);
        assert!(is_due(&login(PASSWORD, Some(&next)).await), "a second time");
        let sign_ins = ada.get(&platform, "/api/v1/me/sign-ins").await;
        assert_eq!(sign_ins.body["items"].as_array().unwrap().len(), 3, "refused ones leave nothing");
        assert_eq!(post("/remove", json!({"password": "wrong horse"})).await.status, 401);
        assert_eq!(post("/remove", json!({"password": PASSWORD})).await.status, 200);
        assert_eq!(login(PASSWORD, None).await.status, 200);
    })
    .await;
}
