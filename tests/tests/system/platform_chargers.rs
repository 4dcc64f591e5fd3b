//! Chargers over HTTP: adoption, transactions, messages. The gateway's part is played by the domain's functions.

use std::collections::BTreeMap;
use std::time::Duration;

use charging::chargers::commands::{self, End};
use charging::chargers::connections;
use charging::chargers::inbox::{self, Attempt};
use charging::chargers::messages::{self, Direction, Message};
use charging::chargers::nodes;
use charging::sessions::meter_values::{self, Reading};
use charging::sessions::start::{self, Start, Started};
use charging::sessions::stop::{self, Stop};
use charging::sessions::{Session, SessionState};
use charging::{At, Db, DbError};
use reqwest::Method;
use serde_json::{Value, json};
use tests::eventually;
use tests::platform::{Answer, Platform};
use tests::process::Process;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A platform, and its database beside it.
pub(super) struct World {
    pub(super) platform: Platform,
    pub(super) db: Db,
    node: Uuid,
    /// Renews the lease of the node, without which its chargers are taken for lost.
    lease: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.lease.abort();
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let platform = Platform::start().await;
        let db = Db::open_beside(&platform.directory().join("platform")).await.unwrap();
        let (node, leased) = (Uuid::now_v7(), db.clone());
        db.write(async move |tx| nodes::renew(tx, node).await).await.unwrap();
        let lease = tokio::spawn(async move {
            loop {
                tokio::time::sleep(nodes::RENEW_EVERY).await;
                let _ = leased.write(async move |tx| nodes::renew(tx, node).await).await;
            }
        });
        Self { platform, db, node, lease }
    }

    /// A charger with this name that is connected. Returns its station.
    pub(super) async fn connected(&self, charger: &str) -> Uuid {
        let station = self.adopted(charger, &json!({})).await;
        let begun =
            self.db.write(async |tx| connections::begin(tx, station, self.node, "ocpp1.6", None).await);
        assert!(begun.await.unwrap().is_some());
        station
    }

    pub(super) async fn adopted(&self, charger: &str, body: &Value) -> Uuid {
        let answer = self.put(charger, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["station_id"].as_str().unwrap().parse().unwrap()
    }

    pub(super) async fn put(&self, charger: &str, body: &Value) -> Answer {
        let request = self.platform.request(Method::PUT, &format!("/api/v1/chargers/{charger}"));
        Answer::to(request.json(body)).await
    }

    pub(super) async fn started(&self, station: Uuid, charger: &str, tag: &str) -> Session {
        let start = Start {
            charger: charger.to_owned(),
            connector: Some(1),
            id_tag: Some(tag.to_owned()),
            meter_start: Some(1000),
            reservation_number: None,
            at: Some(At::now().minus(Duration::from_secs(600))),
            received_at: At::now(),
            malformed: false,
        };
        match self.db.write(async |tx| start::record(tx, station, &start).await).await.unwrap() {
            Started::New(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Answers the next command for this station as a charger would.
    pub(super) async fn answers(&self, station: Uuid, result: &Value) -> Value {
        let queued = async || {
            let found = self.db.read(async |tx| commands::queued_for(tx, station, 1).await).await.unwrap();
            found.into_iter().next()
        };
        let command = eventually("a command is queued", queued).await;
        let ended = self.db.write(async |tx| -> Result<bool, DbError> {
            assert!(commands::take(tx, command.id).await?);
            commands::end(tx, command.id, &End::answered(result.clone())).await
        });
        assert!(ended.await.unwrap());
        command.payload.0
    }

    pub(super) async fn count_of_commands(&self) -> usize {
        self.platform.pages("/api/v1/commands", 50).await.len()
    }
}

#[tokio::test]
async fn a_charger_is_adopted_from_the_inbox_changed_and_removed() {
    let world = World::new().await;
    let attempt = Attempt {
        name: "HAM-1".to_owned(),
        address: Some("192.0.2.1".to_owned()),
        user_agent: None,
        subprotocols: "ocpp1.6".to_owned(),
    };
    world.db.write(async |tx| inbox::note(tx, &attempt).await).await.unwrap();
    let unknown = world.platform.get("/api/v1/unknown-chargers").await.body;
    assert_eq!(
        (&unknown["items"][0]["charger"], &unknown["items"][0]["attempts"]),
        (&json!("HAM-1"), &json!(1))
    );
    assert_eq!(world.platform.get("/api/v1/chargers/HAM-1").await.refusal(), (404, "charger"));

    let location = world.platform.location("Harbour").await.id();
    let adopted = world.put("HAM-1", &json!({"location_id": location, "security_profile": 1})).await;
    assert_eq!((adopted.status, adopted.place()), (201, "/api/v1/chargers/HAM-1"), "{}", adopted.text);
    assert_eq!(world.platform.get("/api/v1/unknown-chargers").await.body["items"], json!([]));
    let shown = world.platform.get("/api/v1/chargers/HAM-1").await;
    assert_eq!((&shown.body, shown.etag()), (&adopted.body, adopted.etag()));
    let expected = json!({"registration": "Accepted", "enabled": true, "security_profile": 1, "online": false,
        "has_password": false, "location_id": location, "connected_since": null, "connectors": []});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&shown.body[name], value, "{name}");
    }

    // What is not given stays; an old version is refused.
    let changed = world.put("HAM-1", &json!({"registration": "Pending"})).await;
    assert_eq!((changed.status, &changed.body["security_profile"]), (200, &json!(1)));
    assert_eq!(changed.body["location_id"], json!(location));
    let old = world.platform.patch("/api/v1/chargers/HAM-1", shown.etag(), &json!({"enabled": false})).await;
    assert_eq!(old.status, 412);
    let patched =
        world.platform.patch("/api/v1/chargers/HAM-1", changed.etag(), &json!({"enabled": false})).await;
    assert_eq!((patched.status, &patched.body["enabled"]), (200, &json!(false)), "{}", patched.text);
    for (body, field) in [
        (json!({"security_profile": 4}), "security_profile"),
        (json!({"clock_offset_minutes": 900}), "clock_offset_minutes"),
        (json!({"registration": "Perhaps"}), "registration"),
        (json!({"vendor": "x"}), "vendor"),
        (json!({"location_id": Uuid::now_v7()}), "location_id"),
    ] {
        assert_eq!(world.put("HAM-1", &body).await.refusal(), (400, field));
    }

    let credentials = async |body: &Value| {
        let request = world.platform.request(Method::PUT, "/api/v1/chargers/HAM-1/credentials");
        Answer::to(request.json(body)).await
    };
    assert_eq!(credentials(&json!({"password": "short"})).await.refusal(), (400, "password"));
    assert_eq!(
        credentials(&json!({"authorization_key": "0011"})).await.refusal(),
        (400, "authorization_key")
    );
    assert_eq!(credentials(&json!({})).await.refusal(), (400, "password"));
    let secret = "correct horse battery";
    assert_eq!(credentials(&json!({"password": secret})).await.status, 204);
    let with = world.platform.get("/api/v1/chargers/HAM-1").await;
    assert!(with.body["has_password"] == true && !with.text.contains(secret));
    let audit = world.platform.get("/api/v1/audit").await;
    assert!(audit.text.contains("charger.adopted") && audit.text.contains("charger.credentials"));
    assert!(!audit.text.contains(secret));

    let removed = Answer::to(world.platform.request(Method::DELETE, "/api/v1/chargers/HAM-1")).await;
    assert_eq!(removed.status, 204);
    assert_eq!(world.platform.get("/api/v1/chargers/HAM-1").await.status, 404);
}

#[tokio::test]
async fn a_station_without_a_charger_gets_one_by_adoption() {
    let world = World::new().await;
    let station = world.platform.created("/api/v1/stations", &json!({"name": "Left"})).await.id();
    assert_eq!(world.adopted("HAM-1", &json!({"station_id": station})).await.to_string(), station);
    let taken = world.put("HAM-2", &json!({"station_id": station})).await;
    assert_eq!(taken.refusal(), (409, "station_id"));
    let other = world.put("HAM-1", &json!({"station_id": Uuid::now_v7()})).await;
    assert_eq!(other.refusal(), (409, "station_id"));
    let id = Uuid::now_v7();
    assert_eq!(world.adopted("HAM-2", &json!({"station_id": id})).await, id);
    world.connected("BER-1").await;
    let names = async |query: &str| {
        let page = world.platform.get(&format!("/api/v1/chargers{query}")).await;
        let items = page.body["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["charger"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["BER-1", "HAM-1", "HAM-2"]);
    assert_eq!(names("?state=online").await, ["BER-1"]);
    assert_eq!(names("?state=offline&q=ham").await, ["HAM-1", "HAM-2"]);
    let page = world.platform.get("/api/v1/chargers?limit=2").await;
    let next = names(&format!("?limit=2&cursor={}", page.body["cursor"].as_str().unwrap())).await;
    assert_eq!(next, ["HAM-2"]);
}

#[tokio::test]
async fn a_transaction_is_found_by_its_id_and_its_number_and_may_be_closed() {
    let world = World::new().await;
    let station = world.connected("HAM-1").await;
    let session = world.started(station, "HAM-1", "Tag-1").await;
    let (id, number) = (session.id, session.number);
    let shown = world.platform.get(&format!("/api/v1/transactions/{id}")).await;
    assert_eq!(shown.body, world.platform.get(&format!("/api/v1/transactions/{number}")).await.body);
    assert_eq!(shown.body["ocpp_transaction_id"], json!(number));
    assert_eq!((&shown.body["state"], &shown.body["id_tag"]), (&json!("active"), &json!("Tag-1")));
    for unknown in [Uuid::now_v7().to_string(), "7777".to_owned(), "0".to_owned(), "-1".to_owned()] {
        let place = format!("/api/v1/transactions/{unknown}");
        assert_eq!(world.platform.get(&place).await.refusal(), (404, "transaction_id"));
    }
    let reading = |minute: u64, value| Reading {
        connector_number: 1,
        at: At::now().minus(Duration::from_secs(600 - 60 * minute)),
        measurand: "Energy.Active.Import.Register".to_owned(),
        phase: String::new(),
        context: "Sample.Periodic".to_owned(),
        location: "Outlet".to_owned(),
        value: Some(value),
        unit: Some("Wh".to_owned()),
        raw: None,
        received_at: At::now(),
    };
    let readings: Vec<Reading> =
        (1..=3).map(|minute| reading(minute, 1000 + 100 * i64::try_from(minute).unwrap())).collect();
    world
        .db
        .write(async |tx| meter_values::record(tx, station, Some(number), &readings).await)
        .await
        .unwrap();
    let first = world.platform.get(&format!("/api/v1/transactions/{id}/meter-values?limit=2")).await.body;
    let cursor = first["cursor"].as_str().unwrap();
    let last =
        world.platform.get(&format!("/api/v1/transactions/{id}/meter-values?cursor={cursor}")).await.body;
    let values = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["value"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((values(&first), values(&last)), (vec![1100, 1200], vec![1300]));

    let closed = world
        .platform
        .post(&format!("/api/v1/transactions/{number}/close"), &json!({"reason": "cable was cut"}))
        .await;
    assert_eq!((closed.status, &closed.body["state"]), (200, &json!("ended_unconfirmed")), "{}", closed.text);
    assert_eq!((&closed.body["energy_wh"], &closed.body["anomalies"]), (&json!(300), &json!(["no_stop"])));
    let again =
        Answer::to(world.platform.request(Method::POST, &format!("/api/v1/transactions/{id}/close"))).await;
    assert_eq!((again.status, &again.body), (200, &closed.body));
    // The real stop replaces it.
    let stop = Stop {
        charger: "HAM-1".to_owned(),
        number: Some(number),
        id_tag: None,
        meter_stop: Some(1500),
        at: Some(At::now()),
        received_at: At::now(),
        reason: Some("Local".to_owned()),
        malformed: false,
    };
    let stopped = world.db.write(async |tx| stop::record(tx, station, &stop).await).await.unwrap().unwrap();
    assert_eq!((stopped.state, stopped.energy_wh), (SessionState::Completed, Some(500)));
    let refused = world.platform.post(&format!("/api/v1/transactions/{id}/close"), &json!({})).await;
    assert_eq!(refused.refusal(), (409, "state"));

    let going = world.started(station, "HAM-1", "TAG-2").await;
    for (query, ids, total) in [
        ("", vec![going.id, id], 2),
        ("?state=active", vec![going.id], 1),
        ("?state=stopped", vec![id], 1),
        ("?id_tag=tag-1", vec![id], 1),
        ("?charger=HAM-1&limit=1", vec![going.id], 2),
        ("?charger=HAM-2", vec![], 0),
    ] {
        let page = world.platform.get(&format!("/api/v1/transactions{query}")).await.body;
        let found: Vec<Uuid> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!((found, &page["total"]), (ids, &json!(total)), "{query}");
    }
}

#[tokio::test]
async fn the_messages_of_a_charger_are_a_list_and_a_text() {
    let world = World::new().await;
    let station = world.connected("HAM-1").await;
    let message = |direction, action: Option<&str>, body: &str| {
        let message = Message {
            id: Uuid::now_v7(),
            epoch: 1,
            direction,
            action: action.map(str::to_owned),
            size: 20,
            body: body.to_owned(),
            at: At::now(),
        };
        (station, message)
    };
    let frames = [
        message(Direction::In, Some("Heartbeat"), r#"[2,"a","Heartbeat",{}]"#),
        message(Direction::Out, Some("Heartbeat"), r#"[3,"a",{}]"#),
        message(Direction::In, None, "nonsense"),
    ];
    world.db.write(async |tx| messages::add(tx, &frames).await).await.unwrap();
    let texts = async |query: &str| {
        let page = world.platform.get(&format!("/api/v1/chargers/HAM-1/messages{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let items = page.body["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts("").await, ["nonsense", r#"[3,"a",{}]"#, r#"[2,"a","Heartbeat",{}]"#]);
    assert_eq!(texts("?action=Heartbeat&direction=in").await, [r#"[2,"a","Heartbeat",{}]"#]);
    assert_eq!(texts("?from=2099-01-01T00:00:00Z").await, Vec::<String>::new());
    let request = world.platform.request(Method::GET, "/api/v1/chargers/HAM-1/messages");
    let text = Answer::to(request.header("accept", "text/plain")).await;
    assert!(text.header("content-type").unwrap().starts_with("text/plain"), "{}", text.text);
    assert!(
        text.text.lines().count() == 3 && text.text.contains(r#"out Heartbeat [3,"a",{}]"#),
        "{}",
        text.text
    );
}

#[tokio::test]
async fn the_command_adopts_chargers_and_shows_them() {
    let world = World::new().await;
    let data = world.platform.directory().join("platform").display().to_string();
    let charger = async |arguments: &[&str]| {
        let arguments = [&["charger"], arguments, &["--data", &data]].concat();
        Process::run("voltgate", &arguments, &BTreeMap::new()).await
    };
    let (code, out, err) = charger(&["adopt", "HAM-1"]).await;
    assert!(code == Some(0) && out.starts_with("HAM-1 is adopted"), "{out}{err}");
    let (code, _, err) = charger(&["adopt", "HAM-1"]).await;
    assert_eq!(code, Some(65), "{err}");
    let (code, out, err) = charger(&["show", "HAM-1", "--json"]).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &shown["online"], &shown["terms"]["enabled"]),
        (Some(0), &json!(false), &json!(true)),
        "{err}"
    );
    assert_eq!(charger(&["show", "HAM-2"]).await.0, Some(65));
    let (code, out, _) = charger(&["list", "--offline"]).await;
    assert!(code == Some(0) && out.lines().count() == 2 && out.contains("HAM-1"), "{out}");
    let (code, out, _) = charger(&["list", "--online", "--json"]).await;
    assert_eq!((code, out.as_str()), (Some(0), ""));
    let (code, out, err) = charger(&["messages", "HAM-1", "--direction", "in"]).await;
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(world.platform.get("/api/v1/chargers/HAM-1").await.status, 200);
}
