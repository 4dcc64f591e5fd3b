//! Mails arrive at a real mail server: each once, readable, and whatever happens to the server.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use charging::notifications::{self, Language, MailKind, NewMail};
use charging::{Db, DbError, Tx};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use test_servers::Postgres;
use tests::deployment::Deployment;
use tests::process::{Process, program};
use tests::python::Python;
use tests::{PATIENCE, eventually, free_port};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Prints each mail as Python reads it. It refuses `unknown@…`, asks to come back later for the first mail to `grey@…`, and
/// takes a login.
const SERVER: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
port, options = int(sys.argv[1]), json.loads(sys.argv[2])
greylisted = set()

class Inbox:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("unknown"):
            return f"550 5.1.1 <{address}> is not here"
        if address.startswith("grey") and address not in greylisted:
            greylisted.add(address)
            return f"451 4.7.1 <{address}> come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.SMTPUTF8)
        part = lambda kind: message.get_body((kind,)).get_content().replace("\r\n", "\n")
        print(json.dumps({
            "sender": envelope.mail_from, "to": envelope.rcpt_tos, "subject": message["subject"], "from": message["from"],
            "id": message["message-id"], "text": part("plain"), "html": part("html"), "tls": session.ssl is not None,
            "login": session.auth_data, "headers": [name.lower() for name in message.keys()],
            "defects": [str(defect) for each in message.walk() for defect in each.defects],
        }), flush=True)
        return "250 OK"

def log_in(server, session, envelope, mechanism, data):
    login = [data.login.decode(), data.password.decode()]
    return AuthResult(success=data.password == b"p@ss w\xc3\xb6rd", handled=False, auth_data=login)

async def main():
    more = {"enable_SMTPUTF8": options.get("utf8", True)}
    if "certificate" in options:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options["certificate"])
        more |= {"tls_context": context, "require_starttls": True, "authenticator": log_in, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Inbox(), **more), "127.0.0.1", port)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

/// A mail server, and what it received.
struct MailServer {
    _process: Python,
    log: NamedTempFile,
    port: String,
}

impl MailServer {
    async fn start(deployment: &Deployment, port: u16, options: &Value) -> Self {
        let log = NamedTempFile::new().unwrap();
        let arguments = [port.to_string(), options.to_string()];
        let arguments = [arguments[0].as_str(), arguments[1].as_str()];
        let process = Python::start(&deployment.servers.python, SERVER, &arguments, log.path());
        let mut server = Self { _process: process, log, port: String::new() };
        server.port = eventually("the mail server to listen", async || {
            Some(server.lines().first()?["port"].as_u64()?.to_string())
        })
        .await;
        server
    }

    fn lines(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn received(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["to"].is_array()).collect()
    }

    /// Everything that was received, once it is this much.
    async fn has(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} mails"), async || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
        .await
    }
}

/// A worker's database, and its settings without a mail server.
struct Stage {
    directory: TempDir,
    deployment: Deployment,
}

impl Stage {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment::new()
            .await
            .with("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:1")
            .with("DATABASE_URL", format!("embedded:{}", directory.path().display()))
            .with("SCHEDULER_TICK_SEC", "0.1")
            .with("PUBLIC_URL", "https://charge.example")
            .with("MAIL_FROM", "Ladestation Köln <mail@charge.example>");
        Db::open(directory.path()).await.unwrap().close().await;
        Self { directory, deployment }
    }

    async fn db(&self) -> Db {
        Db::open_beside(self.directory.path()).await.unwrap()
    }

    fn start_worker(&self, smtp_url: &str) -> Process {
        self.deployment.clone().with("SMTP_URL", smtp_url).start_worker()
    }

    /// The states of all mails, once this many have ended.
    async fn ended(&self, count: usize) -> BTreeMap<String, usize> {
        let db = self.db().await;
        eventually(&format!("{count} mails to have ended"), async || {
            let states = states(&db).await;
            let queued = states.get("queued").copied().unwrap_or_default();
            (states.values().sum::<usize>() - queued >= count).then_some(states)
        })
        .await
    }
}

fn mail<'a>(kind: MailKind, language: Language, to: &'a str, cause: &str) -> NewMail<'a> {
    let (dedupe, expires) = (cause.to_owned(), Duration::from_secs(3600));
    NewMail { kind, account_id: None, to, language, dedupe, expires, data: kind.example() }
}

async fn queue(db: &Db, mail: &NewMail<'_>) {
    db.write(async |tx| notifications::queue(tx, mail).await).await.unwrap();
}

async fn queue_to(db: &Db, addresses: &[&str]) {
    for (number, to) in addresses.iter().enumerate() {
        queue(db, &mail(MailKind::VerifyEmail, Language::De, to, &format!("{to} {number}"))).await;
    }
}

/// How many mails are in each state. One that has ended holds nothing of a person: the database would refuse it.
async fn states(db: &Db) -> BTreeMap<String, usize> {
    let count = async |tx: &mut Tx| {
        let Tx::Lite(lite) = tx else { panic!("a file") };
        let all = sqlx::query_as::<_, (String, Option<String>)>("SELECT state, recipient FROM mails");
        Ok::<_, DbError>(all.fetch_all(&mut **lite).await?)
    };
    let mut states = BTreeMap::new();
    for (state, recipient) in db.read(count).await.unwrap() {
        assert_eq!(state == "queued", recipient.is_some());
        *states.entry(state).or_default() += 1;
    }
    states
}

fn only(state: &str, count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(state.to_owned(), count)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mail_arrives_once_in_its_language() {
    let stage = Stage::set().await;
    let server = MailServer::start(&stage.deployment, 0, &json!({})).await;
    let worker = stage.start_worker(&format!("smtp://127.0.0.1:{}", server.port));
    let db = stage.db().await;
    let all = MailKind::ALL.iter().flat_map(|kind| Language::ALL.iter().map(|language| (*kind, *language)));
    let all: Vec<(MailKind, Language)> = all.collect();
    for (kind, language) in &all {
        let to = format!("{kind}.{language}@müller.example");
        queue(&db, &mail(*kind, *language, &to, language.as_str())).await;
    }
    assert_eq!(stage.ended(all.len()).await, only("sent", all.len()));
    let received = server.has(all.len()).await;
    let ids: BTreeSet<&str> = received.iter().map(|mail| mail["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), received.len()), (all.len(), all.len()), "each once");
    for (kind, language) in all {
        let to = format!("{kind}.{language}@xn--mller-kva.example");
        let mail = received.iter().find(|mail| mail["to"] == json!([to])).unwrap();
        assert_eq!(mail["from"], "Ladestation Köln <mail@charge.example>");
        assert_eq!((&mail["sender"], &mail["defects"]), (&json!("mail@charge.example"), &json!([])));
        let headers = ["from", "to", "subject", "message-id", "auto-submitted", "date", "mime-version"];
        let sent = mail["headers"].as_array().unwrap();
        assert!(headers.iter().all(|header| sent.contains(&json!(header))), "{sent:?}");
        let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
        let hello = if language == Language::De { "Guten Tag anna," } else { "Hello anna," };
        assert!(text.starts_with(hello) && html.contains(hello), "{text}{html}");
    }
    let german = received.iter().find(|mail| mail["to"][0].as_str().unwrap().starts_with("verify_email.de"));
    let german = german.unwrap();
    assert_eq!(german["subject"], "Bitte bestätigen Sie Ihre E-Mail-Adresse");
    let text = german["text"].as_str().unwrap();
    assert!(text.contains("bitte bestätigen Sie, dass diese E-Mail-Adresse Ihnen gehört"), "{text}");
    assert!(text.contains("\nhttps://charge.example/verify#K7QX-3MNP\n"), "{text}");
    let log = worker.log();
    assert!(!log.contains("xample") || !log.contains('@'), "{log}");
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_delays_mails_and_loses_none() {
    let stage = Stage::set().await;
    let port = free_port();
    let worker = stage.start_worker(&format!("smtp://127.0.0.1:{port}"));
    let addresses: Vec<String> = (0..20).map(|number| format!("driver{number}@example.com")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let db = stage.db().await;
    queue_to(&db, &addresses).await;
    eventually("an attempt to have failed", async || {
        worker.log().contains("mails cannot be sent yet").then_some(())
    })
    .await;
    assert_eq!(states(&db).await, only("queued", 20));
    let server = MailServer::start(&stage.deployment, port, &json!({})).await;
    assert_eq!(stage.ended(20).await, only("sent", 20));
    let received = server.has(20).await;
    let to: BTreeSet<&str> = received.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect();
    assert_eq!((to, received.len()), (addresses.into_iter().collect(), 20));
    let log = worker.log();
    assert!(log.contains("mails are sent again") && !log.contains("driver"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_recipient_is_final_and_one_who_is_put_off_gets_the_mail_later() {
    let stage = Stage::set().await;
    let server = MailServer::start(&stage.deployment, 0, &json!({"utf8": false})).await;
    let worker = stage.start_worker(&format!("smtp://127.0.0.1:{}", server.port));
    let addresses = ["unknown@example.com", "grey@example.com", "jürgen@example.com", "an na@example.com"];
    queue_to(&stage.db().await, &addresses).await;
    let expected = BTreeMap::from([("failed".to_owned(), 3), ("sent".to_owned(), 1)]);
    assert_eq!(stage.ended(4).await, expected);
    let received = server.received();
    assert_eq!((received.len(), &received[0]["to"]), (1, &json!(["grey@example.com"])));
    let log = worker.log();
    for said in ["the server refused the recipient with 550", "SMTPUTF8", "malformed", "with 451"] {
        assert!(log.contains(said), "{said} in\n{log}");
    }
    assert!(!log.contains("unknown@") && !log.contains("grey@") && !log.contains("rgen@"), "{log}");
}

/// The files of a private certificate authority and of a certificate for this machine.
fn certificate(directory: &Path) -> [String; 3] {
    let (mut params, key) = (CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let (issuer, key) = (Issuer::new(params, key), KeyPair::generate().unwrap());
    let ours = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = ours.signed_by(&key, &issuer).unwrap().pem();
    [("ca", authority), ("cert", certificate), ("key", key.serialize_pem())].map(|(name, pem)| {
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, pem).unwrap();
        file.display().to_string()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_sent_over_tls_and_a_refused_login_loses_no_mail() {
    let mut stage = Stage::set().await;
    let [authority, certificate, key] = certificate(stage.directory.path());
    let server = MailServer::start(&stage.deployment, 0, &json!({"certificate": [certificate, key]})).await;
    let url = |password: &str| {
        format!("smtp://me%40charge.example:{password}@localhost:{}?tls=required", server.port)
    };
    queue_to(&stage.db().await, &["anna@example.com"]).await;
    // A server whose certificate is not trusted gets no password.
    let stranger = stage.start_worker(&url("p%40ss%20w%C3%B6rd"));
    eventually("TLS to fail", async || stranger.log().contains("STARTTLS").then_some(())).await;
    stranger.stop().await;
    stage.deployment = stage.deployment.clone().with("TLS_CA_FILE", authority);
    let refused = stage.start_worker(&url("wrong"));
    eventually("the login to be refused", async || {
        refused.log().contains("the server answered the login with 535").then_some(())
    })
    .await;
    assert!(!refused.log().contains("wrong"), "{}", refused.log());
    refused.stop().await;
    let worker = stage.start_worker(&url("p%40ss%20w%C3%B6rd"));
    assert_eq!(stage.ended(1).await, only("sent", 1));
    let mail = &server.has(1).await[0];
    let login = json!(["me@charge.example", "p@ss wörd"]);
    assert_eq!((&mail["tls"], &mail["login"]), (&json!(true), &login));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_without_a_mail_server_mails_wait_and_the_log_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_owned();
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&place).unwrap()).await.unwrap();
    let url = format!("{}/postgres", postgres.url());
    let db = Db::connect(&url, 2, PATIENCE).await.unwrap();
    queue_to(&db, &["anna@example.com"]).await;
    let deployment = Deployment::new()
        .await
        .with("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:1")
        .with("DATABASE_URL", url)
        .with("SCHEDULER_TICK_SEC", "0.1");
    let worker = deployment.start_worker();
    let warning = "set SMTP_URL";
    eventually("the warning", async || worker.log().contains(warning).then_some(())).await;
    // A later run drops this one.
    let stale = mail(MailKind::ResetPassword, Language::En, "anna@example.com", "stale");
    queue(&db, &NewMail { expires: Duration::ZERO, ..stale }).await;
    eventually("a later run", async || worker.log().contains("mails were dropped").then_some(())).await;
    assert_eq!(worker.log().matches(warning).count(), 1, "{}", worker.log());
    worker.stop().await;
    let server = MailServer::start(&deployment, 0, &json!({})).await;
    let _worker = deployment.with("SMTP_URL", format!("smtp://127.0.0.1:{}", server.port)).start_worker();
    assert_eq!(server.has(1).await[0]["to"], json!(["anna@example.com"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voltgate_up_writes_mails_to_files_and_prints_their_links() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let ports = ["PUBLIC_API_PORT", "AUTHORIZATION_SERVICE_PORT", "PLATFORM_API_PORT", "OCPP_PORT"];
    let mut up = Command::new(program("voltgate"))
        .args(["up", "--data"])
        .arg(&data)
        .env_clear()
        .envs(ports.map(|port| (port, "0")))
        .env("PUBLIC_URL", "https://charge.example")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(first.as_deref(), Some("voltgate is up"));
    let db = Db::open_beside(&data).await.unwrap();
    queue_to(&db, &["anna@example.com"]).await;
    let announced = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("verify_email") {
                return line;
            }
        }
        panic!("it ended")
    };
    let line = tokio::time::timeout(PATIENCE, announced).await.expect("the link is printed");
    assert!(line.ends_with("verify_email https://charge.example/verify#K7QX-3MNP"), "{line}");
    let folder = data.join("mail");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    assert!(file.display().to_string().ends_with("-verify_email.eml"), "{file:?}");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(file)), (0o700, 0o600));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("To: anna@example.com\r\n"), "{text}");
    eventually("it to be recorded", async || (states(&db).await == only("sent", 1)).then_some(())).await;
}
