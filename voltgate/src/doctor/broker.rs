//! The broker: whether it is usable, and the state of the queues.

use authorization::config::broker_url;
use authorization::settings::{TASK_QUEUE, TASK_QUEUE_TYPE};
use authorization::tasks::deliver_callback;
use charging::settings::DATABASE_URL;
use service_runtime::settings::{STARTUP_TIMEOUT_SEC, Settings};
use task_queue::broker::diagnostics::{
    BrokerFacts, DelayFacts, LadderFacts, QueueFacts, QueueState, examine,
};
use task_queue::dead_letter;

use super::finding::Finding;
use super::management;

/// More waiting messages than a worker runs and prefetches.
const MANY: u64 = 1000;

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    // An unusable URL is reported among the findings about the settings.
    let Ok(url) = broker_url(settings) else { return Vec::new() };
    let requests = settings.text(&TASK_QUEUE).to_owned();
    let callbacks = deliver_callback::queue(&requests);
    let mut names = vec![requests, callbacks];
    if settings.is_given(&DATABASE_URL) {
        names.push(platform_queue::QUEUE.to_owned());
    }
    let dead: Vec<String> = names.iter().map(|queue| dead_letter::queue_of(queue)).collect();
    names.extend(dead);
    let Ok(limit) = settings.seconds(&STARTUP_TIMEOUT_SEC, 3600) else { return Vec::new() };
    let at = url.to_string();
    match examine(url.expose(), &names, limit).await {
        Ok(facts) => {
            let mut findings = judge(&facts, &at, settings);
            if matches!(facts.delays, DelayFacts::Ladder(_)) {
                findings.extend(management::look(settings, settings.text(&TASK_QUEUE)).await);
            }
            findings
        }
        Err(error) => vec![unreachable(&error.to_string(), &at)],
    }
}

fn unreachable(why: &str, at: &str) -> Finding {
    let remedy = if at.starts_with("embedded:") {
        "start `voltgate up`, or name its directory with --data"
    } else if why.contains("ACCESS_REFUSED") || why.contains("ACCESS-REFUSED") {
        "the user or the password of BROKER_URL is wrong, or the user may not log in from here"
    } else if why.to_lowercase().contains("vhost")
        || why.contains("NOT_ALLOWED")
        || why.contains("NOT-ALLOWED")
    {
        "create the vhost (`rabbitmqctl add_vhost`) and give the user permissions (`rabbitmqctl set_permissions`)"
    } else {
        "start RabbitMQ, or correct BROKER_URL; a firewall may block the connection"
    };
    Finding::failure("broker", format!("{at} cannot be used: {why}"), remedy)
}

fn judge(facts: &BrokerFacts, at: &str, settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("broker", format!("{} at {at}", facts.product)), way_through(facts)];
    for queue in &facts.queues {
        findings.extend(match dead_letter::is_one(&queue.name) {
            true => vec![dead_letters(queue)],
            false => living(queue, settings.text(&TASK_QUEUE_TYPE)),
        });
    }
    findings.push(delays(&facts.delays));
    findings
}

fn delays(facts: &DelayFacts) -> Finding {
    let check = "broker delays";
    match facts {
        DelayFacts::Own => Finding::ok(check, "messages can be delayed"),
        DelayFacts::NoLadder => Finding::warning(
            check,
            "Celery's ladder of delay queues does not exist yet",
            "a worker creates it at start-up: start one, with permission to configure celery_delayed_.*",
        ),
        DelayFacts::Unknown(why) => Finding::warning(
            check,
            format!("Celery's ladder of delay queues cannot be examined: {why}"),
            "give the user permission to configure celery_delayed_.*",
        ),
        DelayFacts::Ladder(LadderFacts { missing, .. }) if !missing.is_empty() => Finding::failure(
            check,
            format!("of Celery's ladder of delay queues is missing: {}", missing.join(", ")),
            "a running worker recreates it within half a minute; whatever deletes it, perhaps a policy with `expires`, \
             loses the retries in it",
        ),
        DelayFacts::Ladder(LadderFacts { different, .. }) if !different.is_empty() => Finding::warning(
            check,
            format!("declared differently from kombu's: {}", different.join("; ")),
            "it is used as it is; to let a worker recreate it, drain and delete the queue",
        ),
        DelayFacts::Ladder(LadderFacts { messages, .. }) => {
            Finding::ok(check, format!("every level exists; messages waiting: {messages}"))
        }
    }
}

fn way_through(facts: &BrokerFacts) -> Finding {
    let check = "broker publish";
    match &facts.round_trip {
        Ok(_) if !facts.blocked => Finding::ok(check, "a message is confirmed and comes back"),
        Err(why) if why.contains("ACCESS") => Finding::failure(
            check,
            format!("refused: {why}"),
            "give the user permission to configure, write and read: `rabbitmqctl set_permissions`",
        ),
        Err(why) if !facts.blocked => {
            Finding::failure(check, why.clone(), "look at RabbitMQ's log and `rabbitmqctl list_alarms`")
        }
        _ => Finding::failure(
            check,
            "the broker accepts no messages: it is short of memory or disk",
            "`rabbitmqctl list_alarms`; free disk, or raise vm_memory_high_watermark",
        ),
    }
}

fn living(queue: &QueueFacts, wanted: &str) -> Vec<Finding> {
    let check = format!("queue {}", queue.name);
    let Some(QueueState { messages, consumers, kind }) = &queue.state else {
        let detail = "it does not exist, or the user may not see it";
        return vec![Finding::warning(
            check,
            detail,
            "the first service that uses it creates it at start-up",
        )];
    };
    let kind = match kind {
        Some(kind) if *kind == wanted || *kind == "embedded" => Finding::ok(&check, format!("is {kind}")),
        Some(kind) => Finding::warning(
            &check,
            format!("is {kind}, and TASK_QUEUE_TYPE says {wanted}; it is used as it is"),
            format!("set TASK_QUEUE_TYPE={kind}, or drain and delete the queue"),
        ),
        None => Finding::ok(&check, "exists, with its own arguments"),
    };
    let check = format!("consumers of {}", queue.name);
    let detail = |consumers: u64| format!("consumers: {consumers}, messages waiting: {messages}");
    let consumers = match consumers {
        Some(0) => Finding::failure(check, detail(0), "start a worker: no consumer takes these messages"),
        Some(some) if *messages >= MANY => {
            Finding::warning(check, detail(*some), "start more workers, or see why callbacks are slow")
        }
        Some(some) => Finding::ok(check, detail(*some)),
        None => Finding::ok(check, format!("messages waiting: {messages}")),
    };
    vec![kind, consumers]
}

fn dead_letters(queue: &QueueFacts) -> Finding {
    let check = format!("dead letters {}", queue.name);
    match queue.state.as_ref().map(|state| state.messages) {
        None | Some(0) => Finding::ok(check, "none"),
        Some(count) => Finding::warning(
            check,
            format!("{count} will not be retried automatically"),
            "see the reasons with `voltgate dead list`, then `voltgate dead replay` or `purge`",
        ),
    }
}
