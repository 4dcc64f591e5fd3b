//! The bridge to acl-service: what the platform knows decides who may charge, within moments, and after a loss too.

use nix::sys::signal::Signal;
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{Deployment, STATION, Services, try_ask};
use tests::eventually;
use tests::platform::{Answer, Platform};

use super::platform_cards::driver;

/// A platform with the core beside it.
struct System {
    platform: Platform,
    services: Services,
    host: CallbackHost,
}

impl System {
    async fn start() -> Self {
        Self::of(Deployment::new().await).await
    }

    async fn of(mut deployment: Deployment) -> Self {
        let services = deployment.start().await;
        let platform = Platform::of(deployment).await;
        Self { platform, services, host: CallbackHost::start().await }
    }

    /// The one station that drivers ask for.
    async fn station(&self, access: &str) -> Answer {
        self.platform.created("/api/v1/stations", &json!({"id": STATION, "access": access})).await
    }

    /// Asks until the decision is this one. What the platform changed reaches acl-service a moment later.
    async fn decides(&self, driver: &str, expected: &str) {
        let (http, url) = (&self.platform.deployment.http, self.host.url("/ok"));
        let what = format!("a driver to be {expected}");
        eventually(&what, async || {
            let request = try_ask(http, &self.services.api_url, driver, &url).await.ok()?;
            let record = self.services.record_once(http, &request, "delivered").await;
            (record["status"] == expected).then_some(())
        })
        .await;
    }

    /// What acl-service answers to a GET.
    async fn core(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.services.acl_url);
        let response = self.platform.deployment.http.get(url).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// Waits until the metric of the changes that wait is as expected.
    async fn has_waiting(&self, what: &str, expected: fn(f64) -> bool) {
        eventually(what, async || {
            let text = self.platform.get("/metrics").await.text;
            let waiting = text.lines().find_map(|line| line.strip_prefix("voltgate_core_changes_waiting "));
            waiting.and_then(|number| number.parse().ok()).is_some_and(expected).then_some(())
        })
        .await;
    }

    /// Waits until acl-service has as many public stations and members.
    async fn has(&self, stations: usize, members: usize) {
        eventually(&format!("{stations} public stations and {members} members"), async || {
            let public = self.core("/public-stations?limit=1000").await;
            let all = self.core("/members?limit=1000").await;
            let count = |list: &Value| list.as_array().map_or(0, Vec::len);
            let found = (count(&public["station_ids"]), count(&all["members"]));
            (found == (stations, members)).then_some(())
        })
        .await;
    }
}

fn name(token: &Answer) -> &str {
    token.body["driver_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_driver_who_registers_may_charge_where_it_is_public() {
    let system = System::start().await;
    let station = system.station("public").await;
    let ada = driver(&system.platform, "ada").await;
    let token = ada.created("/api/v1/me/tokens", &json!({})).await;
    system.decides(name(&token), "allowed").await;
    // The station closes, and its list decides.
    let closed = system.platform.patch(station.place(), station.etag(), &json!({"access": "list"})).await;
    system.decides(name(&token), "not_allowed").await;
    let access = format!("/api/v1/stations/{STATION}/access/{}", token.id());
    let granted = Answer::to(system.platform.request(Method::PUT, &access)).await;
    assert_eq!((granted.status, &granted.body["token_id"]), (200, &json!(token.id())), "{}", granted.text);
    system.decides(name(&token), "allowed").await;
    let listed = system.platform.get(&format!("/api/v1/stations/{STATION}/access")).await;
    assert_eq!(listed.body["items"][0]["token_id"], token.id());
    let taken = Answer::to(system.platform.request(Method::DELETE, &access)).await;
    assert_eq!(taken.status, 204, "{}", taken.text);
    system.decides(name(&token), "not_allowed").await;
    // It opens again, and goes.
    let opened = system.platform.patch(station.place(), closed.etag(), &json!({"access": "public"})).await;
    system.decides(name(&token), "allowed").await;
    assert_eq!(system.platform.delete(station.place(), opened.etag()).await.status, 204);
    system.decides(name(&token), "not_allowed").await;
}

#[tokio::test]
async fn a_blocked_account_and_a_blocked_token_may_not_charge() {
    let system = System::start().await;
    system.station("public").await;
    let ada = driver(&system.platform, "ada").await;
    let token = ada.created("/api/v1/me/tokens", &json!({})).await;
    let card = json!({"uid": "04A1", "user_id": ada.id, "whitelist": "always"});
    let card = system.platform.created("/api/v1/tokens", &card).await;
    system.decides(name(&token), "allowed").await;
    system.decides(name(&card), "allowed").await;
    let block = async |status: &str| {
        let request = system.platform.request(Method::PATCH, &format!("/api/v1/users/{}", ada.id));
        let answer = Answer::to(request.json(&json!({"status": status, "reason": "a test"}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    block("blocked").await;
    system.decides(name(&token), "not_allowed").await;
    system.decides(name(&card), "not_allowed").await;
    block("active").await;
    system.decides(name(&card), "allowed").await;
    let ada = ada.again().await;
    let blocked = ada.request(Method::PATCH, token.place()).json(&json!({"status": "blocked"}));
    assert_eq!(Answer::to(blocked).await.status, 200);
    system.decides(name(&token), "not_allowed").await;
    assert_eq!(
        Answer::to(ada.request(Method::DELETE, &format!("/api/v1/me/tokens/{}", card.id()))).await.status,
        204
    );
    system.decides(name(&card), "not_allowed").await;
}

#[tokio::test]
async fn a_store_that_was_emptied_is_written_anew() {
    let system = System::start().await;
    system.station("public").await;
    for number in 0..3 {
        system.platform.station(&format!("HAM-{number}")).await;
    }
    let ada = driver(&system.platform, "ada").await;
    let token = ada.created("/api/v1/me/tokens", &json!({})).await;
    system.decides(name(&token), "allowed").await;
    system.has(4, 2).await;
    let deployment = &system.platform.deployment;
    let mut redis = deployment.servers.redis().await;
    let keys: Vec<String> = redis.keys(format!("{}*", deployment.prefix)).await.unwrap();
    let _: () = redis.del(keys).await.unwrap();
    system.has(4, 2).await;
    system.decides(name(&token), "allowed").await;
    // What came back and should not be there is removed, when the version came back older.
    let stale =
        format!("{}/public-stations/{}", system.services.acl_url, "0195a1b2-0000-7000-8000-000000000001");
    deployment.http.put(stale).send().await.unwrap();
    let version = format!("{}/platform-version", system.services.acl_url);
    deployment.http.put(version).json(&json!({"version": 1})).send().await.unwrap();
    system.has(4, 2).await;
}

#[tokio::test]
async fn changes_wait_for_an_acl_service_that_is_away() {
    let mut system = System::start().await;
    system.station("public").await;
    let ada = driver(&system.platform, "ada").await;
    system.has(1, 1).await;
    let port = system.services.acl_url.rsplit(':').next().unwrap().to_owned();
    system.services.acl.signal(Signal::SIGKILL);
    system.services.acl.ended().await;
    let token = ada.created("/api/v1/me/tokens", &json!({})).await;
    system.platform.station("HAM-1").await;
    system.has_waiting("the changes to be counted", |changes| changes >= 2.0).await;
    let mut again = system.platform.deployment.clone().with("AUTHORIZATION_SERVICE_PORT", port);
    (system.services.acl, system.services.acl_url) = again.start_acl().await;
    system.has(2, 2).await;
    system.has_waiting("no change to wait any more", |changes| changes == 0.0).await;
    system.decides(name(&token), "allowed").await;
}

#[tokio::test]
async fn a_key_is_presented_where_acl_service_needs_one_and_the_trail_names_the_author() {
    let key = "vg_platform_5ec4e7000000000000000000000000000000000000000000";
    let mut deployment = Deployment::new().await.with("PLATFORM_ACL_KEY", key).with("API_KEYS", "required");
    let (_acl, _) = deployment.start_acl().await;
    let acl_url = deployment.environment["AUTHORIZATION_SERVICE_URL"].clone();
    let platform = Platform::of(deployment.with("RATE_LIMIT_ADDRESS_PER_SEC", 0)).await;
    let station = platform.created("/api/v1/stations", &json!({"id": STATION})).await;
    let http = platform.deployment.http.clone();
    let trail = async || {
        let request = http.get(format!("{acl_url}/audit?station_id={STATION}")).bearer_auth(key);
        let trail: Value = request.send().await.ok()?.json().await.ok()?;
        trail["entries"].as_array().filter(|entries| !entries.is_empty()).cloned()
    };
    // The first changes may be a part of writing both sets anew, for no one in particular.
    let first = eventually("the first change in the audit trail", trail).await;
    assert!(first.iter().all(|entry| entry["actor"] == "platform-api"), "{first:?}");
    let closed = platform.patch(station.place(), station.etag(), &json!({"access": "list"})).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    eventually("the change of the key in the audit trail", async || {
        let entries = trail().await?;
        entries.iter().any(|entry| entry["on_behalf_of"] == "key:admin").then_some(())
    })
    .await;
}

#[tokio::test]
async fn groups_of_stations_are_opened_by_the_token() {
    let system = System::start().await;
    let station = system.station("list").await;
    let ada = driver(&system.platform, "ada").await;
    let token = ada.created("/api/v1/me/tokens", &json!({})).await;
    let put = async |path: &str| Answer::to(system.platform.request(Method::PUT, path)).await;
    let group = put("/api/v1/access-groups/depot").await;
    assert_eq!((group.status, &group.body), (200, &json!({"name": "depot", "stations": 0, "tokens": 0})));
    let joined = put(&format!("/api/v1/access-groups/depot/stations/{}", station.id())).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let admitted = put(&format!("/api/v1/access-groups/depot/tokens/{}", token.id())).await;
    assert_eq!((admitted.status, &admitted.body["changed"]), (200, &json!(1)), "{}", admitted.text);
    system.decides(name(&token), "allowed").await;
    let stations = system.platform.get("/api/v1/access-groups/depot/stations").await;
    assert_eq!(stations.body["items"], json!([{"station_id": STATION}]));
    let tokens = system.platform.get("/api/v1/access-groups/depot/tokens").await;
    assert_eq!(tokens.body["items"][0]["token_id"], token.id());
    assert_eq!(system.platform.get("/api/v1/access-groups").await.body["items"], json!([{"name": "depot"}]));
    let dismiss = format!("/api/v1/access-groups/depot/tokens/{}", token.id());
    assert_eq!(Answer::to(system.platform.request(Method::DELETE, &dismiss)).await.status, 204);
    system.decides(name(&token), "not_allowed").await;
    let gone = Answer::to(system.platform.request(Method::DELETE, "/api/v1/access-groups/depot")).await;
    assert_eq!(gone.status, 204);
    assert_eq!(system.platform.get("/api/v1/access-groups/depot").await.refusal(), (404, "name"));
    assert_eq!(system.platform.get("/api/v1/access-groups/No%20Name").await.refusal(), (404, "name"));
    let unknown = put(&format!("/api/v1/access-groups/depot/tokens/{STATION}")).await;
    assert_eq!(unknown.refusal(), (404, "id"));
    // A driver may not.
    let refused = Answer::to(ada.request(Method::GET, "/api/v1/access-groups")).await;
    assert_eq!(refused.refusal(), (403, "authorization"));
}
