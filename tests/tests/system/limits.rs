//! Clients over their rate limit get a `retry-after`; slow or malformed requests do not hold a connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Response;
use serde_json::Value;
use tests::deployment::{Deployment, STATION};

const NOBODY: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn an_address_that_comes_too_often_is_told_when_to_come_again() {
    let deployment = Deployment::new()
        .await
        // So slow that a stalled test does not earn another request.
        .with("RATE_LIMIT_ADDRESS_PER_SEC", 1)
        .with("RATE_LIMIT_BURST_SEC", 60)
        .with("TRUSTED_PROXIES", "127.0.0.0/8");
    let (_api, api) = deployment.start_api().await;
    let ask = |from: &str| {
        deployment.http.get(format!("{api}/requests/{NOBODY}")).header("x-forwarded-for", from).send()
    };
    let first = ask("198.51.100.1").await.unwrap();
    assert_eq!((first.status().as_u16(), header(&first, "ratelimit-policy")), (404, "\"address\";q=60;w=60"));
    assert!(header(&first, "ratelimit").starts_with("\"address\";r=59;t=1"), "{first:?}");
    let mut refused = None;
    for _ in 0..1000 {
        let answer = ask("203.0.113.9, 198.51.100.1").await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("an answer 429");
    assert!(header(&refused, "ratelimit").starts_with("\"address\";r=0;t="), "{refused:?}");
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "x-content-type-options"), "nosniff");
    insta::assert_json_snapshot!("too_many", refused.json::<Value>().await.unwrap());
    assert_eq!(ask("198.51.100.2").await.unwrap().status(), 404, "another address has a bucket of its own");
    let health = deployment.http.get(format!("{api}/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200, "probes are not counted");
}

#[tokio::test]
async fn a_key_has_a_limit_of_its_own_wherever_it_comes_from() {
    let key = format!("vg_admin_{}", "7".repeat(48));
    let mut deployment = Deployment::new()
        .await
        .with("API_KEY_BOOTSTRAP", &key)
        .with("RATE_LIMIT_PER_SEC", 1)
        .with("RATE_LIMIT_BURST_SEC", 5);
    let (_acl, acl) = deployment.start_acl().await;
    let list = || deployment.http.get(format!("{acl}/station/{STATION}/acl"));
    let (mut good, mut refused) = (0, 0);
    while refused == 0 && good < 1000 {
        let answer = list().bearer_auth(&key).send().await.unwrap();
        match answer.status().as_u16() {
            200 => good += 1,
            status => {
                assert_eq!((status, header(&answer, "ratelimit-policy")), (429, "\"key\";q=5;w=5"));
                refused += 1;
            }
        }
    }
    assert!(good >= 5 && refused == 1, "{good}");
    assert_eq!(list().send().await.unwrap().status(), 200, "whoever has no key is not counted with it");
}

/// Everything received in answer to these bytes, until the connection is closed.
fn raw(base: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(tests::PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_or_is_none_is_not_waited_for() {
    let deployment = Deployment::new().await;
    let (_api, api) = deployment.start_api().await;
    let cases: [(&[u8], &str); 3] = [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-slow: ", "HTTP/1.1 408"),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
    ];
    for (request, expected) in cases {
        let api = api.clone();
        let answer = tokio::task::spawn_blocking(move || raw(&api, request)).await.unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
}
