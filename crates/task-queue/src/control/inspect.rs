//! Answers about tasks and queues, in Celery's format.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ControlState;
use super::answer::Answer;
use super::arguments::Arguments;
use super::arguments::ids;
use crate::execution::{InFlight, Stage, TaskQueue};
use crate::task::ShownArguments;

/// The attributes of tasks that Celery shows by default.
const SHOWN_OF_TASKS: [&str; 3] = ["exchange", "routing_key", "rate_limit"];

pub(super) fn registered(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let asked: Vec<&str> = match given.get("taskinfoitems") {
        Some(Value::Array(items)) if !items.is_empty() => items.iter().filter_map(Value::as_str).collect(),
        _ => SHOWN_OF_TASKS.to_vec(),
    };
    let mut names: Vec<&str> = state.tasks.names().filter(|name| !name.starts_with("celery.")).collect();
    names.sort_unstable();
    let shown = names.into_iter().map(|name| {
        let field = |field: &&str| Some(format!("{field}={}", state.attribute(name, field)?));
        let fields: Vec<String> = asked.iter().filter_map(field).collect();
        if fields.is_empty() { name.to_owned() } else { format!("{name} [{}]", fields.join(" ")) }
    });
    Ok(shown.collect())
}

pub(super) fn active(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let safe = given.is_true("safe");
    let tasks = state.registry.in_flight().into_iter();
    let running = tasks.filter(|(stage, _)| matches!(stage, Stage::Active(_)));
    Ok(running.map(|(stage, task)| state.info(stage, &task, safe)).collect())
}

pub(super) fn reserved(state: &ControlState, _: &Arguments<'_>) -> Answer {
    let tasks = state.registry.in_flight().into_iter();
    let waiting = tasks.filter(|(stage, _)| *stage == Stage::Reserved);
    Ok(waiting.map(|(stage, task)| state.info(stage, &task, false)).collect())
}

/// Tasks that this worker returned to the broker until their `eta`, and that it has not received again.
pub(super) fn scheduled(state: &ControlState, _: &Arguments<'_>) -> Answer {
    let shown = state.registry.scheduled().into_iter().map(|(eta, task)| {
        let request = state.info(Stage::Reserved, &task, false);
        json!({"eta": eta.to_string(), "priority": 6, "request": request})
    });
    Ok(shown.collect())
}

pub(super) fn query_task(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let ids = given.texts("ids")?;
    let asked = |task: &InFlight| ids.contains(&task.request.id.as_str());
    let mut found = Map::new();
    for (_, task) in state.registry.scheduled().into_iter().filter(|(_, task)| asked(task)) {
        let info = state.info(Stage::Reserved, &task, false);
        found.insert(task.request.id.clone(), json!(["scheduled", info]));
    }
    for (stage, task) in state.registry.in_flight().into_iter().filter(|(_, task)| asked(task)) {
        let stage_name = match stage {
            Stage::Reserved => "reserved",
            Stage::Scheduled(_) => "scheduled",
            Stage::Active(_) => "active",
        };
        found.insert(task.request.id.clone(), json!([stage_name, state.info(stage, &task, false)]));
    }
    Ok(Value::Object(found))
}

pub(super) fn active_queues(state: &ControlState, _: &Arguments<'_>) -> Answer {
    Ok(state.consumers.queues().iter().map(queue).collect())
}

pub(super) fn hello(state: &ControlState, given: &Arguments<'_>) -> Answer {
    if given.text("from_node")? == state.node.as_str() {
        return Ok(Value::Null);
    }
    state.revoked.add(ids(given.get("revoked").unwrap_or(&Value::Null)));
    Ok(json!({"revoked": state.revoked.ids(), "clock": state.clock.forward()}))
}

impl ControlState {
    /// A task's attribute, as Python prints it; `None` if the attribute is Python's `None`.
    fn attribute(&self, name: &str, field: &str) -> Option<String> {
        let declared = self.tasks.declared(name)?;
        let truth = |value: bool| Some(if value { "True" } else { "False" }.to_owned());
        let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64().to_string());
        match field {
            "name" => Some(name.to_owned()),
            "max_retries" => declared.max_retries.map(|most| most.to_string()),
            "ignore_result" => truth(declared.ignore_result),
            "track_started" => truth(declared.track_started),
            "acks_late" => truth(declared.acks_late),
            "rate_limit" => self.limits.rate(name),
            "time_limit" => seconds(self.limits.time(name).hard),
            "soft_time_limit" => seconds(self.limits.time(name).soft),
            _ => None,
        }
    }

    fn info(&self, stage: Stage, task: &InFlight, safe: bool) -> Value {
        let (request, shown) = (&task.request, ShownArguments::of(&task.request, &task.declared));
        let (args, kwargs) = match safe {
            true => (shown.argsrepr.into(), shown.kwargsrepr.into()),
            false => (Value::from(shown.args), Value::from(shown.kwargs)),
        };
        let (time_start, worker_pid) = match stage {
            Stage::Reserved | Stage::Scheduled(_) => (None, None),
            Stage::Active(since) => (Some(since), Some(std::process::id())),
        };
        json!({
            "id": request.id, "name": task.name(), "args": args, "kwargs": kwargs, "type": request.name,
            "hostname": self.node.as_str(), "time_start": time_start,
            "acknowledged": task.ticket.is_acknowledged(),
            "delivery_info": {
                "exchange": "", "routing_key": &*task.queue, "priority": request.priority.unwrap_or(0),
                "redelivered": task.deliveries > 1,
            },
            "worker_pid": worker_pid,
        })
    }
}

fn queue(queue: &TaskQueue) -> Value {
    let exchange = &queue.exchange;
    json!({
        "name": queue.name, "routing_key": queue.routing_key,
        "exchange": {
            "name": exchange.name, "type": exchange.kind, "arguments": null, "durable": exchange.durable,
            "passive": false, "auto_delete": false, "delivery_mode": null, "no_declare": false,
        },
        "queue_arguments": null, "binding_arguments": null, "consumer_arguments": null, "durable": true,
        "exclusive": false, "auto_delete": false, "no_ack": false, "alias": null, "bindings": [],
        "no_declare": null, "expires": null, "message_ttl": null, "max_length": null,
        "max_length_bytes": null, "max_priority": null,
    })
}
