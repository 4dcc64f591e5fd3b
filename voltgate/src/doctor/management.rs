//! The facts about Celery's ladder of delays that AMQP does not show: the effect of policies on its queues, and its
//! bindings. They come from RabbitMQ's management API, if BROKER_MANAGEMENT_URL names it.

use std::collections::HashSet;
use std::time::Duration;

use authorization::settings::{BROKER_MANAGEMENT_URL, BROKER_URL};
use authorization::tasks::deliver_callback;
use serde_json::{Map, Value};
use service_runtime::settings::{Settings, without_password};
use task_queue::broker::diagnostics::DELAY_LEVELS;
use url::Url;

use super::finding::Finding;

const LIMIT: Duration = Duration::from_secs(5);
const CHECK: &str = "broker delay policies";

/// Returns nothing if the setting is not set.
pub(super) async fn look(settings: &Settings, requests: &str) -> Vec<Finding> {
    let base = settings.text(&BROKER_MANAGEMENT_URL);
    if base.is_empty() {
        return Vec::new();
    }
    let vhost = vhost(settings.text(&BROKER_URL));
    let asking = async { Ok((ask(base, "queues", &vhost).await?, ask(base, "bindings", &vhost).await?)) };
    match asking.await {
        Ok((queues, bindings)) => vec![policies(&queues), bound(&bindings, requests)],
        Err(error) => {
            let error: reqwest::Error = error;
            let detail = format!("{} did not answer: {}", without_password(base), error.without_url());
            vec![Finding::failure(
                CHECK,
                detail,
                "correct BROKER_MANAGEMENT_URL; its user needs the tag `monitoring`",
            )]
        }
    }
}

/// The vhost as the broker's URL encodes it, which is also the API's encoding.
fn vhost(broker: &str) -> String {
    let url = Url::parse(broker).ok();
    let name = url.map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default();
    if name.is_empty() { "%2F".to_owned() } else { name }
}

async fn ask(base: &str, what: &str, vhost: &str) -> Result<Vec<Value>, reqwest::Error> {
    let http = reqwest::Client::builder().timeout(LIMIT).build()?;
    let url = format!("{}/api/{what}/{vhost}", base.trim_end_matches('/'));
    http.get(url).send().await?.error_for_status()?.json().await
}

fn policies(queues: &[Value]) -> Finding {
    let mut harm = Vec::new();
    for level in 0..DELAY_LEVELS {
        let name = level_name(level);
        let queue = queues.iter().find(|queue| queue["name"] == name);
        let definition = queue.and_then(|queue| queue["effective_policy_definition"].as_object());
        harm.extend(
            definition
                .into_iter()
                .flat_map(|policy| harmful(policy, level))
                .map(|why| format!("{name}: {why}")),
        );
    }
    if harm.is_empty() {
        return Finding::ok(CHECK, "no policy changes how messages are delayed");
    }
    Finding::failure(
        CHECK,
        harm.join("; "),
        "take celery_delayed_.* out of the pattern of that policy (`rabbitmqctl list_policies`): it loses retries",
    )
}

/// The keys of a policy that override the queue's own arguments, or add to them.
fn harmful(policy: &Map<String, Value>, level: u32) -> Vec<String> {
    let own_ttl = 1000u64 << level;
    let harms = |name: &str, value: &Value| match name {
        "expires" | "max-length" | "max-length-bytes" => true,
        "overflow" => value != "reject-publish",
        "dead-letter-strategy" => value != "at-least-once",
        "message-ttl" => value.as_u64().is_none_or(|ttl| ttl < own_ttl),
        _ => false,
    };
    policy
        .iter()
        .filter(|(name, value)| harms(name, value))
        .map(|(name, value)| format!("{name} is {value}"))
        .collect()
}

fn bound(bindings: &[Value], requests: &str) -> Finding {
    let text = |binding: &Value, name: &str| binding[name].as_str().unwrap_or_default().to_owned();
    let there: HashSet<[String; 3]> = bindings
        .iter()
        .map(|binding| ["source", "destination", "routing_key"].map(|name| text(binding, name)))
        .collect();
    let missing: Vec<String> = wanted(requests)
        .into_iter()
        .filter(|binding| !there.contains(binding))
        .map(|[source, destination, key]| format!("{source} to {destination} by {key}"))
        .collect();
    let check = "broker delay bindings";
    match missing.is_empty() {
        true => Finding::ok(check, "each level leads to the next, and the last to the queues"),
        false => Finding::failure(
            check,
            format!("missing: {}", missing.join(", ")),
            "a running worker recreates the bindings within half a minute: start one",
        ),
    }
}

/// Source, destination and key of each binding.
fn wanted(requests: &str) -> Vec<[String; 3]> {
    let foot = "celery_delayed_delivery";
    let levels = (0..DELAY_LEVELS).flat_map(|level| {
        let (name, above) = (level_name(level), "*.".repeat((DELAY_LEVELS - 1 - level) as usize));
        let below = level.checked_sub(1).map_or_else(|| foot.to_owned(), level_name);
        [[name.clone(), name.clone(), format!("{above}1.#")], [name, below, format!("{above}0.#")]]
    });
    let queues = [requests.to_owned(), deliver_callback::queue(requests)];
    levels.chain(queues.map(|queue| [foot.to_owned(), queue.clone(), format!("#.{queue}")])).collect()
}

fn level_name(level: u32) -> String {
    format!("celery_delayed_{level}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_harms_a_delay_queue_where_it_loses_or_hastens_what_is_held() {
        let harm = |policy: Value, level| harmful(policy.as_object().unwrap(), level);
        assert_eq!(
            harm(json!({"ha-mode": "all", "message-ttl": 9000, "overflow": "reject-publish"}), 3),
            [""; 0]
        );
        assert_eq!(harm(json!({"message-ttl": 7999, "expires": 60_000}), 3).len(), 2);
        assert_eq!(harm(json!({"overflow": "drop-head", "max-length": 10}), 0).len(), 2);
    }

    #[test]
    fn the_vhost_is_written_as_the_api_wants_it() {
        for (url, name) in [
            ("amqp://guest:guest@127.0.0.1:5672", "%2F"),
            ("amqp://guest:guest@127.0.0.1:5672/", "%2F"),
            ("amqp://guest:guest@127.0.0.1:5672/%2f", "%2f"),
            ("amqps://host/charging?heartbeat=5", "charging"),
        ] {
            assert_eq!(vhost(url), name, "{url}");
        }
    }
}
