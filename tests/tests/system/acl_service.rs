//! The access lists over HTTP.

use std::collections::BTreeSet;

use redis::AsyncCommands;
use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};

#[tokio::test]
async fn a_driver_is_added_answered_and_removed() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let http = &deployment.http;
    let entry = |driver: &str| format!("{base}/station/{STATION}/driver/{driver}/acl");
    let answer = async |request: reqwest::RequestBuilder| -> Value {
        request.send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(answer(http.get(entry(DRIVER))).await, json!({"allowed": false}));
    assert_eq!(answer(http.put(entry(DRIVER))).await, json!({"success": true, "new_size": 1}));
    assert_eq!(answer(http.put(entry(DRIVER))).await, json!({"success": true, "new_size": 1}));
    assert_eq!(answer(http.put(entry(STRANGER))).await, json!({"success": true, "new_size": 2}));
    assert_eq!(answer(http.get(entry(DRIVER))).await, json!({"allowed": true, "source": "list"}));
    let mut redis = deployment.servers.redis().await;
    let set: BTreeSet<String> =
        redis.smembers(format!("{}station:{STATION}:allowlist", deployment.prefix)).await.unwrap();
    assert_eq!(set, BTreeSet::from([DRIVER.to_owned(), STRANGER.to_owned()]));
    let pairs =
        [DRIVER, "nobody_driver_token_1234"].map(|d| json!({"station_id": STATION, "driver_token": d}));
    let check = http.post(format!("{base}/acl/check")).json(&json!({ "pairs": pairs }));
    assert_eq!(answer(check).await, json!({"allowed": [true, false]}));
    assert_eq!(answer(http.delete(entry(DRIVER))).await, json!({"success": true, "new_size": 1}));
    assert_eq!(answer(http.delete(entry(DRIVER))).await, json!({"success": true, "new_size": 1}));
}

#[tokio::test]
async fn a_long_list_is_added_at_once_and_read_page_by_page() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let http = &deployment.http;
    let list = format!("{base}/station/{STATION}/acl");
    let tokens: BTreeSet<String> =
        (0..2500).map(|number| format!("driver-token-number-{number:06}")).collect();
    let response = http.put(&list).json(&json!({ "driver_tokens": tokens })).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({"success": true, "added": 2500, "new_size": 2500}));
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page: Value =
            http.get(format!("{list}?limit=500&cursor={cursor}")).send().await.unwrap().json().await.unwrap();
        assert_eq!(page["size"], 2500);
        seen.extend(
            page["driver_tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()),
        );
        pages += 1;
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, tokens);
    assert!(pages >= 4, "{pages}");
}

#[tokio::test]
async fn malformed_input_is_refused_by_name_and_changes_nothing() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let http = &deployment.http;
    let list = format!("{base}/station/{STATION}/acl");
    let cases = [
        (http.put(format!("{base}/station/7/driver/{DRIVER}/acl")), 400, "station_id"),
        (http.put(format!("{base}/station/{STATION}/driver/short/acl")), 400, "driver_token"),
        (http.put(&list).json(&json!({"driver_tokens": [DRIVER, "short"]})), 400, "driver_tokens"),
        (http.put(&list).json(&json!([DRIVER])), 400, "driver_tokens"),
        (http.put(&list).body("{"), 400, "body"),
        (http.put(&list).body("x".repeat(1024 * 1024 + 1)), 413, "body"),
        (http.get(format!("{list}?limit=0")), 400, "limit"),
        (http.get(format!("{list}?cursor=x%20y")), 400, "cursor"),
        (
            http.post(format!("{base}/acl/check")).json(&json!({"pairs": [{"station_id": STATION}]})),
            400,
            "driver_token",
        ),
        (http.patch(&list), 405, "method"),
        (http.get(format!("{base}/nowhere")), 404, "path"),
    ];
    for (request, status, field) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{field}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["field"], field, "{problem}");
    }
    let page: Value = http.get(&list).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["size"], 0);
}
