//! platform-api requires credentials on every address, and strangers do not see all of a station.

use reqwest::Method;
use serde_json::{Value, json};
use tests::deployment::Deployment;
use tests::platform::{Answer, Platform, connector};

use super::keys::created;

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
