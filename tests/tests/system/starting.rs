//! A start that cannot work says why, and where it looked.

use tests::deployment::Deployment;
use tests::process::Process;

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

#[tokio::test]
async fn an_unreachable_dependency_stops_the_start_with_code_69_and_where_it_was_looked_for() {
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
        // Its signals are caught by now.
        process.logged("looking_for").await;
        assert_eq!(process.stop().await, Some(0), "{program}");
    }
}
