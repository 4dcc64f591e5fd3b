//! A start that fails says why, and where it looked.

use tests::deployment::Deployment;
use tests::eventually;
use tests::link::Link;
use tests::process::Process;

use super::accounts::new_database;

#[tokio::test]
async fn a_bad_setting_stops_the_start_with_code_64_and_its_name() {
    let cases = [
        ("public-api", "AUTHORIZATION_TIMEOUT_SEC", "soon"),
        ("public-api", "BROKER_URL", "http://example.com"),
        ("worker", "CALLBACK_ALLOWED_NETWORKS", "10.0.0.0/99"),
        ("worker", "WORKER_CONCURRENCY", "0"),
        ("worker", "TASK_QUEUE_TYPE", "stream"),
        ("acl-service", "REDIS_URL", "memcached://x"),
        ("acl-service", "LOG_RETENTION_DAYS", "-1"),
    ];
    for (program, name, value) in cases {
        let deployment = Deployment::new().await.with(name, value);
        let mut process = Process::start(program, &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(64), "{name}");
        let log = process.log();
        assert!(log.contains(name) && log.contains(value) && log.contains("expected"), "{name}: {log}");
    }
}

/// Each URL with the expected complaint.
const URLS_THAT_ARE_READ_DIFFERENTLY: [(&str, &str, &str); 16] = [
    ("BROKER_URL", "amqp://me:s3cret@ss/w#o?rd@127.0.0.1:1/x", "percent-encoded"),
    ("BROKER_URL", "amqp://me:12/s3cret@127.0.0.1:1", "percent-encoded"),
    ("BROKER_URL", "amqp://me:s3cret:s3cret@127.0.0.1:1/x", "percent-encoded"),
    ("BROKER_URL", "amqp://me:\"s3cret 's3cret@127.0.0.1:1/x", "percent-encoded"),
    ("BROKER_URL", "amqp://a:b@127.0.0.1:1;amqp://c:s3cret@127.0.0.1:1", "several servers"),
    ("BROKER_URL", "amqp://a:s3cret@127.0.0.1:1//;amqp://c:d@127.0.0.1:1//", "several servers"),
    ("BROKER_URL", "me:s3cret@127.0.0.1:1", "scheme"),
    ("BROKER_URL", "AMQP://me:s3cret@127.0.0.1:1", "scheme"),
    ("BROKER_URL", "amqp://me:s3cret@[::1]:1/x", "IPv6"),
    ("BROKER_URL", "amqp://127.0.0.1:1/x?password=s3cret", "`password`"),
    ("BROKER_URL", "amqp://me:s3cret@127.0.0.1:1/x?heartbeat=0", "`heartbeat`"),
    ("REDIS_URL", "redis://:s3cret@s/s@127.0.0.1:1", "percent-encoded"),
    ("REDIS_URL", "rediss:/me:s3cret@127.0.0.1:1", "scheme"),
    ("REDIS_URL", "redis://127.0.0.1:1?password=s3cret", "`password`"),
    ("REDIS_URL", "redis://:s3cret@127.0.0.1:1,127.0.0.1:2", "several servers"),
    ("REDIS_HOST", "me:s3cret@127.0.0.1", "expected a host name"),
];

#[tokio::test]
async fn an_ambiguous_url_stops_the_start_and_shows_no_password() {
    let ours: [(&str, &[&str]); 5] = [
        ("public-api", &[]),
        ("worker", &[]),
        ("voltgate", &["up"]),
        ("voltgate", &["dead", "list"]),
        ("voltgate", &["keys", "list"]),
    ];
    for (name, value, why) in URLS_THAT_ARE_READ_DIFFERENTLY {
        let mut deployment = Deployment::new().await.with(name, value).with("LOG_LEVEL", "trace");
        if name == "REDIS_HOST" {
            deployment.environment.remove("REDIS_URL");
        }
        for (program, arguments) in ours {
            let concerned = match arguments {
                ["dead", ..] => name == "BROKER_URL",
                ["keys", ..] => name != "BROKER_URL",
                _ => true,
            };
            if !concerned {
                continue;
            }
            let (code, out, error) = Process::run(program, arguments, &deployment.environment).await;
            assert_eq!(code, Some(64), "{program} {arguments:?} {value}: {out} {error}");
            assert!(error.contains(name) && error.contains(why), "{program} {arguments:?} {value}: {error}");
            assert!(
                !out.contains("s3cret") && !error.contains("s3cret"),
                "{program} {arguments:?}: {out} {error}"
            );
        }
        let (code, out, error) = Process::run("voltgate", &["doctor"], &deployment.environment).await;
        assert_eq!(code, Some(1), "{out} {error}");
        assert!(out.contains(why) && !out.contains("s3cret") && !error.contains("s3cret"), "{out} {error}");
    }
}

#[tokio::test]
async fn a_password_is_not_shown_in_connection_or_file_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("voltgate.toml");
    std::fs::write(&file, "redis_url = \"redis://:s3cret@127.0.0.1:1\n").unwrap();
    for (code, settings) in [
        (69, vec![("BROKER_URL", "amqp://me:%40s3cret%2F@127.0.0.1:1/x?heartbeat=9&connection_timeout=900")]),
        (69, vec![("REDIS_URL", "redis://me:s3cret@127.0.0.1:1/0?protocol=resp3")]),
        (
            64,
            vec![("OTLP_ENDPOINT", "http://me:s3/cret@127.0.0.1:1"), ("AUTHORIZATION_SERVICE_KEY", "s3cret")],
        ),
        (64, vec![("API_KEYS", "vg_me_s3cret")]),
        (64, vec![("VOLTGATE_CONFIG", file.to_str().unwrap())]),
    ] {
        let mut deployment =
            Deployment::new().await.with("STARTUP_TIMEOUT_SEC", 1).with("LOG_LEVEL", "trace");
        for (name, value) in &settings {
            deployment = deployment.with(name, value);
        }
        let (ended, out, error) = Process::run("worker", &[], &deployment.environment).await;
        assert_eq!(ended, Some(code), "{settings:?}: {out} {error}");
        assert!(!out.contains("s3cret") && !error.contains("s3cret"), "{settings:?}: {out} {error}");
        assert!(!error.contains("s3/cret"), "{settings:?}: {error}");
    }
}

#[tokio::test]
async fn an_unreachable_dependency_stops_the_start_and_is_named() {
    let cases = [
        ("public-api", "BROKER_URL", "amqp://guest:s3cret@127.0.0.1:1/x", "amqp://guest:****@127.0.0.1:1/x"),
        ("acl-service", "REDIS_URL", "redis://:s3cret@127.0.0.1:1", "redis://:****@127.0.0.1:1"),
        ("worker", "BROKER_URL", "embedded:/proc/nowhere", "/proc/nowhere"),
    ];
    for (program, name, value, shown) in cases {
        let deployment = Deployment::new().await.with(name, value).with("STARTUP_TIMEOUT_SEC", 1);
        let mut process = Process::start(program, &[], &deployment.environment);
        assert_eq!(process.ended().await, Some(69), "{name}");
        let log = process.log();
        assert!(log.contains(name) && log.contains(shown) && !log.contains("s3cret"), "{name}: {log}");
    }
}

#[tokio::test]
async fn an_unknown_name_in_the_settings_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("voltgate.toml");
    std::fs::write(&file, "callback_windows_sec = 3\n").unwrap();
    let deployment = Deployment::new().await.with("VOLTGATE_CONFIG", file.display());
    let mut process = Process::start("worker", &[], &deployment.environment);
    assert_eq!(process.ended().await, Some(64));
    assert!(process.log().contains("callback_windows_sec"), "{}", process.log());
}

#[tokio::test]
async fn a_service_that_still_looks_for_its_dependencies_can_be_stopped() {
    for program in ["public-api", "worker", "acl-service"] {
        let deployment = Deployment::new()
            .await
            .with("REDIS_URL", "redis://127.0.0.1:1")
            .with("STARTUP_TIMEOUT_SEC", 3600)
            .with("LOG_LEVEL", "debug");
        let mut process = Process::start(program, &[], &deployment.environment);
        // By now it handles signals.
        process.logged("looking_for").await;
        assert_eq!(process.stop().await, Some(0), "{program}");
    }
}

#[tokio::test]
async fn a_database_that_leaves_between_two_steps_of_a_start_is_waited_for() {
    let deployment = Deployment::new().await.with("DATABASE_URL", new_database().await);
    let deployment = deployment.with("STARTUP_TIMEOUT_SEC", 60);
    let to_database = Link::to(&deployment.environment["DATABASE_URL"]).await;
    let to_broker = Link::to(&deployment.environment["BROKER_URL"]).await;
    let through = deployment.through("DATABASE_URL", &to_database).through("BROKER_URL", &to_broker);
    to_broker.cut();
    let mut platform = Process::start("platform-api", &[], &through.environment);
    let logs = async |platform: &Process, what: &str| {
        eventually(what, async || platform.log().contains(what).then_some(())).await;
    };
    // Its tables are up to date by then.
    logs(&platform, "no connection to the broker").await;
    to_database.cut();
    to_broker.open();
    logs(&platform, "the database cannot be reached yet").await;
    to_database.open();
    platform.logged("address").await;
    assert_eq!(platform.stop().await, Some(0));
}
