//! Public stations, members and their version over HTTP, and for whom a change was made, on each store.

use serde_json::{Value, json};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION, STRANGER};

use super::acl_administration::{OTHER, each, entry};

const LATER: &str = "2100-01-01T00:00:00Z";

fn public(station: &str) -> String {
    format!("/public-stations/{station}")
}

fn member(token: &str) -> String {
    format!("/members/{token}")
}

#[tokio::test]
async fn a_member_may_charge_at_a_public_station() {
    for acl in each().await {
        let shown = acl.ok(acl.at("GET", &public(STATION))).await;
        assert_eq!(shown, json!({"station_id": STATION, "public": false}), "{}", acl.kind);
        for _ in 0..2 {
            let made = acl.ok(acl.at("PUT", &public(&STATION.to_uppercase()))).await;
            assert_eq!(made, json!({"station_id": STATION, "public": true}), "{}", acl.kind);
        }
        assert_eq!(
            acl.ok(acl.at("GET", &public(STATION))).await,
            json!({"station_id": STATION, "public": true})
        );
        assert!(!acl.is_in(STATION, DRIVER).await, "{}: no member", acl.kind);
        let made = acl.ok(acl.at("PUT", &member(DRIVER)).json(&json!({"until": LATER}))).await;
        assert_eq!(made, json!({"driver_token": DRIVER, "member": true, "until": LATER}), "{}", acl.kind);
        assert_eq!(acl.ok(acl.at("GET", &member(DRIVER))).await, made, "{}", acl.kind);
        let check = acl.ok(acl.at("GET", &entry(STATION, DRIVER))).await;
        assert_eq!(check, json!({"allowed": true, "source": "public"}), "{}", acl.kind);
        let other_case = DRIVER.to_uppercase();
        let pairs = [(STATION, DRIVER), (STATION, STRANGER), (OTHER, DRIVER), (STATION, &other_case)];
        let pairs = pairs.map(|(at, who)| json!({"station_id": at, "driver_token": who}));
        let many = || acl.at("POST", "/acl/check").json(&json!({ "pairs": pairs }));
        assert_eq!(acl.ok(many()).await, json!({"allowed": [true, false, false, false]}), "{}", acl.kind);
        assert!(acl.list(STATION).await.is_empty(), "{}: the list has entries only", acl.kind);
        acl.ok(acl.at("PUT", &entry(STATION, DRIVER))).await;
        let check = acl.ok(acl.at("GET", &entry(STATION, DRIVER))).await;
        assert_eq!(check, json!({"allowed": true, "source": "list"}), "{}", acl.kind);
        acl.ok(acl.at("DELETE", &entry(STATION, DRIVER))).await;
        let made = acl.ok(acl.at("PUT", &member(DRIVER))).await;
        assert_eq!(made, json!({"driver_token": DRIVER, "member": true}), "{}: without its end", acl.kind);
        for _ in 0..2 {
            let gone = acl.ok(acl.at("DELETE", &member(DRIVER))).await;
            assert_eq!(gone, json!({"driver_token": DRIVER, "member": false}), "{}", acl.kind);
        }
        assert!(!acl.is_in(STATION, DRIVER).await, "{}", acl.kind);
        let gone = acl.ok(acl.at("DELETE", &public(STATION))).await;
        assert_eq!(gone, json!({"station_id": STATION, "public": false}), "{}", acl.kind);
    }
}

#[tokio::test]
async fn both_sets_are_changed_in_bulk_and_listed() {
    for acl in each().await {
        let post = |path: &str, body: Value| acl.at("POST", path).json(&body);
        let done = acl.ok(post("/public-stations", json!({"add": [STATION, OTHER]}))).await;
        assert_eq!(done, json!({"success": true, "added": 2, "removed": 0}), "{}", acl.kind);
        let done = acl.ok(post("/public-stations", json!({"add": [STATION], "remove": [OTHER]}))).await;
        assert_eq!(done, json!({"success": true, "added": 0, "removed": 1}), "{}", acl.kind);
        let listed = acl.ok(acl.at("GET", "/public-stations?cursor=&limit=10")).await;
        assert_eq!(listed, json!({"station_ids": [STATION], "cursor": null}), "{}", acl.kind);
        let add = json!([{"driver_token": DRIVER}, {"driver_token": STRANGER, "until": LATER},
            {"driver_token": "ended_driver_token_12345", "until": "2000-01-01T00:00:00Z"}]);
        let done = acl.ok(post("/members", json!({ "add": add }))).await;
        assert_eq!(done, json!({"success": true, "added": 2, "removed": 0}), "{}", acl.kind);
        assert_eq!(acl.command(&["public"]).await, format!("{STATION}\n"), "{}", acl.kind);
        let shown = acl.command(&["members"]).await;
        let with_end = format!("until {LATER}\n{DRIVER}\n");
        assert!(shown.starts_with(STRANGER) && shown.ends_with(&with_end), "{}: {shown}", acl.kind);
        let first = acl.ok(acl.at("GET", "/members?limit=1")).await;
        let stranger = json!({"driver_token": STRANGER, "until": LATER});
        assert_eq!(first, json!({"members": [stranger], "cursor": STRANGER}), "{}", acl.kind);
        let second = acl.ok(acl.at("GET", &format!("/members?cursor={STRANGER}"))).await;
        assert_eq!(second, json!({"members": [{"driver_token": DRIVER}], "cursor": null}), "{}", acl.kind);
        let done = acl.ok(post("/members", json!({"add": null, "remove": [DRIVER, STRANGER]}))).await;
        assert_eq!(done, json!({"success": true, "added": 0, "removed": 2}), "{}", acl.kind);
        assert_eq!(acl.ok(post("/members", json!({}))).await["success"], true, "{}", acl.kind);
    }
}

#[tokio::test]
async fn the_version_is_kept_beside_the_sets() {
    for acl in each().await {
        let version = || acl.at("GET", "/platform-version");
        assert_eq!(acl.ok(version()).await, json!({"version": null}), "{}", acl.kind);
        for set in [json!({"version": 7}), json!({"version": 0}), json!({"version": null})] {
            assert_eq!(acl.ok(acl.at("PUT", "/platform-version").json(&set)).await, set, "{}", acl.kind);
            assert_eq!(acl.ok(version()).await, set, "{}", acl.kind);
        }
        assert!(acl.audit("").await.is_empty(), "{}", acl.kind);
    }
}

#[tokio::test]
async fn bad_changes_of_the_sets_are_refused_by_name_and_change_nothing() {
    for acl in each().await {
        let with = |method: &str, path: &str, body: Value| acl.at(method, path).json(&body);
        let on_behalf_of = |method: &str, path: &str, text: &str| {
            acl.at(method, path).header("x-on-behalf-of", text.to_owned())
        };
        let stations: Vec<String> = (0..1001).map(|n| format!("00000000-0000-0000-0000-{n:012}")).collect();
        let simple = STATION.replace('-', "");
        let twice = json!({"add": [{"driver_token": DRIVER}, {"driver_token": DRIVER, "until": LATER}]});
        let bad_end = json!({"add": [{"driver_token": DRIVER, "until": "soon"}]});
        let misspelt = json!({"add": [{"driver_token": DRIVER, "untill": LATER}]});
        let cases = [
            (acl.at("PUT", &public("7")), 400, "station_id"),
            (acl.at("GET", &public(&simple)), 400, "station_id"),
            (acl.at("DELETE", &public("")), 400, "station_id"),
            (acl.at("PUT", &format!("{}?public=false", public(STATION))), 400, "query"),
            (acl.at("GET", &format!("{}?x=1", public(STATION))), 400, "query"),
            (acl.at("GET", "/public-stations?search=abc"), 400, "search"),
            (acl.at("GET", "/public-stations?limit=1001"), 400, "limit"),
            (acl.at("GET", "/public-stations?cursor=x"), 400, "cursor"),
            (acl.at("POST", "/public-stations?add=1"), 400, "query"),
            (with("POST", "/public-stations", json!({"add": ["7"]})), 400, "add"),
            (with("POST", "/public-stations", json!({"add": [simple]})), 400, "add"),
            (with("POST", "/public-stations", json!({"add": [], "also": []})), 400, "body"),
            (with("POST", "/public-stations", json!({ "add": stations })), 400, "add"),
            (with("POST", "/public-stations", json!({"add": [STATION], "remove": [STATION]})), 400, "remove"),
            (with("POST", "/public-stations", json!([STATION])), 400, "body"),
            (acl.at("PATCH", "/public-stations"), 405, "method"),
            (acl.at("PUT", &member("short")), 400, "driver_token"),
            (acl.at("GET", "/members?cursor=x"), 400, "cursor"),
            (with("PUT", &member(DRIVER), json!({"until": "soon"})), 400, "until"),
            (with("PUT", &member(DRIVER), json!({"until": "2000-01-01T00:00:00Z"})), 400, "until"),
            (with("PUT", &member(DRIVER), json!({"untill": LATER})), 400, "body"),
            (with("PUT", &member(DRIVER), json!({"from": LATER})), 400, "body"),
            (with("POST", "/members", twice), 400, "add"),
            (with("POST", "/members", bad_end), 400, "until"),
            (with("POST", "/members", misspelt), 400, "body"),
            (with("POST", "/members", json!({"add": [DRIVER]})), 400, "driver_token"),
            (with("POST", "/members", json!({"remove": ["short"]})), 400, "remove"),
            (acl.at("POST", "/members").body("x".repeat(1024 * 1024 + 1)), 413, "body"),
            (with("PUT", "/platform-version", json!({})), 400, "version"),
            (with("PUT", "/platform-version", json!({"version": -1})), 400, "version"),
            (with("PUT", "/platform-version", json!({"version": 1.5})), 400, "version"),
            (with("PUT", "/platform-version", json!({"version": u64::MAX})), 400, "version"),
            (with("PUT", "/platform-version", json!({"version": "7"})), 400, "version"),
            (on_behalf_of("PUT", &public(STATION), ""), 400, "x-on-behalf-of"),
            (on_behalf_of("PUT", &member(DRIVER), "two words"), 400, "x-on-behalf-of"),
            (on_behalf_of("PUT", &entry(STATION, DRIVER), &"x".repeat(101)), 400, "x-on-behalf-of"),
            (on_behalf_of("DELETE", &entry(STATION, DRIVER), "ü"), 400, "x-on-behalf-of"),
            (on_behalf_of("PUT", "/groups/north", "a").header("x-on-behalf-of", "b"), 400, "x-on-behalf-of"),
            (
                on_behalf_of("POST", "/acl/import", " ").header("content-type", "text/csv").body("x"),
                400,
                "x-on-behalf-of",
            ),
            (
                on_behalf_of("PUT", "/platform-version", "a b").json(&json!({"version": 1})),
                400,
                "x-on-behalf-of",
            ),
        ];
        for (number, (request, status, field)) in cases.into_iter().enumerate() {
            let response = request.send().await.unwrap();
            let answered = response.status().as_u16();
            let problem: Value = response.json().await.unwrap();
            let seen = (answered, problem["field"].as_str());
            assert_eq!(seen, (status, Some(field)), "{}, case {number}: {problem}", acl.kind);
            assert!(!problem.to_string().contains(DRIVER), "{}: {problem}", acl.kind);
        }
        assert!(acl.audit("").await.is_empty(), "{}", acl.kind);
        for (path, nothing) in [
            ("/public-stations", json!({"station_ids": [], "cursor": null})),
            ("/members", json!({"members": [], "cursor": null})),
            ("/platform-version", json!({"version": null})),
        ] {
            assert_eq!(acl.ok(acl.at("GET", path)).await, nothing, "{}", acl.kind);
        }
    }
}

#[tokio::test]
async fn the_audit_trail_names_the_person_for_whom_a_change_was_made() {
    for acl in each().await {
        let of = |user: &'static str, method: &str, path: &str| {
            acl.at(method, path).header("X-On-Behalf-Of", user)
        };
        acl.ok(of("user:1", "PUT", &public(STATION))).await;
        acl.ok(of("user:2", "PUT", &member(DRIVER)).json(&json!({"until": LATER}))).await;
        let both = json!({"add": [{"driver_token": STRANGER}], "remove": [DRIVER]});
        acl.ok(of("user:3", "POST", "/members").json(&both)).await;
        acl.ok(of("user:4", "PUT", &entry(STATION, DRIVER))).await;
        acl.ok(of("user:5", "PUT", "/groups/north")).await;
        let import = of("user:6", "POST", "/acl/import").header("content-type", "text/csv");
        acl.ok(import.body(format!("{STATION},{DRIVER}\n"))).await;
        acl.ok(acl.at("DELETE", &public(STATION))).await;
        let trail = acl.audit("").await;
        let lines: Vec<String> = trail
            .iter()
            .rev()
            .map(|entry| {
                let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", text("on_behalf_of"), text("action"), text("stage"))
            })
            .collect();
        let expected = [
            "user:1 public_station requested",
            "user:2 member requested",
            "user:3 member requested",
            "user:3 member applied",
            "user:4 allow requested",
            "user:5 group_create requested",
            "user:6 import requested",
            "user:6 import applied",
            "- public_station requested",
        ];
        assert_eq!(lines, expected, "{}", acl.kind);
        let of_driver = acl.audit(&format!("driver_token={STRANGER}")).await;
        let change = json!([{"driver_token": STRANGER, "effect": "admit"}]);
        assert_eq!((&of_driver[0]["changes"], &of_driver[0]["count"]), (&change, &json!(2)), "{}", acl.kind);
        let shown = acl.command(&["audit", "--driver", DRIVER]).await;
        assert!(shown.contains("for user:2 at 127.0.0.1"), "{}: {shown}", acl.kind);
        assert!(shown.contains(&format!("admit  {DRIVER}  until {LATER}")), "{}: {shown}", acl.kind);
    }
}

#[tokio::test]
async fn the_worker_decides_by_public_stations_too() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    for path in [public(STATION), member(DRIVER)] {
        let made = http.put(format!("{}{path}", services.acl_url)).send().await.unwrap();
        assert_eq!(made.status(), 200);
    }
    for (driver, decision) in [(DRIVER, "allowed"), (STRANGER, "not_allowed")] {
        services.ask(http, driver, &host.url(&format!("/ok/{decision}"))).await;
        assert_eq!(host.callback(&format!("/ok/{decision}")).await.status(), decision);
    }
}
