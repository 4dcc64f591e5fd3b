//! Access requires a key, and no key is ever shown.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, record_once};
use tests::eventually;
use tests::link::Link;
use tests::process::Process;
use tests::servers::reqwest_client;

const NOBODY: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
const SECRET: &str = "5ec4e7000000000000000000000000000000000000000000";

async fn guarded() -> Deployment {
    let key = |id: &str| format!("vg_{id}_{SECRET}");
    let deployment = Deployment::new().await.with("API_KEYS", "required");
    deployment.with("API_KEY_BOOTSTRAP", key("admin")).with("AUTHORIZATION_SERVICE_KEY", key("worker"))
}

/// Creates a key in the store, as an operator does; returns it and its id.
pub(super) async fn created(deployment: &Deployment, scope: &str, more: &[&str]) -> (String, String) {
    let command = ["keys", "create", "--name", "test", "--scope", scope, "--json"];
    let (code, out, err) =
        Process::run("voltgate", &[&command, more].concat(), &deployment.environment).await;
    assert_eq!(code, Some(0), "{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn seen(case: &str, response: Response) -> Value {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let headers = json!({
        "content-type": header("content-type"),
        "www-authenticate": header("www-authenticate"),
        "cache-control": header("cache-control"),
        "content-security-policy": header("content-security-policy"),
        "referrer-policy": header("referrer-policy"),
        "x-content-type-options": header("x-content-type-options"),
    });
    let body: Value = response.json().await.unwrap();
    json!({ "case": case, "headers": headers, "answer": body })
}

#[tokio::test]
async fn a_stranger_is_told_what_is_missing_and_nothing_else() {
    let mut deployment = guarded().await;
    let ((_acl, acl), (_api, api)) = (deployment.start_acl().await, deployment.start_api().await);
    let http = &deployment.http;
    let (reader, _) = created(&deployment, "read", &[]).await;
    let unknown = format!("vg_nobody_{SECRET}");
    let entry = format!("{acl}/station/{STATION}/driver/{DRIVER}/acl");
    let cases = [
        ("no key", http.get(format!("{api}/requests/{NOBODY}"))),
        ("no key, acl-service", http.put(&entry)),
        ("not a key", http.put(&entry).bearer_auth("password")),
        ("an unknown key", http.put(&entry).bearer_auth(&unknown)),
        ("two keys", http.get(&entry).bearer_auth(&reader).header("x-api-key", &unknown)),
        ("a key for something else", http.put(&entry).bearer_auth(&reader)),
        ("the worker's key for a change", http.delete(&entry).bearer_auth(format!("vg_worker_{SECRET}"))),
        ("a key that lists but may not ask", {
            http.post(format!("{api}/station/{STATION}/driver/{DRIVER}/authorize")).bearer_auth(&reader)
        }),
    ];
    let mut answers = Vec::new();
    for (case, request) in cases {
        answers.push(seen(case, request.send().await.unwrap()).await);
    }
    insta::assert_json_snapshot!("strangers", answers);
    let wrong_secret = format!("vg_admin_{}", SECRET.replace('5', "6"));
    for key in [&wrong_secret, &reader.replace("_", "-"), &format!("{reader}0")] {
        assert_eq!(status(http.get(&entry).bearer_auth(key)).await, 401);
    }
    for open in ["/healthz", "/readyz"] {
        assert_eq!(status(http.get(format!("{acl}{open}"))).await, 200);
        assert_eq!(status(http.get(format!("{api}{open}")).bearer_auth("nonsense")).await, 200);
    }
    assert_eq!(status(http.get(format!("{api}/.well-known/webhook-public-keys"))).await, 200);
}

#[tokio::test]
async fn each_scope_opens_what_it_says() {
    let mut deployment = guarded().await;
    let ((_acl, acl), (_api, api)) = (deployment.start_acl().await, deployment.start_api().await);
    let http = &deployment.http;
    let entry = format!("{acl}/station/{STATION}/driver/{DRIVER}/acl");
    let authorize =
        format!("{api}/station/{STATION}/driver/{DRIVER}/authorize?callback_url=http://127.0.0.1:9/");
    let calls = [
        http.get(&authorize),
        http.get(format!("{api}/requests/{NOBODY}")),
        http.get(&entry),
        http.get(format!("{acl}/station/{STATION}/acl")),
        http.put(&entry),
        http.delete(&entry),
        http.get(format!("{acl}/members")),
        http.put(format!("{acl}/public-stations/{STATION}")),
    ];
    for (scope, expected) in [
        ("authorize", [202, 403, 200, 403, 403, 403, 403, 403]),
        ("read", [403, 404, 200, 200, 403, 403, 200, 403]),
        ("acl", [403, 403, 200, 200, 200, 200, 200, 200]),
        ("authorize,read", [202, 404, 200, 200, 403, 403, 200, 403]),
        ("admin", [202, 404, 200, 200, 200, 200, 200, 200]),
    ] {
        let (key, _) = created(&deployment, scope, &["--expires", "1h"]).await;
        for (call, expected) in calls.iter().zip(expected) {
            let call = call.try_clone().unwrap().header("x-api-key", &key);
            assert_eq!(status(call).await, expected, "{scope}");
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_five_seconds_later_at_the_latest() {
    let mut deployment = guarded().await;
    let (_acl, acl) = deployment.start_acl().await;
    let (key, id) = created(&deployment, "read", &[]).await;
    let list = || deployment.http.get(format!("{acl}/station/{STATION}/acl")).bearer_auth(&key);
    assert_eq!(status(list()).await, 200);
    let listed = async || {
        let listing = Process::run("voltgate", &["keys", "list", "--json"], &deployment.environment);
        let keys: Value = serde_json::from_str(&listing.await.1).unwrap();
        keys
    };
    let kept = listed().await;
    assert_eq!(
        (&kept["state"], &kept["name"], &kept["scopes"]),
        (&"good".into(), &"test".into(), &json!(["read"]))
    );
    assert!(kept["last_used"].is_string() && !kept.to_string().contains(&key[20..]), "{kept}");
    let (code, ..) = Process::run("voltgate", &["keys", "revoke", &id], &deployment.environment).await;
    assert_eq!(code, Some(0));
    let revoked = Instant::now();
    eventually("the key to be refused", async || {
        let asked = revoked.elapsed();
        match status(list()).await {
            401 => Some(()),
            _ => {
                assert!(asked < Duration::from_secs(5), "let in {asked:?} after it was revoked");
                None
            }
        }
    })
    .await;
    assert_eq!(listed().await["state"], "revoked");
    let (code, ..) = Process::run("voltgate", &["keys", "revoke", "nobody"], &deployment.environment).await;
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn without_the_store_known_keys_stay_valid_and_others_get_503() {
    let deployment = guarded().await.with("AUTHORIZATION_TIMEOUT_SEC", 120);
    let redis = Link::to(&deployment.servers.redis).await;
    let (_api, api) = deployment.through("REDIS_URL", &redis).start_api().await;
    let (known, _) = created(&deployment, "authorize", &[]).await;
    let (unseen, _) = created(&deployment, "authorize", &[]).await;
    let url = format!("{api}/station/{STATION}/driver/{DRIVER}/authorize?callback_url=http://127.0.0.1:9/");
    let asking = |key: &str| deployment.http.post(&url).bearer_auth(key);
    assert_eq!(status(asking(&known)).await, 202);
    redis.cut();
    let away = Instant::now();
    eventually("the key to be older than what is believed without asking the store", async || {
        assert_eq!(status(asking(&known)).await, 202, "after {:?}", away.elapsed());
        (away.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;
    let refused = asking(&unseen).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["field"], "store");
    let (id, _) = known.rsplit_once('_').unwrap();
    assert_eq!(status(asking(&format!("{id}_{SECRET}"))).await, 401, "its id alone is no key");
    redis.open();
    eventually("the other key to be let in", async || (status(asking(&unseen)).await == 202).then_some(()))
        .await;
}

#[tokio::test]
async fn loopback_needs_no_key_but_a_wrong_one_is_refused() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let entry = deployment.http.put(format!("{acl}/station/{STATION}/driver/{DRIVER}/acl"));
    assert_eq!(status(entry.try_clone().unwrap()).await, 200);
    assert_eq!(status(entry.bearer_auth(format!("vg_nobody_{SECRET}"))).await, 401);
}

#[tokio::test]
async fn a_system_with_keys_decides_and_its_logs_hold_no_secret() {
    let mut deployment = guarded().await.with("LOG_LEVEL", "debug,h2=info");
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, reqwest_client());
    let (client, _) = created(&deployment, "authorize,acl,read", &[]).await;
    let entry = http.put(format!("{}/station/{STATION}/driver/{DRIVER}/acl", services.acl_url));
    assert_eq!(status(entry.bearer_auth(&client)).await, 200);
    let bootstrap = format!("vg_admin_{SECRET}");
    for key in [&client, &bootstrap] {
        let url = format!("{}/station/{STATION}/driver/{DRIVER}/authorize", services.api_url);
        let asked = http.post(url).json(&json!({"callback_url": host.url("/ok/keys")})).bearer_auth(key);
        let accepted: Value = asked.send().await.unwrap().json().await.unwrap();
        let headers = [("authorization".parse().unwrap(), format!("Bearer {client}").parse().unwrap())];
        let reader = reqwest::Client::builder().no_proxy().default_headers(headers.into_iter().collect());
        let request = accepted["request_id"].as_str().unwrap_or_else(|| panic!("{accepted}")).to_owned();
        let shown = record_once(&reader.build().unwrap(), &services.api_url, &request, "delivered").await;
        assert_eq!(shown["status"], "allowed", "the worker was admitted to acl-service");
    }
    let (_, settings, _) = Process::run("voltgate", &["settings"], &deployment.environment).await;
    for text in [services.api.log(), services.acl.log(), services.worker.log(), settings] {
        assert!(!text.contains(SECRET) && !text.contains(&client[20..]), "a secret was shown:\n{text}");
    }
    let stored = deployment.keys().await;
    assert!(!stored.iter().any(|key| key.contains(&client[20..])), "{stored:?}");
}

#[tokio::test]
async fn a_worker_without_a_key_says_so_and_decides_unknown() {
    let mut deployment = guarded().await;
    let (_acl, _) = deployment.start_acl().await;
    let mut worker = deployment.clone().with("AUTHORIZATION_SERVICE_KEY", "").start_worker();
    let (_api, api) = deployment.start_api().await;
    let host = CallbackHost::start().await;
    let url = format!("{api}/station/{STATION}/driver/{DRIVER}/authorize");
    let asked = deployment.http.post(url).json(&json!({"callback_url": host.url("/ok/no-key")}));
    assert_eq!(status(asked.bearer_auth(format!("vg_admin_{SECRET}"))).await, 202);
    assert_eq!(host.callback("/ok/no-key").await.body["status"], "unknown");
    eventually("the worker to say why", async || {
        worker.log().contains("AUTHORIZATION_SERVICE_KEY").then_some(())
    })
    .await;
    assert_eq!(worker.exit_status(), None);
}

#[tokio::test]
async fn what_is_no_key_stops_the_start_and_is_not_shown() {
    for (program, name) in [("public-api", "API_KEY_BOOTSTRAP"), ("worker", "AUTHORIZATION_SERVICE_KEY")] {
        let deployment = Deployment::new().await.with(name, "hunter2-hunter2");
        let mut process = Process::start(program, &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(64), "{name}");
        let log = process.log();
        assert!(log.contains(name) && log.contains("vg_<id>") && !log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn voltgate_up_beyond_loopback_wants_keys_that_are_made_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let environment = [
        ("BIND_ADDRESS", "0.0.0.0"),
        ("PUBLIC_API_PORT", port.as_str()),
        ("AUTHORIZATION_SERVICE_PORT", "0"),
        ("PLATFORM_API_PORT", "0"),
        ("OCPP_PORT", "0"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let _up = Process::start("voltgate", &["up", "--data", &data], &environment);
    let http = reqwest_client();
    eventually("voltgate up to be ready", async || {
        let ready = http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    let ask = ["authorize", STATION, DRIVER];
    let (code, _, err) = Process::run("voltgate", &ask, &environment).await;
    assert!(code == Some(65) && err.contains("a key is required"), "{err}");
    let create = ["keys", "create", "--name", "me", "--scope", "authorize", "--data", &data];
    let (code, key, err) = Process::run("voltgate", &create, &environment).await;
    assert!(code == Some(0) && err.contains("only time"), "{err}");
    let (code, out, err) =
        Process::run("voltgate", &[&ask[..], &["--key", &key]].concat(), &environment).await;
    assert!(code == Some(1) && out.contains("not_allowed"), "{out}{err}");
}
