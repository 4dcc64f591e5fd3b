//! Answers about the worker itself: its statistics, its configuration, its memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::ControlState;
use crate::protocol::CELERY_VERSION;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MASK: &str = "********";
/// The maximum number of samples that `memdump` shows.
const SAMPLES: usize = 10;

impl ControlState {
    /// The answer to `stats`, with every key of Celery's answer: Flower reads several of them without checking.
    pub(super) fn stats(&self) -> Value {
        let pid = std::process::id();
        let mut stats = json!({
            "total": self.registry.totals(), "pid": pid, "clock": self.clock.value().to_string(),
            "uptime": self.started.elapsed().as_secs(), "broker": self.broker(),
            "prefetch_count": self.pool.prefetch(), "rusage": usage(),
            "pool": {
                "implementation": "task_queue:Pool", "max-concurrency": self.pool.size(), "processes": [pid],
                "max-tasks-per-child": "N/A", "put-guarded-by-semaphore": true, "timeouts": [0, 0],
                "writes": {
                    "total": self.registry.processed(), "avg": "1.00", "all": "1.00", "raw": "",
                    "strategy": "fair", "inqueues": {"total": 1, "active": 0},
                },
            },
        });
        if let Some(bounds) = self.pool.autoscale() {
            stats["autoscaler"] = json!({
                "max": bounds.max, "min": bounds.min, "current": self.pool.size(), "qty": self.registry.demand(),
            });
        }
        stats
    }

    fn broker(&self) -> Value {
        let Some(account) = self.bus.as_ref().map(crate::broker::Bus::account) else { return json!({}) };
        json!({
            "hostname": account.hostname, "userid": account.userid, "virtual_host": account.virtual_host,
            "port": account.port, "ssl": account.ssl, "heartbeat": f64::from(account.heartbeat),
            "transport": "amqp", "transport_options": {}, "insist": false, "connect_timeout": 10,
            "login_method": "PLAIN", "uri_prefix": null, "failover_strategy": "round-robin",
            "alternates": [], "credential_provider": null,
        })
    }

    /// The answer to `conf`: this worker's values under Celery's names, and the service's own values.
    pub(super) fn conf(&self) -> Value {
        let broker_url = self.bus.as_ref().map(|bus| {
            let account = bus.account();
            let scheme = if account.ssl { "amqps" } else { "amqp" };
            let (userid, hostname, port) = (&account.userid, &account.hostname, account.port);
            format!("{scheme}://{userid}:{MASK}@{hostname}:{port}/{}", account.virtual_host)
        });
        let heartbeat = self.bus.as_ref().map(|bus| f64::from(bus.account().heartbeat));
        let mut conf = Map::new();
        let own = json!({
            "broker_url": broker_url, "broker_heartbeat": heartbeat, "result_backend": null,
            "accept_content": ["json"], "task_serializer": "json", "enable_utc": true, "timezone": "UTC",
            "task_acks_late": true, "worker_concurrency": self.pool.size(), "worker_prefetch_multiplier": 1,
            "worker_send_task_events": self.events.sends_task_events(), "worker_hijack_root_logger": false,
            "worker_log_color": null, "worker_pool_restarts": false, "include": [], "deprecated_settings": null,
        });
        if let Value::Object(own) = own {
            conf.extend(own);
        }
        conf.extend(self.conf.clone());
        Value::Object(conf)
    }
}

/// The answer to `report`.
pub(super) fn report() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "\nsoftware -> celery:{CELERY_VERSION} (task-queue {VERSION}) kombu:none py:none (Rust)\nplatform -> system:{os} arch:{arch}\n"
    )
}

/// The newest answers to `memsample` since the last `memdump`.
#[derive(Debug, Default)]
pub(crate) struct MemorySamples(Mutex<VecDeque<String>>);

impl MemorySamples {
    /// The answer to `memsample`: the resident memory.
    pub(super) fn sample(&self) -> String {
        let (now, mut samples) = (memory(), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        samples.truncate(SAMPLES - 1);
        samples.push_front(now.clone());
        now
    }

    /// The answer to `memdump`: the samples, and the current memory.
    pub(super) fn dump(&self) -> String {
        let samples = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines: Vec<String> =
            samples.iter().rev().map(|sample| format!("-    > {sample},\n")).collect();
        if !lines.is_empty() {
            lines.insert(0, "- rss (sample):\n".to_owned());
        }
        format!("{}- rss (end): {}.\n", lines.concat(), memory())
    }
}

fn memory() -> String {
    let megabytes = f64::from(u32::try_from(resident_kib()).unwrap_or(u32::MAX)) / 1024.0;
    format!("{megabytes:.3}MB")
}

fn resident_kib() -> u64 {
    status_kib("VmRSS:")
}

fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The keys of Python's `getrusage`. Fields that Linux does not maintain are 0, as in Python.
fn usage() -> Value {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in parentheses and may contain spaces; the third field follows it.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    // In hundredths of a second, on all Linux systems.
    let seconds = |number: usize| f64::from(u32::try_from(field(number)).unwrap_or(u32::MAX)) / 100.0;
    json!({
        "utime": seconds(14), "stime": seconds(15), "maxrss": status_kib("VmHWM:"), "ixrss": 0, "idrss": 0,
        "isrss": 0, "minflt": field(10), "majflt": field(12), "nswap": 0, "inblock": 0, "oublock": 0,
        "msgsnd": 0, "msgrcv": 0, "nsignals": 0, "nvcsw": 0, "nivcsw": 0,
    })
}
