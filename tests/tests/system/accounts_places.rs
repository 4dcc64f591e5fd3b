//! Who sees what, where: roles that hold at some locations only, and the order of refusals.

use std::time::Duration;

use charging::accounts::audit::{self, Subjects};
use charging::events::{self, Happened};
use charging::{Db, DbError};
use reqwest::Method;
use serde_json::{Value, json};
use tests::event_stream::EventStream;
use tests::people::{PASSWORD, Person};
use tests::platform::{Answer, Platform};
use uuid::Uuid;

use super::accounts::{on_each_database, unlimited};
use super::keys::created;

const NOTHING: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";

/// Two locations, each with a station, and one station without a location.
struct Places {
    here: String,
    there: String,
    stations: [String; 3],
}

impl Places {
    async fn create(platform: &Platform) -> Self {
        let (here, there) = (platform.location("Here").await.id(), platform.location("There").await.id());
        let mut stations = Vec::new();
        for (charger, location) in [("HAM-1", Some(&here)), ("HAM-2", Some(&there)), ("HAM-3", None)] {
            let draft = json!({"charger": charger, "location_id": location});
            stations.push(platform.created("/api/v1/stations", &draft).await.id());
        }
        let [first, second, third] = stations.try_into().unwrap();
        Self { here, there, stations: [first, second, third] }
    }

    fn role(&self, role: &str) -> Value {
        json!([{"role": role, "location_ids": [self.here]}])
    }
}

#[tokio::test]
async fn a_role_at_one_location_reaches_no_other() {
    on_each_database(&[], async |platform| {
        let places = Places::create(&platform).await;
        let ada = platform.register_with("ada", &places.role("staff")).await;
        let host = platform.register_with("host", &places.role("host")).await;
        let elsewhere = json!([{"role": "staff", "location_ids": [places.there]}]);
        let elsewhere = platform.register_with("elsewhere", &elsewhere).await;
        let driver = platform.register("driver").await;
        let log = |station: &str| format!("/api/v1/stations/{station}/status-log");
        let user = |person: &Person| format!("/api/v1/users/{}", person.id);
        let [of_here, of_there, of_nowhere] = &places.stations;
        for (path, status) in [
            (log(of_here), 200),
            (log(of_there), 404),
            (log(of_nowhere), 404),
            (log(NOTHING), 404),
            (user(&ada), 200),
            (user(&host), 200),
            (user(&elsewhere), 404),
            (user(&driver), 404),
            (format!("/api/v1/users/{NOTHING}"), 404),
        ] {
            let answer = ada.get(&platform, &path).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text);
            let of_host = host.get(&platform, &path).await.status;
            let of_driver = driver.get(&platform, &path).await.status;
            assert_eq!((of_host, of_driver), (403, 403), "{path}");
        }
        let (foreign, unknown) = (
            ada.get(&platform, &user(&driver)).await,
            ada.get(&platform, &user(&Person { id: NOTHING.to_owned(), ..driver.clone() })).await,
        );
        assert_eq!(foreign.text, unknown.text, "what is foreign looks like nothing");
        let names = async |person: &Person, query: &str| {
            let listed = person.get(&platform, &format!("/api/v1/users{query}")).await;
            assert_eq!(listed.status, 200, "{}", listed.text);
            let items = listed.body["items"].as_array().unwrap().clone();
            items.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&ada, "").await, ["ada", "host"]);
        assert_eq!(names(&ada, "?role=host").await, ["host"]);
        assert_eq!(names(&ada, "?q=ELSE").await, Vec::<String>::new());
        assert_eq!(names(&ada, "?role=driver").await, Vec::<String>::new());
        assert_eq!(names(&elsewhere, "").await, ["elsewhere"]);
        let change =
            Answer::to(ada.request(&platform, Method::PATCH, &user(&host)).json(&json!({"roles": []})));
        assert_eq!(change.await.status, 403, "staff change no one");
        let moved = json!({"roles": [{"role": "staff", "location_ids": [places.there]}]});
        assert_eq!(platform.change_user(&ada.id, &moved).await.status, 200);
        assert_eq!(ada.get(&platform, &log(of_here)).await.status, 404);
        assert_eq!(ada.get(&platform, &log(of_there)).await.status, 200);
        assert_eq!(names(&ada, "").await, ["ada", "elsewhere"]);
        let operator = platform.register_with("operator", &json!([{"role": "operator"}])).await;
        assert_eq!(names(&operator, "").await, ["ada", "host", "elsewhere", "driver", "operator"]);
        assert_eq!(names(&operator, "?limit=2").await, ["ada", "host"]);
        for station in &places.stations {
            assert_eq!(operator.get(&platform, &log(station)).await.status, 200);
        }
    })
    .await;
}

async fn database(platform: &Platform) -> Db {
    let url = &platform.deployment.environment["DATABASE_URL"];
    match url.strip_prefix("embedded:") {
        Some(directory) => Db::open_beside(directory.as_ref()).await.unwrap(),
        None => Db::connect(url, 2, Duration::from_secs(20)).await.unwrap(),
    }
}

/// The events of a stream up to the first of this type.
async fn up_to(stream: &mut EventStream, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = stream.next().await.expect("the stream goes on");
        let kind = event.data["type"].as_str().unwrap().to_owned();
        if kind == last {
            return seen;
        }
        seen.push(format!("{kind} {}", event.data["at_place"].as_str().unwrap_or_default()));
    }
}

#[tokio::test]
async fn a_stream_has_what_its_reader_may_see() {
    on_each_database(&[], async |platform| {
        let places = Places::create(&platform).await;
        let staff = platform.register_with("staff", &places.role("staff")).await;
        let host = platform.register_with("host", &places.role("host")).await;
        let operator = platform.register_with("operator", &json!([{"role": "operator"}])).await;
        let driver = platform.register("driver").await;
        let mut streams = Vec::new();
        for person in [&staff, &host, &operator, &driver] {
            let stream = EventStream::open(person.request(&platform, Method::GET, "/api/v1/live")).await;
            streams.push(stream.begun().await);
        }
        let (read, _) = created(&platform.deployment, "platform:read", &[]).await;
        let with_key = platform.stranger(Method::GET, "/api/v1/live").bearer_auth(read);
        streams.push(EventStream::open(with_key).await.begun().await);
        let (here, there): (Uuid, Uuid) = (places.here.parse().unwrap(), places.there.parse().unwrap());
        let of_places = [(Some(here), "here"), (Some(there), "there"), (None, "nowhere")];
        let db = database(&platform).await;
        let written = db.write(async |tx| {
            for (location_id, place) in of_places {
                for routing_key in
                    ["charger.connected", "charger.connector_status", "session.started", "account.created"]
                {
                    let more = json!({"at_place": place});
                    events::write(tx, &Happened { routing_key, station_id: None, location_id, more }).await?;
                }
            }
            let last = Happened {
                routing_key: "station.tested",
                station_id: None,
                location_id: None,
                more: json!({}),
            };
            events::write(tx, &last).await
        });
        let done: Result<(), DbError> = written.await;
        done.unwrap();
        let of_everyone = |place: &str| format!("charger.connector_status {place}");
        let all = |place: &str| {
            [format!("charger.connected {place}"), of_everyone(place), format!("session.started {place}")]
        };
        let of_drivers = vec![of_everyone("here"), of_everyone("there"), of_everyone("nowhere")];
        let of_staff = [all("here").to_vec(), vec![of_everyone("there"), of_everyone("nowhere")]].concat();
        let everything = [all("here"), all("there"), all("nowhere")].concat();
        let expected = [of_staff, of_drivers.clone(), everything.clone(), of_drivers, everything];
        for (n, (stream, expected)) in streams.iter_mut().zip(expected).enumerate() {
            assert_eq!(up_to(stream, "station.tested").await, expected, "{n}");
        }
    })
    .await;
}

#[tokio::test]
async fn refusals_come_in_the_order_401_403_404_428_412_400_409() {
    let deployment = unlimited().await;
    let deployment =
        deployment.with("PLATFORM_ADMIN_USERNAME", "root").with("PLATFORM_ADMIN_PASSWORD", PASSWORD);
    let platform = Platform::of(deployment).await;
    let (root, driver) = (platform.sign_in("root").await, platform.register("driver").await);
    let patch = async |person: Option<&Person>, path: &str, etag: Option<&str>, body: &Value| {
        let request = match person {
            Some(person) => person.request(&platform, Method::PATCH, path),
            None => platform.stranger(Method::PATCH, path),
        };
        let request = match etag {
            Some(etag) => request.header("if-match", etag),
            None => request,
        };
        let answer = Answer::to(request.json(body)).await;
        (answer.status, answer.body["field"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: u16, field: &str| (status, field.to_owned());
    let (nowhere, of_root) = (format!("/api/v1/users/{NOTHING}"), format!("/api/v1/users/{}", root.id));
    let (bad, last) = (json!({"roles": [], "colour": "red"}), json!({"roles": []}));
    assert_eq!(patch(None, &nowhere, None, &bad).await, refused(401, "authorization"));
    assert_eq!(patch(Some(&driver), &nowhere, None, &bad).await, refused(403, "authorization"));
    assert_eq!(patch(Some(&root), &nowhere, None, &bad).await, refused(404, "id"));
    assert_eq!(patch(Some(&root), "/api/v1/users/7", None, &bad).await, refused(404, "id"));
    assert_eq!(patch(Some(&root), &of_root, None, &bad).await, refused(400, "colour"));
    assert_eq!(patch(Some(&root), &of_root, None, &last).await, refused(409, "roles"));
    for (body, field) in [
        (json!({"roles": [{"role": "king"}]}), "roles.0.role"),
        (json!({"roles": [{"role": "driver", "where": 1}]}), "roles.0.where"),
        (json!({"roles": [{"role": "staff"}]}), "roles.0.location_ids"),
        (json!({"roles": [{"role": "staff", "location_ids": ["7"]}]}), "roles.0.location_ids.0"),
        (json!({"status": "gone"}), "status"),
        (json!({"reason": "x".repeat(501)}), "reason"),
        (json!({"reason": "a\u{0}b"}), "reason"),
        (json!({"reason": ""}), "reason"),
        (json!([]), "body"),
    ] {
        assert_eq!(patch(Some(&root), &of_root, None, &body).await, refused(400, field), "{body}");
    }
    let unknown = json!({"roles": [{"role": "admin"}, {"role": "staff", "location_ids": [NOTHING]}]});
    assert_eq!(patch(Some(&root), &of_root, None, &unknown).await, refused(409, "roles.1.location_ids.0"));

    let me = "/api/v1/me";
    let (bad, good) = (json!({"colour": "red"}), json!({"name": "Ada"}));
    assert_eq!(patch(None, me, None, &bad).await, refused(401, "authorization"));
    let with_key = Answer::to(platform.request(Method::PATCH, me).json(&bad)).await;
    assert_eq!(with_key.refusal(), (403, "authorization"), "keys have no account");
    assert!(with_key.body["detail"].as_str().unwrap().contains("accounts"), "{}", with_key.text);
    assert_eq!(patch(Some(&driver), me, None, &bad).await, refused(428, "if-match"));
    assert_eq!(patch(Some(&driver), me, Some("\"77\""), &bad).await, refused(412, "if-match"));
    assert_eq!(patch(Some(&driver), me, Some("*"), &bad).await, refused(400, "colour"));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"language": "fr"}), "language"),
        (json!({"email": "ada"}), "email"),
        (json!({"username": "ada"}), "username"),
        (json!({"roles": []}), "roles"),
        (json!({"address": {"line1": "Kai 1", "city": "Hamburg"}}), "address.country"),
        (
            json!({"address": {"line1": "Kai 1", "city": "Hamburg", "country": "DEU", "street": 1}}),
            "address.street",
        ),
    ] {
        assert_eq!(patch(Some(&driver), me, Some("*"), &body).await, refused(400, field), "{body}");
    }
    assert_eq!(patch(Some(&driver), me, Some("*"), &good).await.0, 200);
}

#[tokio::test]
async fn each_change_of_an_account_is_a_new_version() {
    on_each_database(&[], async |platform| {
        let ada = platform.register("ada").await;
        let (me, user) = ("/api/v1/me", format!("/api/v1/users/{}", ada.id));
        let mut seen = Vec::new();
        let mut look = async |step: &str| {
            let (mine, theirs) = (ada.get(&platform, me).await, platform.get(&user).await);
            assert_eq!((mine.status, theirs.status), (200, 200), "{step}");
            assert_eq!(mine.etag(), theirs.etag(), "{step}");
            assert!(!seen.contains(&mine.etag().to_owned()), "{step}: {}", mine.etag());
            seen.push(mine.etag().to_owned());
        };
        look("registered").await;
        let patch = async |change: Value| {
            let now = ada.get(&platform, me).await;
            let request = ada.request(&platform, Method::PATCH, me).header("if-match", now.etag());
            let answer = Answer::to(request.json(&change)).await;
            assert_eq!(
                (answer.status, answer.etag()),
                (200, ada.get(&platform, me).await.etag()),
                "{change}"
            );
            answer
        };
        patch(json!({"name": "Ada Lovelace", "language": "de"})).await;
        look("named").await;
        let pending = patch(json!({"email": "ada@example.com"})).await;
        assert_eq!(
            (&pending.body["email"], &pending.body["email_pending"]),
            (&Value::Null, &json!("ada@example.com"))
        );
        look("with an address to verify").await;
        let address = json!({"line1": "Kai 1", "city": "Hamburg", "country": "DEU"});
        let moved = patch(json!({"address": address})).await;
        assert_eq!(moved.body["address"]["line1"], "Kai 1");
        look("moved").await;
        platform.change_user(&ada.id, &json!({"roles": [{"role": "operator"}]})).await;
        look("with a role").await;
        let same = patch(json!({"name": "Ada Lovelace"})).await;
        assert_eq!(Some(same.etag()), seen.last().map(String::as_str), "nothing has changed");
    })
    .await;
}

#[tokio::test]
async fn what_was_done_to_an_account_stands_in_the_audit_trail() {
    on_each_database(&[], async |platform| {
        let root = platform.register_with("root", &json!([{"role": "admin"}])).await;
        let ada = platform.register("ada").await;
        let body = json!({"roles": [{"role": "operator"}], "status": "blocked", "reason": "unpaid invoices"});
        let path = format!("/api/v1/users/{}", ada.id);
        let done = Answer::to(root.request(&platform, Method::PATCH, &path).json(&body)).await;
        assert_eq!((done.status, &done.body["reason"]), (200, &json!("unpaid invoices")), "{}", done.text);
        let refused = json!({"roles": [{"role": "staff"}], "status": "active"});
        assert_eq!(
            Answer::to(root.request(&platform, Method::PATCH, &path).json(&refused)).await.status,
            400
        );
        let (id, db) = (ada.id.parse().unwrap(), database(&platform).await);
        let subjects = Subjects::These([id].into());
        let entries = db.read(async |tx| audit::list(tx, &subjects, Uuid::max(), 9).await);
        let entries = entries.await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["account.status", "account.roles"], "what was refused is not there");
        for entry in &entries {
            assert_eq!(entry.actor, format!("account:{}", root.id));
            assert_eq!(
                (entry.subject.as_str(), entry.reason.as_deref()),
                ("account", Some("unpaid invoices"))
            );
        }
        let roles = json!({"before": [{"role": "driver"}], "after": [{"role": "operator"}]});
        assert_eq!(entries[1].data.0, roles);
        let blocked = platform.try_to_sign_in("ada", PASSWORD).await;
        assert_eq!(blocked.status, 401);
    })
    .await;
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_its_caller() {
    on_each_database(&[], async |platform| {
        let operator = json!([{"role": "operator"}]);
        let (ada, ben) =
            (platform.register_with("ada", &operator).await, platform.register_with("ben", &operator).await);
        let create = async |person: Option<&Person>, name: &str| {
            let path = "/api/v1/locations";
            let request = match person {
                Some(person) => person.request(&platform, Method::POST, path),
                None => platform.request(Method::POST, path),
            };
            let request = request.header("idempotency-key", "one").json(&tests::platform::location(name));
            let created = Answer::to(request).await;
            assert_eq!(created.status, 201, "{name}: {}", created.text);
            created.id()
        };
        let first = create(Some(&ada), "Adas").await;
        let other = [create(Some(&ben), "Bens").await, create(None, "The key's").await];
        assert!(!other.contains(&first) && other[0] != other[1]);
        assert_eq!(create(Some(&ada), "Adas").await, first, "a repeat");
        let again = platform.sign_in("ada").await;
        assert_eq!(create(Some(&again), "Adas").await, first, "a repeat by another sign-in");
    })
    .await;
}
