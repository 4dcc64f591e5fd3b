//! The store: whether it answers, persists its data, and has the same time as this machine.

use ::store::config::StoreConfig;
use ::store::diagnostics::{RedisFacts, RedisInfo, StoreFacts};
use service_runtime::settings::Settings;

use super::finding::Finding;

/// Older versions lack commands and options that Voltgate uses.
const OLDEST: (u32, u32) = (6, 2);
/// Deadlines in tasks pass from one machine to another.
const MAX_SKEW_MS: i64 = 500;
const SLOW_MS: u128 = 20;
const ALMOST_FULL: f64 = 0.9;

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let Ok(config) = StoreConfig::from_settings(settings) else { return Vec::new() };
    let at = config.url().to_string();
    match config.examine().await {
        Ok(StoreFacts::Redis(facts)) => judge(&facts, &at),
        Ok(StoreFacts::Embedded { exists: true }) => {
            vec![Finding::ok("store", format!("a SQLite file, {at}"))]
        }
        Ok(StoreFacts::Embedded { exists: false }) => {
            let remedy = "start `voltgate up`, or name its directory with --data";
            vec![Finding::failure("store", format!("there is none at {at}"), remedy)]
        }
        Err(error) => vec![Finding::failure(
            "store",
            format!("{at} cannot be used: {error}"),
            "start Redis, or correct REDIS_URL, its password or its database",
        )],
    }
}

fn judge(facts: &RedisFacts, at: &str) -> Vec<Finding> {
    let mut findings = match &facts.info {
        Ok(info) => match of_another_kind(info, at) {
            Some(useless) => return vec![useless],
            None => of_info(info, at),
        },
        Err(why) => vec![Finding::warning(
            "store",
            format!("Redis at {at} does not answer INFO: {why}"),
            "permit it (`ACL SETUSER … +info`) to have its version, role, persistence and memory checked",
        )],
    };
    findings.extend([writable(facts), latency(facts), clock(&facts.clock_ahead_ms)]);
    findings
}

fn of_info(info: &RedisInfo, at: &str) -> Vec<Finding> {
    let mut findings = vec![version(info, at), persistence(info), eviction(info)];
    if info.unfenced {
        let remedy = "set `min-replicas-to-write 1`: an isolated primary would go on accepting writes that are then lost";
        findings.push(Finding::warning("store fail-over", "it accepts writes without its replicas", remedy));
    }
    findings
}

fn of_another_kind(facts: &RedisInfo, at: &str) -> Option<Finding> {
    let (what, remedy) = match facts.mode.as_str() {
        "cluster" => ("a node of a Redis Cluster", "name one Redis server: a cluster is not supported"),
        "sentinel" => ("a Redis Sentinel", "name the primary that it watches"),
        _ if facts.replica => ("a replica", "name the primary in REDIS_URL"),
        _ => return None,
    };
    Some(Finding::failure("store", format!("{what} at {at}"), remedy))
}

fn version(facts: &RedisInfo, at: &str) -> Finding {
    let mut numbers = facts.version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let detail = format!("Redis {} at {at}", facts.version);
    if version < OLDEST {
        return Finding::failure("store", detail, "6.2 or later is required");
    }
    Finding::ok("store", detail)
}

fn writable(facts: &RedisFacts) -> Finding {
    let check = "store write";
    match &facts.writable {
        Ok(()) => Finding::ok(check, "a value can be written"),
        Err(why) => Finding::failure(check, why.clone(), "look at Redis' log, its disk and its memory"),
    }
}

fn persistence(facts: &RedisInfo) -> Finding {
    let check = "store persistence";
    if facts.append_only {
        return Finding::ok(check, "the append-only log is on");
    }
    let remedy =
        "set `appendonly yes` in redis.conf: a crash would lose decisions that clients have received";
    Finding::warning(check, "the append-only log is off", remedy)
}

fn eviction(facts: &RedisInfo) -> Finding {
    let check = "store memory";
    let remedy = "set `maxmemory-policy noeviction`: otherwise records and access lists are dropped silently";
    match (facts.eviction.as_str(), facts.memory_used) {
        ("noeviction", Some(used)) if used > ALMOST_FULL => Finding::warning(
            check,
            format!("{:.0} % of maxmemory is used", used * 100.0),
            "raise maxmemory, or lower LOG_RETENTION_DAYS",
        ),
        ("noeviction", _) => Finding::ok(check, "nothing is evicted"),
        (policy, None) => Finding::warning(check, format!("maxmemory-policy is {policy}"), remedy),
        (policy, Some(_)) => Finding::failure(check, format!("maxmemory-policy is {policy}"), remedy),
    }
}

fn latency(facts: &RedisFacts) -> Finding {
    let (check, milliseconds) = ("store latency", facts.latency.as_millis());
    let detail = format!("{:.1} ms", facts.latency.as_secs_f64() * 1000.0);
    if milliseconds >= SLOW_MS {
        return Finding::warning(check, detail, "each decision needs several round trips: move Redis closer");
    }
    Finding::ok(check, detail)
}

fn clock(ahead_ms: &Result<i64, String>) -> Finding {
    let check = "clock";
    let ahead_ms = match ahead_ms {
        Ok(ahead_ms) => ahead_ms,
        Err(why) => {
            let remedy =
                "permit it (`ACL SETUSER … +time`), or see that both machines are synchronised (NTP)";
            return Finding::warning(check, format!("Redis does not answer TIME: {why}"), remedy);
        }
    };
    let detail = format!("{ahead_ms} ms from Redis to this machine");
    if ahead_ms.abs() > MAX_SKEW_MS {
        let remedy = "synchronise both (NTP): deadlines are absolute times that pass from machine to machine";
        return Finding::warning(check, detail, remedy);
    }
    Finding::ok(check, detail)
}
