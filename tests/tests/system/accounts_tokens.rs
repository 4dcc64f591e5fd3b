//! Access tokens as others see them: what they carry, the public keys, replacing a key; and the first administrator.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use charging::accounts::signing_keys::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, Platform};
use tests::process::Process;
use tests::python::Python;

use super::accounts::{new_database, on_each_database, unlimited};

const VERIFIER: &str = include_str!("../../clients/access_token.py");

/// The part of a token, the first or the second.
fn part(token: &str, n: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

async fn key_ids(platform: &Platform) -> Vec<String> {
    let keys = Answer::to(platform.stranger(Method::GET, "/.well-known/jwks.json")).await;
    assert_eq!((keys.status, keys.header("content-type")), (200, Some("application/json")));
    let keys = keys.body["keys"].as_array().unwrap().clone();
    let id = |key: &Value| {
        let members = (&key["kty"], &key["crv"], &key["alg"], &key["use"]);
        assert_eq!(members, (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig")));
        assert_eq!(key.as_object().unwrap().len(), 6, "public members only: {key}");
        key["kid"].as_str().unwrap().to_owned()
    };
    keys.iter().map(id).collect()
}

#[tokio::test]
async fn an_access_token_carries_ids_and_is_verified_by_a_library_that_is_not_ours() {
    on_each_database(&[], async |platform| {
        let ada = platform.register("ada").await;
        let (header, claims) = (part(&ada.access, 0), part(&ada.access, 1));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("JWT")));
        assert_eq!(key_ids(&platform).await, [header["kid"].as_str().unwrap()]);
        let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "sid", "sub"]);
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(ada.id), &json!("voltgate-platform")));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 600);
        let sign_ins = ada.get(&platform, "/api/v1/me/sign-ins").await;
        assert_eq!(sign_ins.body["items"][0]["id"], claims["sid"]);
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let arguments = [platform.url.as_str(), &ada.access, claims["iss"].as_str().unwrap(), &ada.id];
        let mut python = Python::start(&platform.deployment.servers.python, VERIFIER, &arguments, &log);
        assert!(python.ended_well().await, "{}", std::fs::read_to_string(log).unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_changed_is_refused() {
    let platform = Platform::of(unlimited().await).await;
    let (ada, ben) = (platform.register("ada").await, platform.register("ben").await);
    let status = async |token: String| {
        Answer::to(platform.stranger(Method::GET, "/api/v1/me").bearer_auth(token)).await.status
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let [header, claims, signature] = ada.access.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let (mut unsigned, mut other_key) = (part(&ada.access, 0), part(&ada.access, 0));
    unsigned["alg"] = json!("none");
    other_key["kid"] = json!("another");
    let mut later = part(&ada.access, 1);
    later["exp"] = json!(later["exp"].as_i64().unwrap() + 600);
    let bens = ben.access.split('.').nth(1).unwrap();
    for (why, token) in [
        ("another's claims", format!("{header}.{bens}.{signature}")),
        ("a later end", format!("{header}.{}.{signature}", encode(&later))),
        ("no algorithm", format!("{}.{claims}.", encode(&unsigned))),
        ("an unknown key", format!("{}.{claims}.{signature}", encode(&other_key))),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("a long one", "x".repeat(7000)),
    ] {
        assert_eq!(status(token).await, 401, "{why}");
    }
    assert_eq!(status(ada.access.clone()).await, 200);
}

/// A file with these keys in PEM, the first one signs.
fn key_file(directory: &Path, keys: &[&[u8]]) -> String {
    let pem = |der: &&[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    };
    let file = directory.join(format!("keys-{}.pem", uuid::Uuid::new_v4()));
    std::fs::write(&file, keys.iter().map(pem).collect::<String>()).unwrap();
    file.display().to_string()
}

/// A new key in PKCS #8, as openssl writes it.
fn key() -> Vec<u8> {
    let seed: [u8; 32] =
        [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat().try_into().unwrap();
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&head[..], &seed].concat()
}

#[tokio::test]
async fn a_key_is_replaced_while_tokens_of_the_former_one_are_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (key(), key());
    let id = |der: &[u8]| SigningKey::from_pkcs8(der.to_vec()).unwrap().id().to_owned();
    let with = |platform: &Platform, keys: &[&[u8]]| {
        platform.deployment.clone().with("JWT_KEY_FILE", key_file(directory.path(), keys))
    };
    let deployment = unlimited().await.with("DATABASE_URL", new_database().await);
    let first = Platform::of(deployment.with("JWT_KEY_FILE", key_file(directory.path(), &[&old]))).await;
    let before = first.register("ada").await;
    // Replicas with the new key signing, with both beside the old one, and at last without the old one.
    let start = async |deployment: Deployment| {
        let (process, url) = deployment.start_platform().await;
        Platform::at(&deployment, process, url)
    };
    let prepared = start(with(&first, &[&old, &new])).await;
    assert_eq!(key_ids(&prepared).await, [id(&old), id(&new)]);
    let replaced = start(with(&first, &[&new, &old])).await;
    assert_eq!(key_ids(&replaced).await, [id(&new), id(&old)]);
    let after = replaced.sign_in("ada").await;
    assert_eq!(part(&before.access, 0)["kid"], json!(id(&old)));
    assert_eq!(part(&after.access, 0)["kid"], json!(id(&new)));
    for (platform, person, status) in [
        (&prepared, &before, 200),
        (&prepared, &after, 200),
        (&replaced, &before, 200),
        (&replaced, &after, 200),
        (&first, &after, 401),
    ] {
        assert_eq!(person.status(platform).await, status);
    }
    let last = start(with(&first, &[&new])).await;
    assert_eq!((before.status(&last).await, after.status(&last).await), (401, 200));
    let refreshed = last.refresh(&before.refresh).await;
    assert_eq!(refreshed.status, 200, "the sign-in goes on");
}

#[tokio::test]
async fn replicas_that_start_together_agree_on_a_key_and_on_the_first_administrator() {
    for _ in 0..3 {
        let mut deployment = unlimited().await.with("DATABASE_URL", new_database().await);
        deployment = deployment.with("API_KEY_BOOTSTRAP", tests::platform::KEY);
        deployment =
            deployment.with("PLATFORM_ADMIN_USERNAME", "root").with("PLATFORM_ADMIN_PASSWORD", PASSWORD);
        let started = futures_util::future::join_all((0..3).map(|_| deployment.start_platform())).await;
        let replicas: Vec<Platform> =
            started.into_iter().map(|(process, url)| Platform::at(&deployment, process, url)).collect();
        let root = replicas[0].sign_in("root").await;
        for platform in &replicas {
            assert_eq!(key_ids(platform).await, key_ids(&replicas[0]).await);
            assert_eq!(
                root.get(platform, "/api/v1/users?role=admin").await.body["items"].as_array().unwrap().len(),
                1
            );
        }
    }
}

#[tokio::test]
async fn the_first_administrator_is_created_once() {
    on_each_database(
        &[("PLATFORM_ADMIN_USERNAME", "root"), ("PLATFORM_ADMIN_PASSWORD", PASSWORD)],
        async |platform| {
            let root = platform.sign_in("ROOT").await;
            assert_eq!(part(&root.access, 1)["sub"], json!(root.id));
            let me = root.get(&platform, "/api/v1/me").await;
            assert_eq!(me.body["roles"], json!([{"role": "driver"}, {"role": "admin"}]));
            let user = format!("/api/v1/users/{}", root.id);
            for change in [json!({"roles": []}), json!({"status": "blocked"})] {
                let refused = Answer::to(root.request(&platform, Method::PATCH, &user).json(&change)).await;
                let field = change.as_object().unwrap().keys().next().unwrap();
                assert_eq!(refused.refusal(), (409, field.as_str()), "{}", refused.text);
            }
            let body = json!({"password": PASSWORD, "new_password": "another horse"});
            assert_eq!(root.post(&platform, "/api/v1/me/password", &body).await.status, 200);
            let platform = platform.crash().await;
            assert_eq!(platform.try_to_sign_in("root", PASSWORD).await.status, 401, "it is left alone");
            let root = Person::of(&platform.try_to_sign_in("root", "another horse").await);
            let admins = root.get(&platform, "/api/v1/users?role=admin").await;
            assert_eq!(admins.body["items"].as_array().unwrap().len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn a_bad_setting_of_accounts_ends_the_service_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let database = format!("embedded:{}", directory.path().join("platform").display());
    let not_a_key = directory.path().join("not-a-key.pem");
    std::fs::write(&not_a_key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let missing = directory.path().join("missing.pem").display().to_string();
    let not_a_key = not_a_key.display().to_string();
    for (settings, named) in [
        (&[("JWT_KEY_FILE", missing.as_str())][..], "JWT_KEY_FILE"),
        (&[("JWT_KEY_FILE", &not_a_key)], "JWT_KEY_FILE"),
        (&[("PLATFORM_ADMIN_USERNAME", "root")], "PLATFORM_ADMIN_PASSWORD"),
        (&[("PLATFORM_ADMIN_PASSWORD", PASSWORD)], "PLATFORM_ADMIN_USERNAME"),
        (
            &[("PLATFORM_ADMIN_USERNAME", "a b"), ("PLATFORM_ADMIN_PASSWORD", PASSWORD)],
            "PLATFORM_ADMIN_USERNAME",
        ),
        (
            &[("PLATFORM_ADMIN_USERNAME", "root"), ("PLATFORM_ADMIN_PASSWORD", "short")],
            "PLATFORM_ADMIN_PASSWORD",
        ),
        (&[("ACCESS_TOKEN_SEC", "0")], "ACCESS_TOKEN_SEC"),
        (&[("REFRESH_GRACE_SEC", "-1")], "REFRESH_GRACE_SEC"),
        (&[("AUTH_RATE_PER_MIN", "many")], "AUTH_RATE_PER_MIN"),
        (&[("TERMS_VERSION", "a b")], "TERMS_VERSION"),
    ] {
        let mut deployment = unlimited().await.with("DATABASE_URL", &database);
        for (name, value) in settings {
            deployment = deployment.with(name, value);
        }
        let (code, _, err) = Process::run("platform-api", &[], &deployment.environment).await;
        assert_eq!(code, Some(64), "{settings:?}: {err}");
        assert!(
            err.contains(named) && !err.contains(PASSWORD) && !err.contains("short"),
            "{settings:?}: {err}"
        );
    }
}
