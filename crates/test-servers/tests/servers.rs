//! What the servers keep through a kill, and that nothing of them is left behind.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_servers::{Postgres, RabbitMq, Redis};

const CREDENTIALS: &str = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const EVENTUALLY: Duration = Duration::from_secs(10);

#[test]
fn redis_still_has_what_it_confirmed_before_it_was_killed() {
    let dir = TempDir::new().unwrap();
    let mut redis = Redis::start(dir.path()).unwrap();
    assert_eq!(ask_redis(&redis, "SET written yes").unwrap(), "+OK\r\n");

    redis.kill().unwrap();
    assert!(ask_redis(&redis, "GET written").is_err());
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());

    redis.start_again().unwrap();
    assert_eq!(ask_redis(&redis, "GET written").unwrap(), "$3\r\nyes\r\n");
}

#[test]
fn redis_that_is_paused_answers_when_it_goes_on() {
    let dir = TempDir::new().unwrap();
    let mut redis = Redis::start(dir.path()).unwrap();
    redis.pause().unwrap();
    assert!(ask_redis(&redis, "PING").is_err());
    redis.resume().unwrap();
    assert_eq!(ask_redis(&redis, "PING").unwrap(), "+PONG\r\n");

    redis.pause().unwrap();
    redis.stop().unwrap();
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
}

#[test]
fn a_server_runs_only_once_and_only_what_runs_can_be_killed() {
    let dir = TempDir::new().unwrap();
    let mut redis = Redis::start(dir.path()).unwrap();
    assert!(redis.start_again().is_err());
    redis.kill().unwrap();
    assert!(redis.kill().is_err());
    assert!(redis.pause().is_err());
}

#[test]
fn what_a_server_says_when_it_does_not_start_is_in_the_error() {
    let dir = TempDir::new().unwrap();
    let mut redis = Redis::start(dir.path()).unwrap();
    redis.stop().unwrap();
    let taken = redis.url().rsplit_once('/').map(|(_, address)| address.to_owned()).unwrap();
    let _other = std::net::TcpListener::bind(taken).unwrap();
    let error = format!("{:#}", redis.start_again().unwrap_err());
    assert!(error.contains("Redis does not start: it ended with"), "{error}");
    assert!(error.contains("Address already in use"), "{error}");
}

#[test]
fn rabbitmq_keeps_a_durable_message_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let mut rabbitmq = RabbitMq::start(dir.path()).unwrap();
    assert_status(&rabbitmq, "PUT", "/api/vhosts/own", "", "201");
    assert_status(&rabbitmq, "PUT", "/api/queues/own/kept", r#"{"durable":true}"#, "201");
    let message = r#"{"routing_key":"kept","payload":"a","payload_encoding":"string","properties":{"delivery_mode":2}}"#;
    assert_status(&rabbitmq, "POST", "/api/exchanges/own/amq.default/publish", message, "200");

    let urls = (rabbitmq.amqp_url(), rabbitmq.api_url());
    rabbitmq.kill().unwrap();
    assert!(ask_api(&rabbitmq, "GET", "/api/whoami", "").is_err());
    rabbitmq.start_again().unwrap();
    assert_eq!((rabbitmq.amqp_url(), rabbitmq.api_url()), urls);
    assert_depth_becomes_one(&rabbitmq);

    rabbitmq.stop().unwrap();
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
    rabbitmq.start_again().unwrap();
    assert_depth_becomes_one(&rabbitmq);

    rabbitmq.pause().unwrap();
    assert!(ask_api(&rabbitmq, "GET", "/api/whoami", "").is_err());
    rabbitmq.resume().unwrap();
    assert_status(&rabbitmq, "GET", "/api/whoami", "", "200");

    let running = processes_below(dir.path()).join("\n");
    assert!(running.contains("beam") && running.contains("epmd"), "{running}");
    drop(rabbitmq);
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
}

#[test]
fn postgres_still_has_what_it_committed_before_it_was_killed() {
    let dir = TempDir::new().unwrap();
    let mut postgres = Postgres::start(dir.path()).unwrap();
    let url = postgres.url();
    ask_postgres(&url, "CREATE TABLE kept (word text)").unwrap();
    ask_postgres(&url, "INSERT INTO kept VALUES ('yes')").unwrap();
    assert_eq!(ask_postgres(&url, "SHOW fsync").unwrap(), "on");

    postgres.kill().unwrap();
    assert!(ask_postgres(&url, "SELECT 1").is_err());
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
    postgres.start_again().unwrap();
    assert_eq!(postgres.url(), url);
    assert_eq!(ask_postgres(&url, "SELECT word FROM kept").unwrap(), "yes");

    postgres.stop().unwrap();
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
    postgres.start_again().unwrap();
    assert_eq!(ask_postgres(&url, "SELECT word FROM kept").unwrap(), "yes");
    drop(postgres);
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
}

#[test]
fn postgres_that_is_paused_answers_on_old_connections_later() {
    let dir = TempDir::new().unwrap();
    let mut postgres = Postgres::start(dir.path()).unwrap();
    let url = postgres.url();
    let address = url.strip_prefix("postgres://postgres@").unwrap();
    let mut old = connect(address).unwrap();
    old.write_all(b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0").unwrap();
    let mut answer = [0; 4096];
    while !answer.starts_with(b"Z") {
        // The last message is six bytes long: ReadyForQuery.
        let length = old.read(&mut answer).unwrap();
        answer.copy_within(length.saturating_sub(6)..length, 0);
    }

    postgres.pause().unwrap();
    old.write_all(b"Q\0\0\0\x0dSELECT 1\0").unwrap();
    assert!(old.read(&mut answer).is_err() && ask_postgres(&url, "SELECT 1").is_err());
    postgres.resume().unwrap();
    assert!(old.read(&mut answer).unwrap() > 0);
    assert_eq!(ask_postgres(&url, "SELECT 1").unwrap(), "1");

    postgres.pause().unwrap();
    postgres.stop().unwrap();
    assert_eq!(processes_below(dir.path()), Vec::<String>::new());
}

/// All processes whose environment names the directory, however they were started, or that work in it; the servers'
/// processes do. Those of PostgreSQL overwrite their environment with a title.
fn processes_below(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let named = entries.filter(|process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(dir) || works_in.starts_with(dir)
    });
    named.map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default()).collect()
}

fn ask_redis(redis: &Redis, command: &str) -> std::io::Result<String> {
    let url = redis.url();
    let mut stream = connect(url.strip_prefix("redis://").unwrap())?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// The only value of the answer; an error is what `psql` printed.
fn ask_postgres(url: &str, statement: &str) -> Result<String, String> {
    let mut psql = Command::new("psql");
    let limits = "connect_timeout=2&options=-cstatement_timeout%3D5s";
    let output = psql.args(["-XAtqc", statement, &format!("{url}/postgres?{limits}")]).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn ask_api(rabbitmq: &RabbitMq, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let url = rabbitmq.api_url();
    let mut stream = connect(url.strip_prefix("http://guest:guest@").unwrap())?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{CREDENTIALS}\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    Ok(stream)
}

fn assert_status(rabbitmq: &RabbitMq, method: &str, path: &str, body: &str, status: &str) {
    let answer = ask_api(rabbitmq, method, path, body).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
}

/// The numbers in the management API are updated with a delay.
fn assert_depth_becomes_one(rabbitmq: &RabbitMq) {
    let started = Instant::now();
    loop {
        let queue = ask_api(rabbitmq, "GET", "/api/queues/own/kept", "").unwrap();
        if queue.contains(r#""messages":1,"#) {
            return;
        }
        assert!(started.elapsed() < EVENTUALLY, "{queue}");
        sleep(Duration::from_millis(100));
    }
}
