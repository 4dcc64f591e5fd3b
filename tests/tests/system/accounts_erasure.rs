//! People leave, and take everything with them that law does not keep; `voltgate users` does the same for operators.

use std::collections::BTreeMap;

use charging::DbError;
use charging::notifications::MailKind;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tests::platform::{Answer, location};
use tests::process::Process;

use super::accounts_mails::Stage;

const PASSWORD: &str = "correct horse battery";

impl Stage {
    async fn leave(&self, access: &Value, if_match: Option<&str>, body: Option<Value>) -> Answer {
        let mut request =
            self.platform.stranger(Method::DELETE, "/api/v1/me").bearer_auth(access.as_str().unwrap());
        if let Some(version) = if_match {
            request = request.header("if-match", version);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::to(request).await
    }

    /// As if every sign-in were this old.
    async fn age_sign_ins(&self, seconds: i64) {
        let micros = seconds * 1_000_000;
        let age = "UPDATE sign_ins SET authenticated_at = authenticated_at - $1";
        self.db
            .write(async |tx| {
                let charging::Tx::Lite(lite) = tx else { panic!("a file") };
                sqlx::query(age).bind(micros).execute(&mut **lite).await?;
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
    }

    /// Runs `voltgate users` beside the service.
    async fn users(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let data = self.platform.directory().join("platform").display().to_string();
        let arguments = [&["users"], arguments, &["--data", &data]].concat();
        Process::run("voltgate", &arguments, &BTreeMap::new()).await
    }

    async fn users_json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.users(&[arguments, &["--json"]].concat()).await;
        assert_eq!(code, Some(0), "{out}{err}");
        serde_json::from_str(&out).unwrap()
    }
}

#[tokio::test]
async fn who_leaves_confirms_it_and_is_gone_at_once() {
    let stage = Stage::set().await;
    let user = stage.verified("ada", "ada@example.com").await;
    stage.mails().await;
    let access = &user["access"];
    assert_eq!(stage.leave(access, None, None).await.refusal(), (428, "if-match"));
    assert_eq!(stage.leave(access, Some("\"99\""), None).await.refusal(), (412, "if-match"));
    let etag = stage.as_user(access, Method::GET, "/api/v1/me").await.etag().to_owned();
    stage.age_sign_ins(601).await;
    assert_eq!(stage.leave(access, Some(&etag), None).await.refusal(), (400, "password"));
    let wrong = stage.leave(access, Some(&etag), Some(json!({"password": "wrong"}))).await;
    assert_eq!(wrong.refusal(), (401, "authorization"));
    assert_eq!(stage.leave(access, Some(&etag), Some(json!({"other": 1}))).await.refusal(), (400, "other"));
    let done = stage.leave(access, Some(&etag), Some(json!({"password": PASSWORD}))).await;
    assert_eq!((done.status, &done.body["kept"]), (200, &json!(["invoices", "cdrs"])), "{}", done.text);
    assert_eq!(stage.as_user(access, Method::GET, "/api/v1/me").await.status, 401);
    let refresh = stage.anonymous("/api/auth/refresh/", &json!({"refresh": user["refresh"]})).await;
    assert_eq!(refresh.status, 401);
    let last = stage.mail(MailKind::AccountErased).await;
    assert_eq!((last.to.as_str(), last.data["username"].as_str()), ("ada@example.com", Some("ada")));
    stage.register("ada", None).await;
}

#[tokio::test]
async fn a_fresh_sign_in_leaves_without_the_password_and_its_stream_ends() {
    let stage = Stage::set().await;
    let user = stage.register("ada", None).await;
    let access = user["access"].as_str().unwrap();
    let stream = stage.platform.stranger(Method::GET, "/api/v1/live").bearer_auth(access);
    let mut stream = tests::event_stream::EventStream::open(stream).await.begun().await;
    assert_eq!(stage.leave(&user["access"], Some("*"), None).await.status, 200);
    let ended = tokio::time::timeout(tests::PATIENCE, async { while stream.next().await.is_some() {} }).await;
    assert!(ended.is_ok(), "the stream ends");
}

#[tokio::test]
async fn an_administrator_erases_others_and_the_trail_says_why() {
    let stage = Stage::set().await;
    let ada = stage.register("ada", None).await;
    let id = ada["user"]["id"].as_str().unwrap();
    let path = format!("/api/v1/users/{id}");
    let erase =
        async |body: Value| Answer::to(stage.platform.request(Method::DELETE, &path).json(&body)).await;
    assert_eq!(erase(json!({})).await.refusal(), (400, "reason"));
    assert_eq!(erase(json!({"reason": ""})).await.refusal(), (400, "reason"));
    let by_driver = stage.as_user(&ada["access"], Method::DELETE, &path).await;
    assert_eq!(by_driver.status, 403);
    assert_eq!(erase(json!({"reason": "asked by letter"})).await.status, 200);
    assert_eq!(erase(json!({"reason": "asked by letter"})).await.status, 404);
    let trail = stage.platform.get(&format!("/api/v1/audit?subject_id={id}")).await;
    let entry = &trail.body["items"][0];
    assert_eq!((&entry["action"], &entry["reason"]), (&json!("account.erased"), &json!("asked by letter")));
    assert!(entry["actor"].as_str().unwrap().starts_with("key:"), "{entry}");
    assert_eq!(stage.platform.get("/api/v1/audit?subject_id=7").await.refusal(), (400, "subject_id"));
}

#[tokio::test]
async fn staff_read_the_trail_of_those_who_work_at_their_sites() {
    let stage = Stage::set().await;
    let (here, there) =
        (stage.platform.location("Here").await.id(), stage.platform.location("There").await.id());
    let mut users = Vec::new();
    for (name, place) in [("staff", &here), ("host.here", &here), ("host.there", &there)] {
        let user = stage.register(name, None).await;
        let id = user["user"]["id"].as_str().unwrap().to_owned();
        let role = if name == "staff" { "staff" } else { "host" };
        let roles = json!({"roles": [{"role": role, "location_ids": [place]}], "reason": "works there"});
        let change = stage.platform.request(Method::PATCH, &format!("/api/v1/users/{id}")).json(&roles);
        assert_eq!(Answer::to(change).await.status, 200);
        users.push((id, user["access"].clone()));
    }
    let staff = &users[0].1;
    let trail = stage.as_user(staff, Method::GET, "/api/v1/audit").await;
    assert_eq!(trail.status, 200, "{}", trail.text);
    let subjects: Vec<&str> = trail.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["subject_id"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, [users[1].0.as_str(), users[0].0.as_str()]);
    let foreign =
        stage.as_user(staff, Method::GET, &format!("/api/v1/audit?subject_id={}", users[2].0)).await;
    assert_eq!(foreign.body["items"], json!([]));
    assert_eq!(stage.as_user(&users[1].1, Method::GET, "/api/v1/audit").await.status, 403, "a host");
    assert_eq!(stage.platform.pages("/api/v1/audit", 1).await.len(), 3);
}

#[tokio::test]
async fn the_command_manages_accounts_beside_the_service() {
    let stage = Stage::set().await;
    let made = stage.users_json(&["create", "--admin", "root", "--generate"]).await;
    let login = |name: &str, password: &Value| json!({"username": name, "password": password});
    let admin = stage.anonymous("/api/auth/login/", &login("root", &made["password"])).await;
    assert_eq!(admin.status, 200, "{}", admin.text);
    assert_eq!(admin.body["user"]["roles"][1]["role"], "admin");
    let (code, _, err) = stage.users(&["create", "root", "--generate"]).await;
    assert_eq!(code, Some(65), "{err}");
    let (code, _, err) = stage.users(&["create", "bob"]).await;
    assert!(code == Some(64) && err.contains("--password-stdin"), "{err}");

    let ada = stage.register("ada", None).await;
    let id = ada["user"]["id"].as_str().unwrap();
    assert_eq!(stage.users_json(&["list", "--role", "admin"]).await["username"], "root");
    assert_eq!(stage.users_json(&["show", id]).await["sign_ins"].as_array().unwrap().len(), 1);
    stage.users_json(&["block", "ada", "--reason", "stolen phone"]).await;
    assert_eq!(stage.as_user(&ada["access"], Method::GET, "/api/v1/me").await.status, 401);
    assert_eq!(stage.anonymous("/api/auth/login/", &login("ada", &json!(PASSWORD))).await.status, 401);
    stage.users_json(&["unblock", "ada", "--reason", "new phone"]).await;
    let ada = stage.anonymous("/api/auth/login/", &login("ada", &json!(PASSWORD))).await.body;
    let place = stage.platform.created("/api/v1/locations", &location("Here")).await.id();
    stage.users_json(&["roles", "ada", "--role", "staff", "--location", &place]).await;
    let me = stage.as_user(&ada["access"], Method::GET, "/api/v1/me").await;
    assert_eq!(me.body["roles"][1], json!({"role": "staff", "location_ids": [place]}));
    let (code, _, err) = stage.users(&["roles", "ada", "--role", "staff"]).await;
    assert!(code == Some(64) && err.contains("--location"), "{err}");
    stage.users_json(&["sign-out", "ada"]).await;
    assert_eq!(stage.as_user(&ada["access"], Method::GET, "/api/v1/me").await.status, 401);
    stage.users_json(&["reset-second-factor", "ada", "--reason", "lost phone"]).await;
    let (code, _, err) = stage.users(&["erase", "root", "--reason", "left"]).await;
    assert!(code == Some(65) && err.contains("last administrator"), "{err}");
    assert_eq!(stage.users_json(&["erase", "ada", "--reason", "left"]).await["erased"], true);
    let trail = stage.platform.get(&format!("/api/v1/audit?subject_id={id}")).await;
    let actions: Vec<&str> = trail.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    let expected = [
        "account.erased",
        "account.second_factor_reset",
        "account.signed_out",
        "account.roles",
        "account.status",
        "account.status",
    ];
    assert_eq!(actions, expected);
    let (code, _, err) = stage.users(&["show", "ada"]).await;
    assert!(code == Some(65) && err.contains("no account"), "{err}");
}

#[tokio::test]
async fn a_restored_backup_is_cleaned_of_erased_accounts() {
    let stage = Stage::set().await;
    let ada = stage.register("ada", None).await;
    let backup = tempfile::tempdir().unwrap();
    let copy = backup.path().join("platform.db");
    let into = copy.display().to_string();
    let file = stage.platform.directory().join("platform/platform.db");
    let mut source = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("VACUUM INTO $1").bind(&into).execute(&mut source).await.unwrap();
    assert_eq!(stage.leave(&ada["access"], Some("*"), None).await.status, 200);
    let erased = stage.users_json(&["erased"]).await;
    assert_eq!(erased["account_id"], ada["user"]["id"]);
    let list = backup.path().join("erased.ndjson");
    std::fs::write(&list, format!("{erased}\n")).unwrap();
    let (list, data) = (list.display().to_string(), backup.path().display().to_string());
    let again = async || {
        let arguments = ["users", "erase", "--again", &list, "--data", &data, "--json"];
        let (code, out, err) = Process::run("voltgate", &arguments, &BTreeMap::new()).await;
        assert_eq!(code, Some(0), "{out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(again().await, json!({"erased": 1, "absent": 0, "refused": 0}));
    assert_eq!(again().await, json!({"erased": 0, "absent": 1, "refused": 0}));
}
