//! Slightly malformed bodies and queries: accepted as they are meant, or refused with the reason.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};

const UNTIL: &str = "2100-01-01T00:00:00Z";
/// Output of `printf '{}' | gzip -n`
const GZIP: &[u8] =
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

async fn refused(case: &str, request: RequestBuilder, status: u16, field: &str) -> String {
    let response = request.send().await.unwrap();
    let answered = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!((answered, problem["field"].as_str()), (status, Some(field)), "{case}: {problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unencoded_ampersand_does_not_silently_cut_a_callback_url() {
    let deployment = Deployment::new().await;
    let (_api, base) = deployment.start_api().await;
    let url = format!("{base}/station/{STATION}/driver/{DRIVER}/authorize");
    let cut = "callback_url=http://127.0.0.1:9/cb?a=1&b=2&c";
    let http = &deployment.http;
    let form = |body: &str| http.post(&url).header("content-type", FORM).body(body.to_owned());
    for (case, request, place) in [
        ("a query", http.get(format!("{url}?{cut}")), "query"),
        ("the query of a POST", http.post(format!("{url}?{cut}")), "query"),
        ("a form", form(cut), "body"),
    ] {
        let detail = refused(case, request, 400, place).await;
        assert!(detail.contains("`b`, `c`") && detail.contains("%26"), "{case}: {detail}");
    }
    let misspelt = http.get(format!("{url}?callback_uri=http://127.0.0.1:9/cb"));
    assert!(refused("misspelt", misspelt, 400, "query").await.contains("`callback_uri`"));
    for blank in ["http://127.0.0.1:9/cb?a=1+2", "http://127.0.0.1:9/a%20b"] {
        let detail =
            refused(blank, http.get(format!("{url}?callback_url={blank}")), 400, "callback_url").await;
        assert!(detail.contains("it contains a space, at character") && detail.contains("%2B"), "{detail}");
    }
    let encoded = http.get(format!("{url}?callback_url=http://127.0.0.1:9/cb?a=1%26b=2%2B3"));
    assert_eq!(encoded.send().await.unwrap().status(), 202);
    let encoded = form("callback_url=http%3A%2F%2F127.0.0.1%3A9%2Fcb%3Fa%3D1%26b%3D2");
    assert_eq!(encoded.send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_and_a_compressed_body_refused() {
    let mut deployment = Deployment::new().await;
    let ((_acl, acl), (_api, api)) = (deployment.start_acl().await, deployment.start_api().await);
    let http = &deployment.http;
    assert!(http.put(format!("{acl}/groups/north")).send().await.unwrap().status().is_success());
    let pair = json!({"station_id": STATION, "driver_token": DRIVER});
    let other = "223e4567-e89b-12d3-a456-426614174000";
    let line = format!("{STATION},{STRANGER},,{UNTIL}\n");
    let until = json!({ "until": UNTIL }).to_string();
    let bodies = [
        (
            "POST",
            format!("{api}/station/{STATION}/driver/{DRIVER}/authorize"),
            JSON,
            json!({"callback_url": "http://127.0.0.1:9/"}).to_string(),
        ),
        (
            "POST",
            format!("{api}/station/{STATION}/driver/{DRIVER}/authorize"),
            FORM,
            "callback_url=http://127.0.0.1:9/".to_owned(),
        ),
        ("PUT", format!("{acl}/station/{STATION}/driver/{DRIVER}/acl"), JSON, until.clone()),
        ("PUT", format!("{acl}/station/{STATION}/acl"), JSON, json!({"driver_tokens": [DRIVER]}).to_string()),
        ("POST", format!("{acl}/station/{STATION}/acl/copy"), JSON, json!({"to": other}).to_string()),
        ("POST", format!("{acl}/acl/check"), JSON, json!({"pairs": [pair]}).to_string()),
        ("PUT", format!("{acl}/groups/north/drivers/{DRIVER}"), JSON, until),
        ("POST", format!("{acl}/acl/import"), "text/csv", line),
        ("POST", format!("{acl}/acl/import"), "application/x-ndjson", pair.to_string()),
    ];
    for (method, url, kind, body) in bodies {
        let with = |body: Vec<u8>| {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            http.request(method, &url).header("content-type", kind).body(body)
        };
        let marked = with(["\u{feff}".as_bytes(), body.as_bytes()].concat()).send().await.unwrap();
        let (status, answer) = (marked.status(), marked.text().await.unwrap());
        assert!(
            status.is_success() && !answer.contains("\"refused\":1"),
            "{method} {url}: {status} {answer}"
        );
        for coding in ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip"] {
            let compressed = with(GZIP.to_vec()).header("content-encoding", coding);
            let detail = refused(&url, compressed, 415, "content-encoding").await;
            assert!(detail.contains("compressed"), "{detail}");
        }
        let plain = with(body.into_bytes()).header("content-encoding", "identity").send().await.unwrap();
        assert!(plain.status().is_success(), "{method} {url}: {}", plain.status());
        if !url.ends_with("import") {
            refused(&url, with(GZIP.to_vec()), 415, "content-encoding").await;
        }
    }
}

#[tokio::test]
async fn an_unknown_field_in_a_list_change_is_refused_by_name() {
    let mut deployment = Deployment::new().await;
    let (_acl, acl) = deployment.start_acl().await;
    let http = &deployment.http;
    assert!(http.put(format!("{acl}/groups/north")).send().await.unwrap().status().is_success());
    let (entry, list) =
        (format!("/station/{STATION}/driver/{DRIVER}/acl"), format!("/station/{STATION}/acl"));
    let driver = format!("/groups/north/drivers/{DRIVER}");
    let tokens = format!("\"driver_tokens\": [\"{DRIVER}\"]");
    let pair = format!("\"station_id\": \"{STATION}\", \"driver_token\": \"{DRIVER}\"");
    let cases = [
        ("PUT", entry.clone(), format!("{{\"untill\": \"{UNTIL}\"}}"), "body", "`untill`"),
        (
            "PUT",
            entry.clone(),
            format!("{{\"until\": \"{UNTIL}\", \"until\": null}}"),
            "body",
            "duplicate member `until`",
        ),
        ("PUT", format!("{entry}?until={UNTIL}"), String::new(), "query", "`until`"),
        ("PUT", list.clone(), format!("{{{tokens}, \"until\": \"{UNTIL}\"}}"), "body", "`until`"),
        ("PUT", format!("{list}?until={UNTIL}"), format!("{{{tokens}}}"), "query", "`until`"),
        ("PUT", driver.clone(), format!("{{\"Until\": \"{UNTIL}\"}}"), "body", "`Until`"),
        ("PUT", format!("{driver}?until={UNTIL}"), String::new(), "query", "`until`"),
        (
            "POST",
            format!("{list}/copy"),
            format!("{{\"to\": \"{STATION}\", \"mod\": \"replace\"}}"),
            "body",
            "`mod`",
        ),
        (
            "POST",
            format!("{list}/copy?mode=replace"),
            format!("{{\"to\": \"{STATION}\"}}"),
            "query",
            "`mode`",
        ),
        ("POST", "/acl/check".to_owned(), format!("{{\"pairs\": [{{{pair}, \"at\": 1}}]}}"), "body", "`at`"),
        ("POST", "/acl/check".to_owned(), "{\"pairs\": [], \"at\": 1}".to_owned(), "body", "`at`"),
        ("POST", "/acl/import?mod=remove".to_owned(), format!("{STATION},{DRIVER}"), "query", "`mod`"),
        ("GET", format!("{list}?serach=abc"), String::new(), "query", "`serach`"),
        ("GET", format!("/audit?station={STATION}"), String::new(), "query", "`station`"),
    ];
    for (method, path, body, field, named) in cases {
        let request =
            http.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap(), format!("{acl}{path}"));
        let kind = if path.contains("import") { "text/csv" } else { JSON };
        let detail = refused(&path, request.header("content-type", kind).body(body), 400, field).await;
        assert!(detail.contains(named), "{path}: {detail}");
    }
    let listed: Value = http.get(format!("{acl}{list}")).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["size"], 0, "{listed}");
}
