//! Tokens over HTTP: those of a driver, those of operators, id tags, codes of cards, and imports.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::platform::{Answer, Platform};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";

/// A driver who is signed in.
pub(crate) struct Driver<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) id: String,
    name: String,
    access: String,
}

/// Registers a driver of this name.
pub(crate) async fn driver<'a>(platform: &'a Platform, name: &str) -> Driver<'a> {
    let body = json!({"username": name, "password": PASSWORD});
    let answer = Answer::to(platform.stranger(Method::POST, "/api/auth/register/").json(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    Driver::of(platform, name, &answer)
}

impl<'a> Driver<'a> {
    fn of(platform: &'a Platform, name: &str, answer: &Answer) -> Self {
        let id = answer.body["user"]["id"].as_str().unwrap().to_owned();
        let access = answer.body["access"].as_str().unwrap().to_owned();
        Self { platform, id, name: name.to_owned(), access }
    }

    /// Signs in again.
    pub(crate) async fn again(self) -> Self {
        let body = json!({"username": self.name, "password": PASSWORD});
        let answer = Answer::to(self.platform.stranger(Method::POST, "/api/auth/login/").json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self::of(self.platform, &self.name, &answer)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.platform.stranger(method, path).bearer_auth(&self.access)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn created(&self, path: &str, body: &Value) -> Answer {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer
    }
}

async fn patched(driver: &Driver<'_>, path: &str, body: &Value) -> Answer {
    Answer::to(driver.request(Method::PATCH, path).json(body)).await
}

#[tokio::test]
async fn a_driver_sees_and_changes_own_tokens_only() {
    let platform = Platform::start().await;
    let (ada, bob) = (driver(&platform, "ada").await, driver(&platform, "bob").await);
    let first = ada.get("/api/v1/me/tokens").await.body["items"].clone();
    assert_eq!((first.as_array().unwrap().len(), &first[0]["type"]), (1, &json!("APP_USER")));
    let token = ada.created("/api/v1/me/tokens", &json!({"type": "APP_USER"})).await;
    let members = token.body.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    for member in ["id", "type", "uid", "driver_token", "id_tag", "status", "whitelist", "expires_at"] {
        assert!(members.contains(&member), "{member}");
    }
    let length = |name: &str| token.body[name].as_str().unwrap().len();
    assert!((20..=80).contains(&length("driver_token")) && length("uid") <= 36 && length("id_tag") <= 20);
    assert_eq!(ada.post("/api/v1/me/tokens", &json!({"type": "RFID"})).await.refusal(), (400, "type"));
    assert_eq!(ada.post("/api/v1/me/tokens", &json!({"uid": "04A1"})).await.refusal(), (400, "uid"));
    assert_eq!(ada.get(token.place()).await.body, token.body);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let foreign =
            Answer::to(bob.request(method, token.place()).json(&json!({"status": "blocked"}))).await;
        assert_eq!(foreign.refusal(), (404, "id"));
    }
    assert_eq!(patched(&ada, token.place(), &json!({"status": "blocked"})).await.body["status"], "blocked");
    assert_eq!(patched(&ada, token.place(), &json!({"status": "expired"})).await.refusal(), (400, "status"));
    assert_eq!(
        patched(&ada, token.place(), &json!({"whitelist": "always"})).await.refusal(),
        (400, "whitelist")
    );
    let old = ada.request(Method::PATCH, token.place()).header("if-match", "\"1\"");
    assert_eq!(Answer::to(old.json(&json!({"status": "active"}))).await.refusal(), (412, "if-match"));
    // An operator's block stays.
    let path = format!("/api/v1/tokens/{}", token.id());
    let operator =
        platform.request(Method::PATCH, &path).json(&json!({"status": "blocked", "whitelist": "always"}));
    assert_eq!(Answer::to(operator).await.body["whitelist"], "always");
    assert_eq!(patched(&ada, token.place(), &json!({"status": "active"})).await.refusal(), (409, "status"));
    assert_eq!(Answer::to(ada.request(Method::DELETE, token.place())).await.status, 204);
    assert_eq!(ada.get(token.place()).await.refusal(), (404, "id"));
    for path in ["/api/v1/tokens", "/api/v1/id-tags", "/api/v1/token-groups"] {
        assert_eq!(ada.get(path).await.refusal(), (403, "authorization"), "{path}");
    }
}

#[tokio::test]
async fn a_repeat_by_an_account_gets_the_first_answer_and_another_account_its_own() {
    let platform = Platform::start().await;
    let (ada, bob) = (driver(&platform, "ada").await, driver(&platform, "bob").await);
    let post = async |driver: &Driver<'_>| {
        let request = driver.request(Method::POST, "/api/v1/me/tokens").header("idempotency-key", "one");
        Answer::to(request.json(&json!({}))).await
    };
    let (first, again, other) = (post(&ada).await, post(&ada).await, post(&bob).await);
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_ne!(first.id(), other.id());
    assert_eq!(ada.get("/api/v1/me/tokens").await.body["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn vehicles_are_their_owners_own() {
    let platform = Platform::start().await;
    let (ada, bob) = (driver(&platform, "ada").await, driver(&platform, "bob").await);
    let zoe =
        json!({"name": "Zoe", "plate": "HH AB 123E", "connector": "IEC_62196_T2", "max_power_w": 22_000});
    let vehicle = ada.created("/api/v1/me/vehicles", &zoe).await;
    assert_eq!(vehicle.body["battery_wh"], Value::Null);
    assert_eq!(bob.get(vehicle.place()).await.refusal(), (404, "id"));
    assert_eq!(bob.get("/api/v1/me/vehicles").await.body["items"], json!([]));
    let changed = patched(&ada, vehicle.place(), &json!({"battery_wh": 52_000, "plate": null})).await;
    assert_eq!((&changed.body["battery_wh"], &changed.body["plate"]), (&json!(52_000), &Value::Null));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"max_power_w": 0}), "max_power_w"),
        (json!({"connector": "SCHUKO"}), "connector"),
        (json!({"colour": "red"}), "colour"),
    ] {
        assert_eq!(patched(&ada, vehicle.place(), &body).await.refusal(), (400, field));
    }
    assert_eq!(Answer::to(ada.request(Method::DELETE, vehicle.place())).await.status, 204);
    assert_eq!(ada.get(vehicle.place()).await.refusal(), (404, "id"));
}

#[tokio::test]
async fn an_id_tag_is_written_read_and_deleted_in_words_of_ocpp() {
    let platform = Platform::start().await;
    let ada = driver(&platform, "ada").await;
    let put = async |tag: &str, body: &Value| {
        Answer::to(platform.request(Method::PUT, &format!("/api/v1/id-tags/{tag}")).json(body)).await
    };
    let body = json!({"status": "Accepted", "expires_at": "2100-01-01T00:00:00Z", "parent_id_tag": "FLEET",
        "whitelist": "allowed", "user_id": ada.id});
    let created = put("Tag1", &body).await;
    assert_eq!((created.status, created.place()), (201, "/api/v1/id-tags/Tag1"), "{}", created.text);
    let shown = platform.get("/api/v1/id-tags/TAG1").await;
    assert_eq!(shown.body, created.body);
    assert_eq!((&shown.body["id_tag"], &shown.body["status"]), (&json!("Tag1"), &json!("Accepted")));
    assert_eq!((&shown.body["parent_id_tag"], &shown.body["user_id"]), (&json!("FLEET"), &json!(ada.id)));
    let token = platform.get(&format!("/api/v1/tokens/{}", shown.body["token_id"].as_str().unwrap())).await;
    assert_eq!((&token.body["uid"], &token.body["type"]), (&json!("Tag1"), &json!("RFID")));
    let replaced = put("TAG1", &json!({"status": "Expired"})).await;
    assert_eq!((replaced.status, &replaced.body["status"]), (200, &json!("Expired")));
    assert_eq!((&replaced.body["parent_id_tag"], &replaced.body["user_id"]), (&Value::Null, &Value::Null));
    assert_eq!(put("TAG1", &json!({"status": "Blocked"})).await.body["status"], "Blocked");
    assert_eq!(put("TAG1", &json!({"status": "Good"})).await.refusal(), (400, "status"));
    assert_eq!(put("A%20B", &json!({})).await.refusal(), (400, "id_tag"));
    let tags = platform.get("/api/v1/id-tags?q=tag").await.body["items"].clone();
    assert_eq!(tags.as_array().unwrap().len(), 1);
    let delete = async || Answer::to(platform.request(Method::DELETE, "/api/v1/id-tags/tag1")).await;
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.refusal(), (404, "id_tag"));
    assert_eq!(platform.get("/api/v1/id-tags/Tag1").await.refusal(), (404, "id_tag"));
}

#[tokio::test]
async fn a_card_is_bound_by_its_code_once() {
    let platform = Platform::start().await;
    let (ada, bob) = (driver(&platform, "ada").await, driver(&platform, "bob").await);
    let card = platform.created("/api/v1/tokens", &json!({"uid": "04A1", "bind_code": true})).await;
    let code = card.body["bind_code"].as_str().unwrap().to_owned();
    assert_eq!(platform.get(card.place()).await.body.get("bind_code"), None);
    let bind = async |driver: &Driver<'_>, code: &str| {
        driver.post("/api/v1/me/tokens/bind", &json!({"code": code})).await
    };
    let bound = bind(&ada, &code.to_lowercase().replace('-', " ")).await;
    assert_eq!((bound.status, bound.id(), &bound.body["user_id"]), (200, card.id(), &json!(ada.id)));
    // Used, wrong and malformed look the same.
    let used = bind(&bob, &code).await;
    assert_eq!(used.refusal(), (404, "code"));
    for other in ["ABCD-EFGH-2345", "no code", ""] {
        assert_eq!(bind(&bob, other).await.text, used.text, "{other}");
    }
    let keyed = platform.request(Method::POST, "/api/v1/tokens").header("idempotency-key", "one");
    let keyed = Answer::to(keyed.json(&json!({"uid": "04A2", "bind_code": true}))).await;
    assert_eq!(keyed.refusal(), (400, "idempotency-key"));
    let reissue = platform.post(&format!("{}/bind-code", card.place()), &json!({})).await;
    assert_eq!(reissue.refusal(), (409, "user_id"));
}

#[tokio::test]
async fn an_import_names_what_it_refuses_and_may_be_repeated() {
    let platform = Platform::start().await;
    let ada = driver(&platform, "ada").await;
    let lines = [
        json!({"id_tag": "A1", "username": "ada", "parent_id_tag": "FLEET"}).to_string(),
        json!({"id_tag": "A2", "uid": "04A2", "bind_code": true, "whitelist": "allowed"}).to_string(),
        String::new(),
        json!({"id_tag": "A3", "username": "unknown"}).to_string(),
        json!({"id_tag": "A3", "colour": "red"}).to_string(),
        "{".to_owned(),
        json!({"id_tag": "A1", "uid": "other"}).to_string(),
        json!({"uid": "04A4", "printed_code": "abcd-efgh-2345", "status": "active"}).to_string(),
    ];
    let import = async |kind: &str, body: String, query: &str| {
        let request = platform.request(Method::POST, &format!("/api/v1/tokens/import{query}"));
        Answer::to(request.header("content-type", kind).body(body)).await
    };
    let body = lines.join("\n");
    let dry = import("application/x-ndjson", body.clone(), "?dry_run=true").await;
    // Each line is looked at alone: the one that names a card of an earlier line counts as new too.
    assert_eq!((dry.status, &dry.body["tokens"]["created"]), (200, &json!(4)), "{}", dry.text);
    assert_eq!(dry.body["bind_codes"], json!([]));
    let first = import("application/x-ndjson", body.clone(), "").await;
    assert_eq!(first.body["tokens"], json!({"created": 3, "changed": 0, "unchanged": 0}), "{}", first.text);
    let refused: Vec<(u64, &str)> = first.body["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| (refused["line"].as_u64().unwrap(), refused["field"].as_str().unwrap()))
        .collect();
    assert_eq!(refused, [(4, "username"), (5, "colour"), (6, "body"), (7, "uid")]);
    assert_eq!(first.body["bind_codes"][0]["line"], 2);
    let code = first.body["bind_codes"][0]["bind_code"].as_str().unwrap();
    assert_eq!(ada.post("/api/v1/me/tokens/bind", &json!({"code": code})).await.body["id_tag"], "A2");
    assert_eq!(
        ada.post("/api/v1/me/tokens/bind", &json!({"code": "ABCD EFGH 2345"})).await.body["uid"],
        "04A4"
    );
    let again = import("application/x-ndjson", body, "").await;
    assert_eq!(again.body["tokens"], json!({"created": 0, "changed": 0, "unchanged": 3}), "{}", again.text);
    assert_eq!(again.body["bind_codes"], json!([]));
    let csv = "id_tag;status;whitelist\nA1;blocked;\nA9;;never\n";
    let csv = import("text/csv", csv.to_owned(), "").await;
    assert_eq!(csv.body["tokens"], json!({"created": 1, "changed": 1, "unchanged": 0}), "{}", csv.text);
    let mine = ada.get("/api/v1/me/tokens").await.body["items"].clone();
    let first = mine.as_array().unwrap().iter().find(|token| token["id_tag"] == "A1").unwrap().clone();
    assert_eq!((&first["status"], &first["group"]), (&json!("blocked"), &json!("FLEET")));
    assert_eq!(import("text/csv", "id_tag,colour\n".to_owned(), "").await.refusal(), (400, "header"));
    assert_eq!(import("application/json", "{}".to_owned(), "").await.refusal(), (415, "content-type"));
}

#[tokio::test]
async fn operators_list_and_group_tokens() {
    let platform = Platform::start().await;
    let ada = driver(&platform, "ada").await;
    let group = platform.created("/api/v1/token-groups", &json!({"name": "Taxis"})).await;
    let token = json!({"uid": "04A1", "group": "taxis", "user_id": ada.id});
    let token = platform.created("/api/v1/tokens", &token).await;
    assert_eq!(token.body["group"], "Taxis");
    let ids = async |query: &str| platform.pages(&format!("/api/v1/tokens{query}"), 1).await;
    assert_eq!(ids("?group=TAXIS").await, [token.id()]);
    assert_eq!(ids("?q=04a").await, [token.id()]);
    assert_eq!(ids(&format!("?user_id={}", ada.id)).await.len(), 2);
    assert_eq!(ids(&format!("?fleet_id={}", Uuid::nil())).await, Vec::<String>::new());
    assert_eq!(platform.delete(group.place(), group.etag()).await.refusal(), (409, "tokens"));
    let renamed = platform.patch(group.place(), group.etag(), &json!({"name": "Cabs"})).await;
    assert_eq!(renamed.body["name"], "Cabs");
    assert_eq!(platform.get(token.place()).await.body["group"], "Cabs");
    let token = platform
        .patch(token.place(), token.etag(), &json!({"group": null, "expires_at": "2020-01-01T00:00:00Z"}))
        .await;
    assert_eq!((&token.body["group"], &token.body["status"]), (&Value::Null, &json!("expired")));
    assert_eq!(platform.delete(group.place(), "*").await.status, 204);
}
