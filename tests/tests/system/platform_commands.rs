//! Commands to chargers over HTTP, the face of the older system, and who may use them. The gateway's part is played by the
//! domain's functions.

use reqwest::Method;
use serde_json::json;
use tests::platform::Answer;

use super::platform_chargers::World;

#[tokio::test]
async fn a_command_is_checked_stored_once_and_its_end_may_be_waited_for() {
    let world = World::new().await;
    let (here, there) = (world.connected("HAM-1").await, world.connected("HAM-2").await);
    world.adopted("HAM-3", &json!({})).await;
    let place = |charger: &str, name: &str| format!("/api/v1/chargers/{charger}/{name}");
    let start = |charger| place(charger, "remote-start-transaction");
    for (path, body, refusal) in [
        (start("HAM-9"), json!({}), (404, "charger")),
        (start("HAM-1"), json!({}), (400, "id_tag")),
        (start("HAM-1"), json!({"id_tag": "A".repeat(21)}), (400, "id_tag")),
        (start("HAM-1"), json!({"id_tag": "A", "connector_id": 0}), (400, "connector_id")),
        (start("HAM-1"), json!({"id_tag": "A", "wait_sec": 31}), (400, "wait_sec")),
        (start("HAM-1"), json!({"id_tag": "A", "timeout_sec": 0}), (400, "timeout_sec")),
        (
            start("HAM-1"),
            json!({"id_tag": "A", "wait_for_charger_sec": 86_401}),
            (400, "wait_for_charger_sec"),
        ),
        (start("HAM-1"), json!({"id_tag": "A", "color": 1}), (400, "color")),
        (
            place("HAM-1", "trigger-message"),
            json!({"requested_message": "Reset"}),
            (400, "requested_message"),
        ),
        (start("HAM-3"), json!({"id_tag": "A"}), (409, "charger")),
    ] {
        let answer = world.platform.post(&path, &body).await;
        assert_eq!(answer.refusal(), refusal, "{path} {body}: {}", answer.text);
    }
    let offline = world.platform.post(&start("HAM-3"), &json!({"id_tag": "A"})).await;
    assert_eq!(offline.body["type"], "urn:voltgate:problem:charger_offline");
    // A transaction of another charger: nothing is sent.
    let session = world.started(there, "HAM-2", "TAG").await;
    let stop = place("HAM-1", "remote-stop-transaction");
    for name in [json!(session.id), json!(session.number), json!(99)] {
        assert_eq!(
            world.platform.post(&stop, &json!({"transaction_id": name})).await.refusal(),
            (404, "transaction_id")
        );
    }
    assert_eq!(world.count_of_commands().await, 0);

    let request = || {
        let request = world.platform.request(Method::POST, &start("HAM-1")).header("idempotency-key", "once");
        request.json(&json!({"id_tag": "Tag-1", "connector_id": 2, "timeout_sec": 5}))
    };
    let accepted = Answer::to(request()).await;
    assert_eq!((accepted.status, &accepted.body["status"]), (202, &json!("accepted")), "{}", accepted.text);
    let id = accepted.body["command_id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.place(), format!("/api/v1/commands/{id}"));
    assert_eq!(Answer::to(request()).await.body, accepted.body);
    assert_eq!(world.count_of_commands().await, 1);
    let queued = world.platform.get(accepted.place()).await.body;
    assert_eq!((&queued["state"], &queued["timeout_sec"]), (&json!("queued"), &json!(5)));
    let sent = world.answers(here, &json!({"status": "Rejected"})).await;
    assert_eq!(sent, json!({"connectorId": 2, "idTag": "Tag-1"}));
    let ended = world.platform.get(accepted.place()).await.body;
    assert_eq!((&ended["state"], &ended["result"]), (&json!("answered"), &json!({"status": "Rejected"})));

    // The number goes on the wire, and the result comes back.
    let body = json!({"transaction_id": session.id, "wait_sec": 30});
    let path = place("HAM-2", "remote-stop-transaction");
    let result = json!({"status": "Accepted"});
    let (waited, sent) = tokio::join!(world.platform.post(&path, &body), world.answers(there, &result));
    assert_eq!(sent, json!({"transactionId": session.number}));
    assert_eq!((waited.status, &waited.body["result"]), (200, &result), "{}", waited.text);
    let unanswered = world
        .platform
        .post(&place("HAM-1", "trigger-message"), &json!({"requested_message": "Heartbeat", "wait_sec": 1}))
        .await;
    assert_eq!(unanswered.status, 202);
    let kept =
        world.platform.post(&start("HAM-3"), &json!({"id_tag": "A", "wait_for_charger_sec": 60})).await;
    assert_eq!(kept.status, 202);
    let of = async |query: &str| world.platform.pages(&format!("/api/v1/commands{query}"), 1).await.len();
    assert_eq!((of("?charger=HAM-3").await, of("?state=answered").await, of("").await), (1, 2, 4));
}

#[tokio::test]
async fn the_face_of_the_older_system_lists_chargers_and_waits_for_a_start() {
    let world = World::new().await;
    let station = world.connected("HAM-1").await;
    let session = world.started(station, "HAM-1", "TAG").await;
    for path in ["/api/chargers/", "/api/chargers"] {
        let charger = world.platform.get(path).await.body["items"][0].clone();
        assert_eq!((&charger["id"], &charger["status"]), (&json!("HAM-1"), &json!("online")));
        assert_eq!(charger["transaction"]["transaction_id"], json!(session.number));
    }
    for path in ["/api/chargers/start/HAM-1/", "/api/chargers/start/HAM-1"] {
        let (body, result) = (json!({"id_tag": "TAG"}), json!({"status": "Accepted"}));
        let (started, sent) = tokio::join!(world.platform.post(path, &body), world.answers(station, &result));
        assert_eq!((started.status, &started.body["status"]), (200, &json!("Accepted")), "{}", started.text);
        assert_eq!(sent, json!({"idTag": "TAG"}));
    }
    let nowhere = world.platform.post("/api/chargers/start/HAM-9/", &json!({"id_tag": "TAG"})).await;
    assert_eq!(nowhere.refusal(), (404, "charger"));
}

#[tokio::test]
async fn staff_see_and_command_the_chargers_of_their_own_sites() {
    let world = World::new().await;
    let (ours, theirs) =
        (world.platform.location("Ours").await.id(), world.platform.location("Theirs").await.id());
    let station = world.connected("HAM-1").await;
    world.put("HAM-1", &json!({"location_id": ours})).await;
    let other = world.connected("HAM-2").await;
    world.put("HAM-2", &json!({"location_id": theirs})).await;
    let roles = json!([{"role": "staff", "location_ids": [ours]}]);
    let staff = world.platform.register_with("staff", &roles).await;
    let (session, foreign) =
        (world.started(station, "HAM-1", "A").await, world.started(other, "HAM-2", "B").await);
    let mut stream = world.platform.live("?events=charger,session,command", Some("0")).await;
    let listed = async |path: &str| {
        let page = staff.get(&world.platform, path).await;
        page.body["items"].as_array().unwrap_or_else(|| panic!("{}", page.text)).len()
    };
    assert_eq!((listed("/api/v1/chargers").await, listed("/api/chargers/").await), (1, 1));
    assert_eq!(
        (listed("/api/v1/transactions").await, listed("/api/v1/transactions?charger=HAM-2").await),
        (1, 0)
    );
    let status = async |path: &str| staff.get(&world.platform, path).await.status;
    assert_eq!((status("/api/v1/chargers/HAM-1").await, status("/api/v1/chargers/HAM-2").await), (200, 404));
    assert_eq!(status(&format!("/api/v1/transactions/{}", session.id)).await, 200);
    assert_eq!(status(&format!("/api/v1/transactions/{}", foreign.number)).await, 404);
    let body = json!({"requested_message": "Heartbeat"});
    let sent = staff.post(&world.platform, "/api/v1/chargers/HAM-1/trigger-message", &body).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let refused = staff.post(&world.platform, "/api/v1/chargers/HAM-2/trigger-message", &body).await;
    assert_eq!(refused.status, 404);
    assert_eq!(listed("/api/v1/commands").await, 1);
    // The operator's key sees all of it live.
    let mut kinds = Vec::new();
    while !kinds.iter().any(|kind| kind == "command.queued") {
        let event = stream.next().await.unwrap();
        kinds.push(event.data["type"].as_str().unwrap().to_owned());
    }
    for kind in ["charger.connected", "session.started"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind}: {kinds:?}");
    }
}
