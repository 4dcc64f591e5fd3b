//! Bulk changes, entries with a validity, groups and the audit trail over HTTP and the command line, on each store.

use std::collections::BTreeSet;

use redis::AsyncCommands;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};
use tests::eventually;
use tests::process::{Process, program};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::process::Command;

pub(super) const OTHER: &str = "223e4567-e89b-12d3-a456-426614174000";

/// An acl-service on one of the stores.
pub(super) struct Acl {
    pub(super) kind: &'static str,
    process: Option<Process>,
    pub(super) base: String,
    deployment: Deployment,
    _directory: TempDir,
}

pub(super) async fn each() -> Vec<Acl> {
    let mut all = Vec::new();
    for kind in ["redis", "embedded"] {
        let directory = tempfile::tempdir().unwrap();
        let mut deployment = Deployment::new().await;
        if kind == "embedded" {
            deployment = deployment.with("REDIS_URL", format!("embedded:{}", directory.path().display()));
        }
        let (process, base) = deployment.start_acl().await;
        all.push(Acl { kind, process: Some(process), base, deployment, _directory: directory });
    }
    all
}

impl Acl {
    pub(super) fn at(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.deployment.http.request(method, format!("{}{path}", self.base))
    }

    pub(super) async fn ok(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{}: {status}: {body}", self.kind);
        body
    }

    /// What `voltgate acl` prints.
    pub(super) async fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(program("voltgate"));
        command.args(["acl", "--acl", &self.base]).args(arguments);
        let output = command.env_clear().current_dir(std::env::temp_dir()).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills it and starts another one; on Redis it starts two.
    async fn killed_and_replaced(&mut self) -> Option<Process> {
        self.process.take().unwrap().kill().await;
        let (process, base) = self.deployment.start_acl().await;
        (self.process, self.base) = (Some(process), base);
        // An embedded directory belongs to one process.
        if self.kind == "redis" { Some(self.deployment.start_acl().await.0) } else { None }
    }

    pub(super) async fn is_in(&self, station: &str, driver: &str) -> bool {
        self.ok(self.at("GET", &entry(station, driver))).await["allowed"] == json!(true)
    }

    pub(super) async fn list(&self, station: &str) -> BTreeSet<String> {
        let page = self.ok(self.at("GET", &format!("/station/{station}/acl?limit=1000"))).await;
        assert_eq!(page["cursor"], Value::Null);
        page["driver_tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn audit(&self, query: &str) -> Vec<Value> {
        let page = self.ok(self.at("GET", &format!("/audit?{query}"))).await;
        page["entries"].as_array().unwrap().clone()
    }

    /// Status and body of the answer to an import.
    pub(super) async fn try_import(&self, kind: &str, body: String) -> (u16, Value) {
        let request = self.at("POST", "/acl/import").header("content-type", kind).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(super) async fn import(&self, mode: &str, kind: &str, body: String) -> Value {
        let request = self.at("POST", &format!("/acl/import?mode={mode}"));
        self.ok(request.header("content-type", kind).body(body)).await
    }
}

pub(super) fn entry(station: &str, driver: &str) -> String {
    format!("/station/{station}/driver/{driver}/acl")
}

fn list(station: &str) -> String {
    format!("/station/{station}/acl")
}

pub(super) fn token(number: usize) -> String {
    format!("driver-token-number-{number:06}")
}

pub(super) fn set(tokens: &[&str]) -> BTreeSet<String> {
    tokens.iter().map(|token| (*token).to_owned()).collect()
}

/// A time in the future, and its text form.
fn seconds_from_now(seconds: i64) -> (OffsetDateTime, String) {
    let at = OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    (at, at.format(&Rfc3339).unwrap())
}

#[tokio::test]
async fn an_entry_begins_and_ends_on_time_after_a_service_crash() {
    for mut acl in each().await {
        let ((begins, from), (ends, until)) = (seconds_from_now(2), seconds_from_now(5));
        let put = acl.at("PUT", &entry(STATION, DRIVER)).json(&json!({ "from": from, "until": until }));
        assert_eq!(acl.ok(put).await, json!({"success": true, "new_size": 0}), "{}", acl.kind);
        let timed = acl.ok(acl.at("GET", &format!("/station/{STATION}/acl/timed"))).await;
        assert_eq!(timed["entries"][0]["driver_token"], DRIVER, "{timed}");
        let _others = acl.killed_and_replaced().await;
        eventually("the entry to begin", async || acl.is_in(STATION, DRIVER).await.then_some(())).await;
        assert!(OffsetDateTime::now_utc() >= begins, "{}: too early", acl.kind);
        let shown = acl.ok(acl.at("GET", &list(STATION))).await;
        assert!(shown["times"][DRIVER]["until"].is_string(), "{shown}");
        eventually("the entry to end", async || {
            let asked = OffsetDateTime::now_utc();
            let allowed = acl.is_in(STATION, DRIVER).await;
            assert!(!(allowed && asked >= ends), "{}: allowed when it was over", acl.kind);
            (!allowed).then_some(())
        })
        .await;
        eventually("the set to be empty", async || {
            (acl.ok(acl.at("GET", &list(STATION))).await["size"] == 0).then_some(())
        })
        .await;
        let trail = acl.audit(&format!("station_id={STATION}&driver_token={DRIVER}")).await;
        let told: Vec<String> =
            trail.iter().map(|e| format!("{} {}", e["action"], e["changes"][0]["effect"])).collect();
        let expected = ["\"schedule\" \"remove\"", "\"schedule\" \"admit\"", "\"allow\" \"admit\""];
        assert_eq!(told, expected, "{}: each once, whoever did it", acl.kind);
    }
}

#[tokio::test]
async fn the_plain_set_stays_the_truth_for_other_programs() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let mut redis = deployment.servers.redis().await;
    let key = format!("{}station:{STATION}:allowlist", deployment.prefix);
    let allowed = async || -> Value {
        deployment
            .http
            .get(format!("{base}{}", entry(STATION, DRIVER)))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let () = redis.sadd(&key, DRIVER).await.unwrap();
    assert_eq!(allowed().await["allowed"], true);
    let () = redis.srem(&key, DRIVER).await.unwrap();
    assert_eq!(allowed().await["allowed"], false);
    let until = json!({"until": seconds_from_now(3600).1});
    deployment.http.put(format!("{base}{}", entry(STATION, DRIVER))).json(&until).send().await.unwrap();
    assert!(redis.sismember::<_, _, bool>(&key, DRIVER).await.unwrap());
    let () = redis.srem(&key, DRIVER).await.unwrap();
    assert_eq!(allowed().await["allowed"], false);
}

#[tokio::test]
async fn a_list_is_copied_with_its_times() {
    for acl in each().await {
        let until = json!({"until": "2100-01-01T00:00:00Z"});
        acl.ok(acl.at("PUT", &entry(STATION, DRIVER)).json(&until)).await;
        let from = json!({"from": "2100-01-01T00:00:00Z"});
        acl.ok(acl.at("PUT", &entry(STATION, &token(1))).json(&from)).await;
        let many: Vec<String> = (10..1210).map(token).collect();
        acl.ok(acl.at("PUT", &list(STATION)).json(&json!({ "driver_tokens": many }))).await;
        acl.ok(acl.at("PUT", &entry(OTHER, DRIVER))).await;
        acl.ok(acl.at("PUT", &entry(OTHER, STRANGER))).await;
        let copy = |mode: &str| {
            acl.at("POST", &format!("{}/copy", list(STATION))).json(&json!({"to": OTHER, "mode": mode}))
        };
        let copied = acl.ok(copy("add")).await;
        assert_eq!(
            copied,
            json!({"success": true, "added": 1201, "removed": 0, "new_size": 1202}),
            "{}",
            acl.kind
        );
        let copied = acl.ok(copy("replace")).await;
        assert_eq!(
            copied,
            json!({"success": true, "added": 1, "removed": 1, "new_size": 1201}),
            "{}",
            acl.kind
        );
        let timed = acl.ok(acl.at("GET", &format!("{}/timed", list(OTHER)))).await;
        assert_eq!(timed["entries"].as_array().unwrap().len(), 2, "{timed}");
        assert_eq!(acl.ok(copy("replace")).await["added"], 0, "{}: nothing is left to do", acl.kind);
    }
}

#[tokio::test]
async fn a_driver_of_a_group_is_admitted_at_each_of_its_stations() {
    for acl in each().await {
        let member = |what: &str, who: &str| format!("/groups/north/{what}/{who}");
        let group = acl.ok(acl.at("PUT", "/groups/north")).await;
        assert_eq!(group, json!({"name": "north", "stations": 0, "drivers": 0}), "{}", acl.kind);
        acl.ok(acl.at("PUT", &member("stations", STATION))).await;
        let admitted = acl.ok(acl.at("PUT", &member("drivers", DRIVER))).await;
        assert_eq!(admitted, json!({"success": true, "reached": 1, "changed": 1}));
        acl.ok(acl.at("PUT", &entry(OTHER, STRANGER))).await;
        let joined = acl.ok(acl.at("PUT", &member("stations", OTHER))).await;
        assert_eq!(joined, json!({"success": true, "reached": 1, "changed": 1}));
        assert_eq!(acl.list(OTHER).await, set(&[DRIVER, STRANGER]), "{}", acl.kind);
        let dismissed = acl.ok(acl.at("DELETE", &member("drivers", DRIVER))).await;
        assert_eq!(dismissed, json!({"success": true, "reached": 2, "changed": 2}));
        assert_eq!((acl.list(STATION).await, acl.list(OTHER).await), (set(&[]), set(&[STRANGER])));
        acl.ok(acl.at("PUT", &member("drivers", DRIVER))).await;
        acl.ok(acl.at("DELETE", &member("stations", OTHER))).await;
        acl.ok(acl.at("DELETE", "/groups/north")).await;
        assert_eq!(acl.list(STATION).await, set(&[DRIVER]), "{}: lists stay as they are", acl.kind);
        assert_eq!(acl.at("GET", "/groups/north").send().await.unwrap().status(), 404);
        assert_eq!(acl.ok(acl.at("GET", "/groups")).await, json!({"groups": [], "cursor": null}));
    }
}

#[tokio::test]
async fn bad_input_is_refused_by_name_and_changes_nothing() {
    for acl in each().await {
        let with = |method: &str, path: &str, body: Value| acl.at(method, path).json(&body);
        let cases = [
            (with("PUT", &entry(STATION, DRIVER), json!({"from": "soon"})), 400, "from"),
            (with("PUT", &entry(STATION, DRIVER), json!({"until": "2000-01-01T00:00:00Z"})), 400, "until"),
            (with("PUT", &entry(STATION, DRIVER), json!({"untill": "2100-01-01T00:00:00Z"})), 400, "body"),
            (acl.at("GET", &format!("{}?search=ab", list(STATION))), 400, "search"),
            (acl.at("GET", &format!("{}?search=a*b", list(STATION))), 400, "search"),
            (acl.at("GET", &format!("{}/timed?cursor=%20", list(STATION))), 400, "cursor"),
            (acl.at("GET", "/groups?search=north"), 400, "search"),
            (acl.at("POST", "/acl/import").body("x"), 415, "content-type"),
            (acl.at("POST", "/acl/import?mode=x").header("content-type", "text/csv"), 400, "mode"),
            (with("POST", &format!("{}/copy", list(STATION)), json!({"to": STATION})), 400, "to"),
            (
                with("POST", &format!("{}/copy", list(STATION)), json!({"to": OTHER, "mode": "x"})),
                400,
                "mode",
            ),
            (acl.at("PUT", "/groups/North"), 400, "name"),
            (acl.at("PUT", &format!("/groups/none/stations/{STATION}")), 404, "name"),
            (acl.at("GET", "/audit?cursor=x"), 400, "cursor"),
            (acl.at("GET", "/audit?station_id=x"), 400, "station_id"),
            (acl.at("GET", "/audit?driver_token=x"), 400, "driver_token"),
            (acl.at("GET", "/audit?from=x"), 400, "from"),
            (acl.at("GET", "/audit?to=x"), 400, "to"),
            (acl.at("GET", "/audit?limit=0"), 400, "limit"),
        ];
        for (request, status, field) in cases {
            let response = request.send().await.unwrap();
            let answered = response.status();
            let problem: Value = response.json().await.unwrap();
            assert_eq!(
                (answered.as_u16(), problem["field"].as_str()),
                (status, Some(field)),
                "{}: {problem}",
                acl.kind
            );
        }
        assert!(acl.audit("").await.is_empty() && acl.list(STATION).await.is_empty(), "{}", acl.kind);
    }
}

#[tokio::test]
async fn the_command_line_administers_lists() {
    let mut deployment = Deployment::new().await;
    let (_acl, base) = deployment.start_acl().await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(program("voltgate"));
        command.args(["acl", "--acl", &base]).args(arguments).env_clear().current_dir(std::env::temp_dir());
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut lines = "station_id,driver_token\n".to_owned();
    lines.extend((0..6000).map(|n| format!("{STATION},{}\n", token(n))));
    lines += "bad line\n";
    std::fs::write(file.path(), &lines).unwrap();
    let path = file.path().display().to_string();
    let (code, out, err) = run(&["import", &path]).await;
    assert_eq!(
        (code, out.as_str()),
        (Some(1), "6002 lines read: 6000 applied, 0 unchanged, 1 refused\n"),
        "{err}"
    );
    assert!(err.contains("line 6002: line: expected station_id,driver_token"), "{err}");
    let (code, out, _) = run(&["import", &path, "--remove", "--json"]).await;
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&out).unwrap();
    let counts = ["lines", "applied", "unchanged", "refused"].map(|name| report[name].as_u64());
    assert_eq!(counts, [6002, 6000, 0, 1].map(Some), "{report}");
    let (code, ..) = run(&["allow", STATION, DRIVER, "--until", "2100-01-01T00:00:00Z"]).await;
    assert_eq!(code, Some(0));
    let (_, out, _) = run(&["list", STATION, "--search", "driver_token"]).await;
    assert!(out.starts_with(DRIVER) && out.ends_with("until 2100-01-01T00:00:00Z\n"), "{out}");
    assert_eq!(run(&["copy", STATION, OTHER]).await.0, Some(0));
    assert_eq!(run(&["check", OTHER, DRIVER]).await.0, Some(0));
    for command in [vec!["create", "north"], vec!["join", "north", OTHER], vec!["allow", "north", STRANGER]] {
        let (code, _, err) = run(&[vec!["group"], command].concat()).await;
        assert_eq!(code, Some(0), "{err}");
    }
    assert_eq!(run(&["group", "stations", "north"]).await.1, format!("{OTHER}\n"));
    assert_eq!(run(&["check", OTHER, STRANGER]).await.0, Some(0));
    let (_, out, _) = run(&["audit", "--driver", STRANGER, "--json"]).await;
    let newest: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&newest["action"], &newest["address"]),
        (&json!("group_allow"), &json!("127.0.0.1")),
        "{out}"
    );
    let (code, _, err) = run(&["audit", "--from", "yesterday"]).await;
    assert!(code == Some(65) && err.contains("from"), "{code:?} {err}");
}
