//! charge-service's endpoints, called with Python's `requests`, as its clients do.

use serde_json::Value;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};
use tests::eventually;

use super::python::python;

/// Sends every request of a client, and prints each answer on one line.
const CLIENT: &str = r#"
import datetime, json, requests, sys
api, station, driver, stranger, url = sys.argv[2:]
asked = dict(station_id=station, driver_token=driver, callback_url=url + "/ok/asked")

def tell(name, response):
    assert response.headers["content-type"].startswith("application/json"), response.headers
    print(json.dumps([name, response.status_code, response.json()]), flush=True)

def validate(name, **request):
    response = requests.post(api + "/api/chargingRequestValidator/", **request)
    assert ("location" in response.headers) == (response.json()["status"] == "accepted"), response.headers
    tell(name, response)

def insert(name, **request):
    tell(name, requests.post(api + "/api/insertACL/", **request))

def check(name, age, **changed):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=age)
    body = dict(asked, callback_url=url + "/ok/check", request_time=moment.isoformat()) | changed
    tell(name, requests.post(api + "/api/checkauthority/", json=body))

insert("a new entry", json=dict(station_id=station, driver_token=driver))
insert("the same entry", data=dict(station_id=station, driver_token=driver))
insert("no station", json=dict(driver_token=driver))
insert("a short token", json=dict(station_id=station, driver_token="short"))
insert("no JSON", data="{", headers={"content-type": "application/json"})
validate("as JSON", json=asked)
validate("as a form", data=dict(asked, driver_token=stranger))
validate("a bad station", json=dict(asked, station_id="7"))
validate("all is bad", json=dict(station_id=7, driver_token=None, callback_url=[]))
validate("a short token", json=dict(asked, driver_token="short"))
validate("no callback", json=dict(station_id=station, driver_token=driver))
validate("a forbidden callback", json=dict(asked, callback_url="http://10.0.0.1/"))
validate("no JSON", data="{", headers={"content-type": "application/json"})
validate("a list", json=[1])
check("an admitted driver", 0)
check("in a queue for a while", 29)
check("another driver", 0, driver_token=stranger)
check("too old", 31)
check("no moment", 0, request_time="soon")
check("no driver", 0, driver_token="")
"#;

#[tokio::test]
async fn a_client_of_charge_service_is_served_as_by_the_original() {
    let mut deployment = Deployment::new().await.with("CHARGE_SERVICE_API", true);
    let services = deployment.start().await;
    let host = CallbackHost::start().await;
    let arguments = [&services.api_url, STATION, DRIVER, STRANGER, &host.url("")];
    let output = python(&deployment, CLIENT, &arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    insta::assert_json_snapshot!("charge_service", answers);
    let log = eventually("every request to be in the log", async || {
        let log: Vec<Value> = get(&deployment, &services.api_url, "getrequestlog/").await;
        (log.len() == 6).then_some(log)
    })
    .await;
    let mut decisions: Vec<&str> = log.iter().map(|entry| entry["decision"].as_str().unwrap()).collect();
    // The oldest entry is the request that was too old, followed by the one that had waited in a queue.
    assert_eq!(decisions[..2], ["unknown", "allowed"]);
    decisions.sort_unstable();
    assert_eq!(decisions, ["allowed", "allowed", "allowed", "not_allowed", "not_allowed", "unknown"]);
    let ids: Vec<String> = log.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    host.all_of(&ids).await;
    let mut entry = log[1].clone();
    for changing in ["callback_url", "request_time", "decision_time"] {
        let text = entry[changing].as_str().unwrap();
        entry[changing] = text.replace(|digit: char| digit.is_ascii_digit(), "9").into();
    }
    entry["id"] = "the request's".into();
    insta::assert_json_snapshot!("charge_service_log", entry);
}

#[tokio::test]
async fn the_api_is_off_by_default_and_entries_name_the_caller() {
    let mut deployment = Deployment::new().await;
    let (_off, url) = deployment.start_api().await;
    assert_eq!(deployment.http.get(format!("{url}/api/getrequestlog/")).send().await.unwrap().status(), 404);

    let (admin, client) = (key("admin"), key("client"));
    deployment = deployment
        .with("CHARGE_SERVICE_API", true)
        .with("API_KEYS", "required")
        .with("API_KEY_BOOTSTRAP", &admin)
        .with("AUTHORIZATION_SERVICE_KEY", &client);
    let (_acl, acl) = deployment.start_acl().await;
    let (_api, api) = deployment.start_api().await;
    let body = serde_json::json!({ "station_id": STATION, "driver_token": DRIVER });
    let insert = || deployment.http.post(format!("{api}/api/insertACL/")).json(&body);
    assert_eq!(insert().send().await.unwrap().status(), 401);
    let inserted: Value = insert().bearer_auth(&admin).send().await.unwrap().json().await.unwrap();
    assert_eq!(inserted["flag"], "success");
    let audit = deployment.http.get(format!("{acl}/audit")).bearer_auth(&admin);
    let audit: Value = audit.send().await.unwrap().json().await.unwrap();
    assert_eq!(audit["entries"][0]["actor"], "API_KEY_BOOTSTRAP", "{audit}");
}

#[tokio::test]
async fn without_acl_service_an_entry_is_an_error() {
    let deployment = Deployment::new()
        .await
        .with("CHARGE_SERVICE_API", true)
        .with("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:9");
    let (_api, api) = deployment.start_api().await;
    let body = serde_json::json!({ "station_id": STATION, "driver_token": DRIVER });
    let answer = deployment.http.post(format!("{api}/api/insertACL/")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["flag"], "error");
}

async fn get<T: serde::de::DeserializeOwned>(deployment: &Deployment, api: &str, path: &str) -> T {
    let answer = deployment.http.get(format!("{api}/api/{path}")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("its body")
}

fn key(id: &str) -> String {
    format!("vg_{id}_{}", "s3cr3t5ecr3t".repeat(4))
}
