//! What Prometheus scrapes reports what happened, and everything that is charted or alerted on exists.

use std::collections::BTreeSet;
use std::path::Path;

use service_runtime::metrics::{Kind, Metric};
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STRANGER};
use tests::{eventually, free_port};
use voltgate::tables;

/// The value of a line such as `name{label="x"}`.
fn all() -> impl Iterator<Item = &'static Metric> {
    tables::METRICS.iter().copied().flatten()
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn a_scrape_after_three_requests_counts_three() {
    let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
    let database = format!("embedded:{}", directory.path().display());
    let mut deployment =
        Deployment::new().await.with("WORKER_HEALTH_PORT", port).with("DATABASE_URL", database);
    let services = deployment.start().await;
    let (host, http) = (CallbackHost::start().await, &deployment.http);
    services.admit(http, DRIVER).await;
    for (driver, path) in [(DRIVER, "/ok/1"), (STRANGER, "/ok/2"), ("short", "/status/404/3")] {
        services.ask(http, driver, &host.url(path)).await;
        host.callback(path).await;
    }
    let refused =
        format!("{}/station/7/driver/{DRIVER}/authorize?callback_url={}", services.api_url, host.url("/"));
    assert_eq!(http.get(refused).send().await.unwrap().status(), 400);

    let scrape = async |base: &str| {
        let answer = http.get(format!("{base}/metrics")).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], service_runtime::metrics::CONTENT_TYPE);
        answer.text().await.unwrap()
    };
    let worker_url = format!("http://127.0.0.1:{port}");
    let worker = eventually("the worker to have finished", async || {
        let text = scrape(&worker_url).await;
        let ended = value(&text, "voltgate_deliveries_total{state=\"undeliverable\"}") == Some(1.0);
        (ended && value(&text, "voltgate_tasks_in_flight") == Some(0.0)).then_some(text)
    })
    .await;
    let (api, acl) = (scrape(&services.api_url).await, scrape(&services.acl_url).await);
    let directory = tempfile::tempdir().unwrap();
    let of_platform =
        deployment.clone().with("DATABASE_URL", format!("embedded:{}", directory.path().display()));
    let (_platform, platform_url) = of_platform.start_platform().await;
    let platform = eventually("events and changes to have been counted", async || {
        let text = scrape(&platform_url).await;
        ["voltgate_outbox_unpublished", "voltgate_core_changes_waiting"]
            .iter()
            .all(|gauge| value(&text, gauge) == Some(0.0))
            .then_some(text)
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let of_gateway = deployment
        .clone()
        .with("DATABASE_URL", format!("embedded:{}", directory.path().display()))
        .with("OCPP_PORT", 0);
    let (_gateway, gateway_url) = of_gateway.start_gateway().await;
    let gateway = scrape(&gateway_url.replace("ws://", "http://")).await;
    let build = format!(
        "voltgate_build_info{{version=\"{}\",commit=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        command_line::COMMIT
    );
    for (text, series, expected) in [
        (&api, build.as_str(), 1.0),
        (&acl, &build, 1.0),
        (&worker, &build, 1.0),
        (&platform, &build, 1.0),
        (&platform, "voltgate_live_streams", 0.0),
        (&gateway, &build, 1.0),
        (&gateway, "voltgate_ocpp_sockets", 0.0),
        (&gateway, "voltgate_ocpp_handshakes_total{result=\"unknown\"}", 0.0),
        (&api, "voltgate_requests_accepted_total", 3.0),
        (&api, "voltgate_requests_refused_total{reason=\"station_id\"}", 1.0),
        (&api, "voltgate_broker_connected{role=\"publish\"}", 1.0),
        (&worker, "voltgate_decisions_total{status=\"allowed\"}", 1.0),
        (&worker, "voltgate_decisions_total{status=\"not_allowed\"}", 1.0),
        (&worker, "voltgate_decisions_total{status=\"invalid\"}", 1.0),
        (&worker, "voltgate_decisions_total{status=\"unknown\"}", 0.0),
        (&worker, "voltgate_queue_wait_seconds_count", 3.0),
        (&worker, "voltgate_decision_seconds_count", 3.0),
        (&worker, "voltgate_callback_seconds_count", 3.0),
        (&worker, "voltgate_acl_request_seconds_count{result=\"answered\"}", 2.0),
        (&worker, "voltgate_callback_attempts_total{class=\"2xx\"}", 2.0),
        (&worker, "voltgate_callback_attempts_total{class=\"4xx\"}", 1.0),
        (&worker, "voltgate_deliveries_total{state=\"delivered\"}", 2.0),
        (&worker, "voltgate_dead_letters_total{reason=\"callback_rejected\"}", 1.0),
        (&worker, "voltgate_broker_connected{role=\"consume\"}", 1.0),
        (&worker, "voltgate_acl_request_seconds_count{result=\"failed\"}", 0.0),
        (&api, "voltgate_store_reachable{writes=\"notes\"}", 1.0),
        (&worker, "voltgate_store_reachable{writes=\"records\"}", 1.0),
        (&acl, "voltgate_store_reachable{writes=\"access_lists\"}", 1.0),
        (&worker, "voltgate_database_reachable", 1.0),
        (&worker, "voltgate_mail_oldest_seconds", 0.0),
        (&worker, "voltgate_mails_total{kind=\"verify_email\",state=\"sent\"}", 0.0),
        (&api, "voltgate_publish_seconds_count", 3.0),
        (&acl, "voltgate_acl_checks_total{result=\"allowed\"}", 1.0),
        (&acl, "voltgate_acl_checks_total{result=\"not_allowed\"}", 1.0),
    ] {
        assert_eq!(value(text, series), Some(expected), "{series} in\n{text}");
    }
    for text in [&api, &worker, &acl] {
        let resident = value(text, "process_resident_memory_bytes");
        assert!(resident.is_some_and(|bytes| bytes > 1e6), "{resident:?}");
        assert!(value(text, "process_cpu_seconds_total").is_some());
        assert!(value(text, "voltgate_store_probe_seconds_count").is_some_and(|count| count >= 1.0));
    }
    eventually("the queues to be counted", async || {
        let text = scrape(&services.api_url).await;
        (value(&text, "voltgate_queue_messages{queue=\"celery.callbacks.dead\"}")? >= 0.0
            && value(&text, "voltgate_queue_messages{queue=\"celery.dead\"}")? == 1.0)
            .then_some(())
    })
    .await;
    let all = [api, worker, acl, platform, gateway].concat();
    assert!(!all.contains(DRIVER) && !all.contains("127.0.0.1"), "{all}");
    every_metric_of_the_table_is_exported(&all);
}

#[tokio::test]
async fn what_an_alert_waits_for_is_counted_from_zero_before_it_happens() {
    let port = free_port();
    let mut deployment = Deployment::new().await.with("WORKER_HEALTH_PORT", port);
    let services = deployment.start().await;
    let scrape = async |base: String| {
        eventually("a scrape", async || {
            let answer = deployment.http.get(format!("{base}/metrics")).send().await.ok()?;
            answer.text().await.ok()
        })
        .await
    };
    let (worker, api) =
        (scrape(format!("http://127.0.0.1:{port}")).await, scrape(services.api_url.clone()).await);
    let readme = document("docs/dead-letters.md");
    let table = readme.split_once("| `dead_reason` |").unwrap().1.split_once("\n\n").unwrap().0;
    let words =
        table.lines().skip(2).filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(','));
    let mut waited_for: Vec<(&str, String)> = words
        .map(|word| format!("voltgate_dead_letters_total{{reason=\"{}\"}}", word.trim().trim_matches('`')))
        .map(|series| (worker.as_str(), series))
        .collect();
    assert!(waited_for.len() > 15, "{waited_for:?}");
    let to_authorize = "/station/{station_id}/driver/{driver_token}/authorize";
    waited_for.extend(
        [
            "voltgate_decisions_total{status=\"unknown\"}",
            "voltgate_deliveries_total{state=\"undeliverable\"}",
            "voltgate_acl_request_seconds_count{result=\"failed\"}",
            "voltgate_acl_request_seconds_count{result=\"answered\"}",
            "voltgate_broker_reconnects_total{role=\"publish\"}",
            "voltgate_broker_reconnects_total{role=\"consume\"}",
            "voltgate_breakers{state=\"open\"}",
        ]
        .map(|series| (worker.as_str(), series.to_owned())),
    );
    waited_for.extend(
        ["task_queue", "queue_too_old", "store"]
            .map(|reason| (api.as_str(), format!("voltgate_requests_refused_total{{reason=\"{reason}\"}}"))),
    );
    let slow =
        format!("voltgate_http_request_seconds_count{{service=\"public-api\",route=\"{to_authorize}\"}}");
    waited_for.push((api.as_str(), slow));
    for (text, series) in waited_for {
        assert_eq!(value(text, &series), Some(0.0), "{series} in\n{text}");
    }
}

fn every_metric_of_the_table_is_exported(text: &str) {
    for metric in all() {
        let suffix = if metric.kind == Kind::Histogram { "_bucket" } else { "" };
        let start = format!("{}{suffix}", metric.name);
        let there = text
            .lines()
            .any(|line| line.strip_prefix(&start).is_some_and(|rest| rest.starts_with([' ', '{'])));
        assert!(there, "{} is in the table, and nobody exports it", metric.name);
    }
}

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The names that begin with `voltgate_`, without the suffixes that Prometheus adds to a histogram.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("voltgate_"))
        .map(|word| {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| word.strip_suffix(suffix));
            let is_histogram =
                |name: &&str| all().any(|metric| metric.name == *name && metric.kind == Kind::Histogram);
            base.filter(is_histogram).unwrap_or(word)
        })
        .collect()
}

#[test]
fn what_is_charted_and_alerted_on_is_exported() {
    let known: BTreeSet<&str> = all().map(|metric| metric.name).collect();
    for file in ["deploy/grafana/voltgate.json", "deploy/prometheus/alerts.yml", "docs/alerts.md"] {
        let text = document(file);
        let named = metrics_in(&text);
        assert!(!named.is_empty(), "{file}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nobody exports");
    }
}

#[test]
fn every_alert_has_a_section_that_says_what_to_do() {
    let (rules, sections) = (document("deploy/prometheus/alerts.yml"), document("docs/alerts.md"));
    let alerts: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let explained: BTreeSet<&str> = sections.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts, explained);
    for alert in alerts {
        assert!(
            rules.contains(&format!("docs/alerts.md#{}", alert.to_lowercase())),
            "{alert} names its section"
        );
    }
}

#[test]
fn every_alert_is_tested_without_series_at_zero_and_firing() {
    let (rules, tests) =
        (document("deploy/prometheus/alerts.yml"), document("deploy/prometheus/alerts_test.yml"));
    let groups: Vec<&str> = tests.split("\n  - name: ").skip(1).collect();
    let [nothing, zero, ..] = &groups[..] else { panic!("no groups of tests") };
    assert!(nothing.starts_with("nothing is scraped") && zero.starts_with("all runs, and nothing happens"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let named = format!("alertname: {alert}");
        assert!(nothing.contains(&named), "{alert} is not tried where its series are missing");
        assert!(
            zero.contains(&format!("{named}, eval_time: 30m, exp_alerts: []")),
            "{alert} at zero is not quiet"
        );
        let section = format!("docs/alerts.md#{}\n", alert.to_lowercase());
        assert!(
            groups[2..].iter().any(|group| group.contains(&section)),
            "{alert} is not tried where it fires"
        );
    }
}

/// Dead letters caused by callback hosts and by remote control have no alert of their own.
#[test]
fn the_dead_letter_alert_excludes_only_host_and_revoke_reasons() {
    let rules = document("deploy/prometheus/alerts.yml");
    let rule = rules.split_once("- alert: VoltgateDeadLetters").unwrap().1.split_once("labels:").unwrap().0;
    assert_eq!(
        rule.matches("voltgate_dead_letters_total{reason!~\"callback_.*|revoked\"}").count(),
        2,
        "{rule}"
    );
}

#[test]
fn every_metric_is_documented() {
    let text = document("docs/metrics.md");
    assert!(text.contains(&tables::metrics()), "put this into docs/metrics.md:\n{}", tables::metrics());
}
