//! Who may use platform-api: every route of its document with every kind of key, and what strangers do not see.

use reqwest::Method;
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::platform::{Answer, KEY, Platform, connector};

use super::keys::created;

const SCOPES: [&str; 7] =
    ["authorize", "read", "acl", "admin", "platform:read", "platform:operate", "platform:admin"];
const NOTHING: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";

/// A method and a path of the document, and the scopes that it names; none if it is open.
struct Route {
    method: Method,
    path: String,
    scopes: Vec<String>,
    /// Keys are not looked at.
    of_service: bool,
}

async fn routes(platform: &Platform) -> Vec<Route> {
    let document = Answer::to(platform.stranger(Method::GET, "/openapi.json")).await.body;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let of_service = operation["tags"] == json!(["service"]);
            assert_eq!(operation.get("security").is_none(), of_service, "{method} {path}");
            let requirements = operation["security"].as_array().into_iter().flatten();
            let scopes = requirements.flat_map(|requirement| requirement.as_object().unwrap().values());
            let scopes: Vec<String> = scopes.map(|scopes| scopes[0].as_str().unwrap().to_owned()).collect();
            let filled = path.replace("{station_id}", NOTHING).replace("{location_id}", NOTHING);
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push(Route { method, path: filled.replace("{file}", "index.css"), scopes, of_service });
        }
    }
    routes
}

/// The status of the answer's head: a stream has no end.
async fn status(platform: &Platform, route: &Route, key: Option<&str>) -> u16 {
    let mut request = platform.stranger(route.method.clone(), &route.path);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_route_admits_the_scopes_that_its_document_names() {
    let platform = Platform::start().await;
    let mut keys = Vec::new();
    for scope in SCOPES {
        keys.push((scope, created(&platform.deployment, scope, &[]).await.0));
    }
    let (mut open, mut guarded) = (0, 0);
    for route in routes(&platform).await {
        let case = format!("{} {}", route.method, route.path);
        let without = status(&platform, &route, None).await;
        let wrong = status(&platform, &route, Some(&KEY.replace("5ec4e7", "000000"))).await;
        let unknown = status(&platform, &route, Some(&KEY.replace("admin", "unknown"))).await;
        if route.scopes.is_empty() {
            open += 1;
            assert!(![401, 403].contains(&without), "{case}: {without}");
        } else {
            guarded += 1;
            assert_eq!(without, 401, "{case}");
        }
        assert_eq!((wrong == 401, unknown == 401), (!route.of_service, !route.of_service), "{case}");
        for (scope, key) in &keys {
            let answered = status(&platform, &route, Some(key)).await;
            let admitted = route.scopes.is_empty()
                || *scope == "platform:admin"
                || route.scopes.iter().any(|sufficient| sufficient == scope);
            assert_eq!(answered == 403, !admitted, "{case} with {scope}: {answered}");
            assert_ne!(answered, 401, "{case} with {scope}");
        }
    }
    assert!(open >= 10 && guarded >= 9, "{open} open, {guarded} guarded");
}

#[tokio::test]
async fn a_key_is_required_on_loopback_whatever_api_keys_says() {
    for mode in ["", "optional", "off", "required"] {
        let platform = Platform::of(Deployment::new().await.with("API_KEYS", mode)).await;
        let create = platform.stranger(Method::POST, "/api/v1/locations").json(&json!({}));
        assert_eq!(Answer::to(create).await.refusal(), (401, "authorization"), "API_KEYS={mode}");
        assert_eq!(Answer::to(platform.stranger(Method::GET, "/api/v1/locations")).await.status, 200);
    }
}

#[tokio::test]
async fn strangers_do_not_see_the_charger_and_cannot_find_by_it() {
    let platform = Platform::start().await;
    let location = platform.location("Harbour garage").await;
    let station = json!({
        "location_id": location.id(), "charger": "ZEBRA-0001", "name": "Left",
        "evses": [{"connectors": [connector(150_000)]}],
    });
    let station = platform.created("/api/v1/stations", &station).await;
    let hidden = ["charger", "vendor", "model", "firmware", "last_seen"];
    let read = created(&platform.deployment, "platform:read", &[]).await.0;
    let core = created(&platform.deployment, "admin", &[]).await.0;
    let as_caller = async |key: Option<&str>, path: &str| {
        let request = platform.stranger(Method::GET, path);
        let answer = Answer::to(match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        });
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body
    };
    for (key, sees) in [(None, false), (Some(core.as_str()), false), (Some(read.as_str()), true)] {
        let shows = |shown: &Value| {
            for name in hidden {
                assert_eq!(shown.get(name).is_some(), sees, "{name} with {key:?}: {shown}");
            }
            assert_eq!(shown["name"], "Left");
        };
        shows(&as_caller(key, station.place()).await);
        shows(&as_caller(key, "/api/v1/stations").await["items"][0]);
        let found = as_caller(key, "/api/v1/stations?charger=ZEBRA-0001").await;
        assert_eq!(found["items"].as_array().unwrap().len(), usize::from(sees));
        for search in ["?q=zebra", "?q=harbour%20zebra", "?q=0001&near=53.54,9.98"] {
            let found = as_caller(key, &format!("/api/v1/locations{search}")).await;
            assert_eq!(found["items"].as_array().unwrap().len(), usize::from(sees), "{search} {key:?}");
        }
        let found = as_caller(key, "/api/v1/locations?q=harbour").await;
        assert_eq!(found["items"][0]["id"], location.id());
        assert!(!found.to_string().contains("ZEBRA"));
    }
}
