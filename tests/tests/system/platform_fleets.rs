//! Fleets over HTTP: operators create them, payers see and manage their own, and drivers accept and leave.

use reqwest::Method;
use serde_json::json;
use tests::platform::{Answer, Platform};

use super::platform_cards::driver;

#[tokio::test]
async fn a_payer_manages_the_own_fleet_and_sees_no_other() {
    let platform = Platform::start().await;
    let (payer, ada, other) =
        (driver(&platform, "payer").await, driver(&platform, "ada").await, driver(&platform, "other").await);
    let refused = payer.post("/api/v1/fleets", &json!({"name": "Mine", "payer_id": payer.id})).await;
    assert_eq!(refused.refusal(), (403, "authorization"));
    let create = async |name: &str, payer: &str| {
        platform.created("/api/v1/fleets", &json!({"name": name, "payer_id": payer})).await
    };
    let (fleet, foreign) = (create("Taxis", &payer.id).await, create("Vans", &other.id).await);
    let seen = payer.get("/api/v1/fleets").await.body["items"].clone();
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["id"]), (1, &json!(fleet.id())));
    assert_eq!(payer.get(foreign.place()).await.refusal(), (404, "id"));
    assert_eq!(payer.get(&format!("{}/members", foreign.place())).await.refusal(), (404, "id"));
    assert_eq!(payer.get(&format!("{}/tokens", foreign.place())).await.refusal(), (404, "id"));
    // The invitation of the payer is accepted before it counts.
    let members = format!("{}/members", fleet.place());
    let invited = payer.created(&members, &json!({"username": "ADA"})).await;
    assert_eq!((&invited.body["status"], &invited.body["user_id"]), (&json!("invited"), &json!(ada.id)));
    let token = ada.get("/api/v1/me/tokens").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let place = format!("{}/tokens/{token}", fleet.place());
    let charge = async || Answer::to(payer.request(Method::PUT, &place)).await;
    assert_eq!(charge().await.refusal(), (409, "fleet_id"));
    let mine = ada.get("/api/v1/me/fleets").await.body["items"].clone();
    assert_eq!((&mine[0]["fleet_id"], &mine[0]["status"]), (&json!(fleet.id()), &json!("invited")));
    let accept = format!("/api/v1/me/fleets/{}/accept", fleet.id());
    assert_eq!(other.post(&accept, &json!({})).await.refusal(), (404, "id"));
    assert_eq!(Answer::to(ada.request(Method::POST, &accept)).await.body["status"], "active");
    assert_eq!(charge().await.body["fleet_id"], fleet.id());
    let tokens = payer.get(&format!("{}/tokens", fleet.place())).await.body["items"].clone();
    assert_eq!((tokens.as_array().unwrap().len(), &tokens[0]["id"]), (1, &json!(token)));
    // A token of who is no member does not exist for the payer.
    let theirs = other.get("/api/v1/me/tokens").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let theirs = Answer::to(payer.request(Method::PUT, &format!("{}/tokens/{theirs}", fleet.place()))).await;
    assert_eq!(theirs.refusal(), (404, "id"));
    assert_eq!(platform.delete(fleet.place(), fleet.etag()).await.refusal(), (409, "members"));
    // Who leaves takes the tokens along.
    let leave = format!("/api/v1/me/fleets/{}", fleet.id());
    assert_eq!(Answer::to(ada.request(Method::DELETE, &leave)).await.status, 204);
    assert_eq!(ada.get(&leave).await.refusal(), (404, "id"));
    assert_eq!(payer.get(&format!("{}/tokens", fleet.place())).await.body["items"], json!([]));
    // By an operator a member is one at once.
    let added = platform.created(&members, &json!({"user_id": ada.id})).await;
    assert_eq!(added.body["status"], "active");
    assert_eq!(payer.get(added.place()).await.body, added.body);
    assert_eq!(Answer::to(payer.request(Method::DELETE, added.place())).await.status, 204);
    let changed = platform.patch(fleet.place(), fleet.etag(), &json!({"vat_id": "DE123456789"})).await;
    assert_eq!(changed.body["vat_id"], "DE123456789");
    assert_eq!(
        platform.patch(fleet.place(), "*", &json!({"vat_id": "de 1"})).await.refusal(),
        (400, "vat_id")
    );
    let unknown = platform.post("/api/v1/fleets", &json!({"name": "X", "payer_id": fleet.id()})).await;
    assert_eq!(unknown.refusal(), (409, "payer_id"));
    assert_eq!(platform.delete(fleet.place(), "*").await.status, 204);
}
