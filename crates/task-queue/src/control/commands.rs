//! The table of commands, and those commands that change something.

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, PythonException, is_true};
use super::{ControlState, inspect, revoke, stats};
use crate::broker::Exchange;
use crate::execution::{Rate, TaskQueue};
use crate::protocol::TimeLimit;

/// The answer to a command.
pub(super) type Answer = Result<Value, PythonException>;
type Command = fn(&ControlState, &Arguments<'_>) -> Answer;

/// Runs a command. Returns `None` if it has no answer.
///
/// # Errors
/// Returns the exception that Python would raise.
pub(super) fn run(
    panel: &ControlState,
    method: &str,
    given: &Map<String, Value>,
) -> Result<Option<Value>, PythonException> {
    if method == "shutdown" {
        tracing::warn!("stopping: remote control requested a shutdown");
        panel.shutdown.cancel();
        return Ok(None);
    }
    let command = find(method).ok_or_else(|| PythonException::key_error(method))?;
    command(panel, &Arguments { method, given }).map(Some)
}

fn find(method: &str) -> Option<Command> {
    Some(match method {
        "ping" => |_, _| ok("pong"),
        "clock" => |panel, _| Ok(json!({"clock": panel.clock.value()})),
        "report" => |_, _| ok(stats::report()),
        "stats" => |panel, _| Ok(panel.stats()),
        "conf" | "dump_conf" => |panel, _| Ok(panel.conf()),
        "memsample" => |panel, _| Ok(panel.memory.sample().into()),
        "memdump" => |panel, _| Ok(panel.memory.dump().into()),
        // The answer of a Python worker without that library: there are no Python objects to draw.
        "objgraph" => |_, _| Err(PythonException::import_error("Requires the objgraph library")),
        "registered" | "dump_tasks" => inspect::registered,
        "active" | "dump_active" => inspect::active,
        "reserved" | "dump_reserved" => inspect::reserved,
        "scheduled" | "dump_schedule" => inspect::scheduled,
        "revoked" | "dump_revoked" => |panel, _| Ok(panel.revoked.ids().into()),
        "query_task" => inspect::query_task,
        "active_queues" => inspect::active_queues,
        "hello" => inspect::hello,
        "revoke" => revoke::revoke,
        "terminate" => revoke::terminate,
        "revoke_by_stamped_headers" => revoke::revoke_by_stamped_headers,
        "rate_limit" => rate_limit,
        "time_limit" => time_limit,
        "pool_grow" => |panel, given| resize(panel, given, 1, "grow"),
        "pool_shrink" => |panel, given| resize(panel, given, -1, "shrink"),
        "pool_restart" => |_, _| Err(PythonException::value_error("Pool restarts not enabled")),
        "autoscale" => autoscale,
        "add_consumer" => add_consumer,
        "cancel_consumer" => cancel_consumer,
        "enable_events" => enable_events,
        "disable_events" => disable_events,
        "heartbeat" => heartbeat,
        // Only a candidate has something to do here.
        "election" => |_, _| Ok(Value::Null),
        _ => return None,
    })
}

pub(super) fn ok(text: impl Into<String>) -> Answer {
    Ok(json!({"ok": text.into()}))
}

fn nok(text: impl Into<String>) -> Answer {
    Ok(json!({"error": text.into()}))
}

fn rate_limit(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let (name, asked) = (given.required("task_name")?, given.required("rate_limit")?);
    let rate = match Rate::parse(asked) {
        Ok(rate) => rate,
        Err(exception) if exception.starts_with("KeyError") => return Err(PythonException(exception)),
        Err(exception) => return nok(format!("Invalid rate limit string: {exception}")),
    };
    let Some(name) = name.as_str().filter(|name| panel.tasks.declared(name).is_some()) else {
        return nok("unknown task");
    };
    panel.limits.set_rate(name, rate);
    ok(if is_true(asked) { "new rate limit set successfully" } else { "rate limit disabled successfully" })
}

fn time_limit(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let name = given.optional_text("task_name").unwrap_or_default();
    if panel.tasks.declared(name).is_none() {
        return nok("unknown task");
    }
    // As in Celery, 0 means no limit.
    let span = |name| Ok(given.seconds(name)?.filter(|limit| !limit.is_zero()));
    let limit = TimeLimit { soft: span("soft")?, hard: span("hard")? };
    panel.limits.set_time(name, limit);
    ok("time limits set successfully")
}

fn resize(panel: &ControlState, given: &Arguments<'_>, sign: i64, word: &str) -> Answer {
    if panel.pool.autoscale().is_some() {
        return nok(format!("pool_{word} is not supported with autoscale. Adjust autoscale range instead."));
    }
    panel.pool.grow_by(given.number("n")?.unwrap_or(1).saturating_mul(sign));
    ok(format!("pool will {word}"))
}

fn autoscale(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let bound = |name| Ok(given.number(name)?.map(|number| usize::try_from(number).unwrap_or(0)));
    match panel.pool.set_autoscale(bound("max")?, bound("min")?) {
        Some(bounds) => ok(format!("autoscale now max={} min={}", bounds.max, bounds.min)),
        None => Err(PythonException::value_error("Autoscale not enabled")),
    }
}

fn add_consumer(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let name = given.text("queue")?;
    let mut queue = TaskQueue::named(name);
    if let Some(exchange) = given.optional_text("exchange") {
        queue.exchange = Exchange { name: exchange.to_owned(), ..queue.exchange };
    }
    if let Some(kind) = given.optional_text("exchange_type") {
        kind.clone_into(&mut queue.exchange.kind);
    }
    if let Some(key) = given.optional_text("routing_key") {
        key.clone_into(&mut queue.routing_key);
    }
    panel.consumers.add(queue);
    ok(format!("add consumer {name}"))
}

fn cancel_consumer(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let name = given.text("queue")?;
    panel.consumers.cancel(name);
    ok(format!("no longer consuming from {name}"))
}

fn enable_events(panel: &ControlState, _: &Arguments<'_>) -> Answer {
    ok(if panel.events.enable_tasks() { "task events enabled" } else { "task events already enabled" })
}

fn disable_events(panel: &ControlState, _: &Arguments<'_>) -> Answer {
    ok(if panel.events.disable_tasks() { "task events disabled" } else { "task events already disabled" })
}

fn heartbeat(panel: &ControlState, _: &Arguments<'_>) -> Answer {
    panel.events.worker("worker-heartbeat", panel.vitals().fields(5.0));
    Ok(Value::Null)
}
