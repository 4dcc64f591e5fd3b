//! Invalid input is refused with a problem+json whose `field` names the cause.

use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION};

#[tokio::test]
async fn every_refusal_names_its_culprit() {
    let deployment = Deployment::new().await;
    let (_api, base) = deployment.start_api().await;
    let http = &deployment.http;
    let good = format!("{base}/station/{STATION}/driver/{DRIVER}/authorize");
    let callback = "callback_url=http://127.0.0.1:9/cb";
    let json_body =
        |text: &'static str| http.post(&good).header("content-type", "application/json").body(text);
    let cases = [
        ("bad station", http.get(format!("{base}/station/7/driver/{DRIVER}/authorize?{callback}"))),
        ("no station", http.get(format!("{base}/station//driver/{DRIVER}/authorize?{callback}"))),
        ("no callback", http.get(&good)),
        ("malformed callback", http.get(format!("{good}?callback_url=nonsense"))),
        ("wrong scheme", http.get(format!("{good}?callback_url=ftp://example.com/"))),
        ("private address", http.get(format!("{good}?callback_url=http://10.0.0.1/"))),
        ("forbidden port", http.get(format!("{good}?callback_url=http://example.com:25/"))),
        ("two callbacks", http.get(format!("{good}?{callback}&callback_url=http://127.0.0.1:9/other"))),
        ("wrong method", http.delete(format!("{good}?{callback}"))),
        ("not JSON", json_body("{\"callback_url\"")),
        ("not an object", json_body("[1]")),
        ("not a string", json_body("{\"callback_url\": 7}")),
        ("unknown type", http.post(&good).header("content-type", "text/plain").body("x")),
        (
            "too large",
            http.post(&good).header("content-type", "application/json").body("x".repeat(16 * 1024 + 1)),
        ),
        ("unknown path", http.get(format!("{base}/nowhere"))),
        ("unknown request", http.get(format!("{base}/requests/01a1fdc4-3193-72e3-bff0-3fbc4117778f"))),
        ("bad request id", http.get(format!("{base}/requests/7"))),
        ("empty key", http.post(format!("{good}?{callback}")).header("idempotency-key", "")),
        ("long path", http.get(format!("{good}?{callback}&x={}", "x".repeat(9000)))),
    ];
    let mut answers = Vec::new();
    for (case, request) in cases {
        let response = request.send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(content_type, "application/problem+json", "{case}");
        let body: Value = response.json().await.unwrap();
        answers.push(json!({ "case": case, "answer": body }));
    }
    insta::assert_json_snapshot!(answers);
}

#[tokio::test]
async fn a_malformed_token_is_accepted_because_its_answer_is_a_callback() {
    let deployment = Deployment::new().await;
    let (_api, base) = deployment.start_api().await;
    for token in ["short", "", "%20", "with%2Fslash", "%FF%00", "x".repeat(2000).as_str()] {
        let url =
            format!("{base}/station/{STATION}/driver/{token}/authorize?callback_url=http://127.0.0.1:9/cb");
        let response = deployment.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 202, "{token}");
    }
}

#[tokio::test]
async fn a_body_of_exactly_16_kib_is_read() {
    let deployment = Deployment::new().await;
    let (_api, base) = deployment.start_api().await;
    let body =
        format!("{{\"callback_url\": \"http://127.0.0.1:9/cb\", \"x\": \"{}\"}}", "x".repeat(16 * 1024 - 50));
    assert_eq!(body.len(), 16 * 1024);
    let request = deployment.http.post(format!("{base}/station/{STATION}/driver/{DRIVER}/authorize"));
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(response.status(), 202);
}
