//! A person with recognizable marks uses everything and leaves: the marks are found nowhere but where the table of
//! `docs/privacy.md` says.

use std::collections::BTreeMap;
use std::path::Path;

use charging::accounts::codes::{self, Purpose};
use charging::notifications::{self, MailKind};
use charging::{At, Db, DbError, Tx};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use test_servers::Postgres;
use tests::callback_host::CallbackHost;
use tests::deployment::{Deployment, QUEUE, ask, record_once};
use tests::event_stream::EventStream;
use tests::platform::Answer;
use tests::process::Process;
use tests::servers::reqwest_client;
use tests::{PATIENCE, eventually, free_port};
use uuid::Uuid;

/// In everything that is about the person, in any case.
const MARK: &str = "qzjxmark";
/// The driver token, which is a pseudonym.
const PSEUDONYM: &str = "qzjxpseudonym_token_0001";
const PASSWORD: &str = "qzjxmark password";

/// The person, by way of one platform-api.
struct Person {
    url: String,
    http: reqwest::Client,
    access: String,
    id: Uuid,
}

impl Person {
    async fn register(url: &str, db: &Db) -> Self {
        let http = reqwest_client();
        let body = json!({"username": "qzjxmark.ada", "password": PASSWORD, "email": "qzjxmark@example.com"});
        let request = http.post(format!("{url}/api/auth/register/")).header("user-agent", "qzjxmark browser");
        let user = Answer::to(request.json(&body)).await;
        assert_eq!(user.status, 201, "{}", user.text);
        let id: Uuid = user.body["user"]["id"].as_str().unwrap().parse().unwrap();
        let access = user.body["access"].as_str().unwrap().to_owned();
        // The code of the mail is known to its reader only, so the address is proved by one of our own.
        let email = "qzjxmark@example.com".parse().unwrap();
        let code =
            db.write(async |tx| codes::create(tx, id, Purpose::VerifyEmail, &email).await).await.unwrap();
        let body = json!({"code": code.reveal()});
        let verified = Answer::to(http.post(format!("{url}/api/auth/verify/")).json(&body)).await;
        assert_eq!(verified.status, 200, "{}", verified.text);
        Self { url: url.to_owned(), http, access, id }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.access);
        let request = request.header("if-match", "*").header("user-agent", "qzjxmark browser");
        let answer = Answer::to(match body {
            Some(body) => request.json(&body),
            None => request,
        });
        let answer = answer.await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer
    }

    /// Leaves marks everywhere.
    async fn live(&self, db: &Db) {
        let address = json!({"line1": "qzjxmark street 1", "city": "qzjxmark city", "country": "DEU"});
        let profile =
            json!({"name": "qzjxmark Lovelace", "address": address, "email": "qzjxmark.new@example.com"});
        self.send(Method::PATCH, "/api/v1/me", Some(profile)).await;
        let change = json!({"password": PASSWORD, "new_password": "qzjxmark password two"});
        self.send(Method::POST, "/api/v1/me/password", Some(change)).await;
        let reset = json!({"email": "qzjxmark@example.com"});
        self.send(Method::POST, "/api/auth/reset/", Some(reset)).await;
        let wrong = json!({"username": "qzjxmark.ada", "password": "qzjxmark wrong"});
        let refused = self.http.post(format!("{}/api/auth/login/", self.url)).json(&wrong);
        assert_eq!(Answer::to(refused).await.status, 401);
        let id = self.id;
        db.write(async move |tx| own(tx, id).await).await.unwrap();
    }

    async fn stream(&self) -> EventStream {
        let request = self.http.get(format!("{}/api/v1/live", self.url)).bearer_auth(&self.access);
        EventStream::open(request).await.begun().await
    }
}

/// A vehicle and a token.
async fn own(tx: &mut Tx, account: Uuid) -> Result<(), DbError> {
    const VEHICLE: &str = "INSERT INTO vehicles (id, account_id, name, plate, version, created_at, updated_at) \
                           VALUES ($1, $2, 'qzjxmark car', 'QZJXMARK-1', 1, $3, $3)";
    const TOKEN: &str = "INSERT INTO tokens (id, account_id, type, uid, uid_key, driver_token, status, owner_blocked, \
                         whitelist, version, created_at, updated_at) VALUES ($1, $2, 'APP_USER', 'QZJXMARKUID', 'qzjxmarkuid', $4, 'active', FALSE, \
                         'allowed', 1, $3, $3)";
    for (statement, name) in [(VEHICLE, ""), (TOKEN, PSEUDONYM)] {
        let (id, now) = (Uuid::now_v7(), At::now());
        match tx {
            Tx::Pg(pg) => {
                let query = sqlx::query(statement).bind(id).bind(account).bind(now);
                if name.is_empty() { query } else { query.bind(name) }.execute(&mut **pg).await.map(drop)
            }
            Tx::Lite(lite) => {
                let query = sqlx::query(statement).bind(id).bind(account).bind(now);
                if name.is_empty() { query } else { query.bind(name) }.execute(&mut **lite).await.map(drop)
            }
        }?;
    }
    Ok(())
}

/// Waits until no mail is queued: the last one too is sent, and its address is gone.
async fn all_mails_sent(db: &Db) {
    eventually("all mails to be sent", async || {
        let oldest = db.read(async |tx| notifications::oldest(tx).await).await.unwrap();
        oldest.is_none().then_some(())
    })
    .await;
}

/// The places, by what was found in them.
#[derive(Default)]
struct Search {
    places: BTreeMap<String, String>,
}

impl Search {
    fn add(&mut self, place: impl Into<String>, content: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(content.as_ref()).to_lowercase();
        self.places.entry(place.into()).or_default().push_str(&text);
    }

    fn with(&self, word: &str) -> Vec<&str> {
        self.places.iter().filter(|(_, text)| text.contains(word)).map(|(place, _)| place.as_str()).collect()
    }

    fn processes(&mut self, processes: &[&Process]) {
        for process in processes {
            self.add("log", process.log());
        }
    }

    async fn metrics(&mut self, urls: &[&str]) {
        for url in urls {
            let text =
                reqwest_client().get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
            assert!(text.contains("# TYPE"), "{url}");
            self.add("metrics", text);
        }
    }

    fn folder(&mut self, place: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                self.add(place, std::fs::read(path).unwrap());
            }
        }
    }

    async fn postgres(&mut self, db: &Db) {
        let rows = db.read(async |tx| {
            let Tx::Pg(pg) = tx else { panic!("PostgreSQL") };
            let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
            let tables: Vec<(String,)> = sqlx::query_as(tables).fetch_all(&mut **pg).await?;
            let mut rows: Vec<(String, String)> = Vec::new();
            for (table,) in tables {
                let text = format!("SELECT row_to_json(r)::text FROM {table} AS r");
                let found: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(text)).fetch_all(&mut **pg).await?;
                rows.extend(found.into_iter().map(|(row,)| (table.clone(), row)));
            }
            Ok::<_, DbError>(rows)
        });
        for (table, row) in rows.await.unwrap() {
            self.add(format!("database: {table}"), row);
        }
    }

    async fn redis(&mut self, deployment: &Deployment) {
        let mut redis = deployment.servers.redis().await;
        for key in deployment.keys().await {
            let whole = format!("{}{key}", deployment.prefix);
            let value = content(&mut redis, &whole).await;
            self.add("store", format!("{key} {value}"));
        }
    }
}

async fn content(redis: &mut MultiplexedConnection, key: &str) -> String {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(redis).await.unwrap();
    let value: redis::RedisResult<redis::Value> = match kind.as_str() {
        "string" => redis.get(key).await,
        "hash" => redis.hgetall(key).await,
        "set" => redis.smembers(key).await,
        "zset" => redis.zrange(key, 0, -1).await,
        "list" => redis.lrange(key, 0, -1).await,
        "stream" => redis::cmd("XRANGE").arg(key).arg("-").arg("+").query_async(redis).await,
        other => panic!("{key} is a {other}"),
    };
    // Bytes are shown escaped, letters as they are.
    format!("{:?}", value.unwrap()).chars().filter(|one| !one.is_control()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_servers_a_person_who_left_is_found_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_owned();
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&place).unwrap()).await.unwrap();
    let url = format!("{}/postgres", postgres.url());
    let folder = directory.path().join("mails");
    let mut deployment = Deployment::new()
        .await
        .with("DATABASE_URL", &url)
        .with("MAIL_FOLDER", folder.display())
        .with("SCHEDULER_TICK_SEC", "0.1")
        .with("AUTH_RATE_PER_MIN", "0");
    let db = Db::connect(&url, 4, PATIENCE).await.unwrap();
    let (platform, platform_url) = deployment.start_platform().await;
    let services = deployment.start().await;
    let person = Person::register(&platform_url, &db).await;
    let mut stream = person.stream().await;
    person.live(&db).await;

    // An authorization that is called back, and one whose callback is dead-lettered.
    let host = CallbackHost::start().await;
    let http = &deployment.http;
    let called = ask(http, &services.api_url, PSEUDONYM, &host.url("/ok")).await.unwrap();
    record_once(http, &services.api_url, &called, "delivered").await;
    let lost = ask(http, &services.api_url, PSEUDONYM, &host.url("/status/410")).await.unwrap();
    record_once(http, &services.api_url, &lost, "undeliverable").await;

    let mut before = Search::default();
    before.postgres(&db).await;
    let tables = ["accounts", "sign_ins", "vehicles", "tokens"].map(|table| format!("database: {table}"));
    for table in &tables {
        assert!(before.with(MARK).contains(&table.as_str()), "{table}: {:?}", before.with(MARK));
    }
    person.send(Method::DELETE, "/api/v1/me", None).await;
    tokio::time::timeout(PATIENCE, async { while stream.next().await.is_some() {} }).await.expect("it ends");
    all_mails_sent(&db).await;

    let mut search = Search::default();
    search.postgres(&db).await;
    search.redis(&deployment).await;
    for queue in [QUEUE, "celery.callbacks", "voltgate.platform"] {
        for message in
            deployment.drain(queue).await.into_iter().chain(deployment.drain(&format!("{queue}.dead")).await)
        {
            search.add("queues", message.to_string());
        }
    }
    search.processes(&[&platform, &services.api, &services.acl, &services.worker]);
    search.metrics(&[&platform_url, &services.api_url, &services.acl_url]).await;
    search.folder("mail folder", &folder);
    assert_eq!(search.with(MARK), ["mail folder"], "as the table says");
    let id = person.id.to_string();
    let ids = search.with(&id);
    let allowed = [
        "database: audit",
        "database: core_changes",
        "database: erasures",
        "database: mails",
        "database: outbox",
        "log",
    ];
    assert!(ids.iter().all(|place| allowed.contains(place)), "{ids:?}");
    let pseudonyms = search.with(PSEUDONYM);
    let allowed = ["database: core_changes", "queues", "store"];
    assert!(pseudonyms.iter().all(|place| allowed.contains(place)), "{pseudonyms:?}");
    assert!(pseudonyms.contains(&"store"), "the search finds what is there: {pseudonyms:?}");
    let sent = std::fs::read_dir(&folder).unwrap().count();
    assert!(sent >= 1, "{sent} mails, the last one about the erasure");
    let last = format!("{}", MailKind::AccountErased);
    let mut names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.any(|name| name.to_string_lossy().contains(&last)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_one_process_no_byte_of_a_person_who_left_stays() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = free_port();
    let ports = [
        ("PUBLIC_API_PORT", 0),
        ("AUTHORIZATION_SERVICE_PORT", 0),
        ("PLATFORM_API_PORT", port),
        ("OCPP_PORT", 0),
    ];
    let mut environment: BTreeMap<String, String> =
        ports.map(|(name, port)| (name.to_owned(), port.to_string())).into();
    environment.insert("AUTH_RATE_PER_MIN".to_owned(), "0".to_owned());
    let up = Process::start("voltgate", &["up", "--data", &data.display().to_string()], &environment);
    let url = format!("http://127.0.0.1:{port}");
    eventually("platform-api to be ready", async || {
        let ready = reqwest_client().get(format!("{url}/readyz")).send().await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    let db = Db::open_beside(&data).await.unwrap();
    let person = Person::register(&url, &db).await;
    person.live(&db).await;
    person.send(Method::DELETE, "/api/v1/me", None).await;
    all_mails_sent(&db).await;
    let mut search = Search::default();
    search.metrics(&[&url]).await;
    db.close().await;
    let log = up.log();
    assert_eq!(up.stop().await, Some(0));
    search.add("log", log);
    search.folder("data", &data);
    search.folder("mail folder", &data.join("mail"));
    assert!(data.join("platform.db").is_file());
    assert_eq!(search.with(MARK), ["mail folder"], "as the table says");
    assert!(search.with(&person.id.to_string()).len() <= 1, "ids are bytes in the database");
}
