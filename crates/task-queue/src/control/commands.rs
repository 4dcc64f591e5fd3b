//! The table of commands, and those commands that change something.

use serde_json::{Map, Value, json};

use super::answer::{Answer, ok};
use super::arguments::{Arguments, PythonException, is_true};
use super::{ControlState, inspect, revoke, stats};
use crate::broker::Exchange;
use crate::execution::{Rate, TaskQueue};
use crate::protocol::TimeLimit;

type Command = fn(&ControlState, &Arguments<'_>) -> Answer;

/// Runs a command. Returns `None` if it has no answer.
///
/// # Errors
/// Returns the exception that Python would raise.
pub(super) fn run(
    state: &ControlState,
    method: &str,
    given: &Map<String, Value>,
) -> Result<Option<Value>, PythonException> {
    if method == "shutdown" {
        tracing::warn!("stopping: remote control requested a shutdown");
        state.shutdown.cancel();
        return Ok(None);
    }
    let command = find(method).ok_or_else(|| PythonException::key_error(method))?;
    command(state, &Arguments { method, given }).map(Some)
}

fn find(method: &str) -> Option<Command> {
    Some(match method {
        "ping" => |_, _| ok("pong"),
        "clock" => |state, _| Ok(json!({"clock": state.clock.value()})),
        "report" => |_, _| ok(stats::report()),
        "stats" => |state, _| Ok(state.stats()),
        "conf" | "dump_conf" => |state, _| Ok(state.conf()),
        "memsample" => |state, _| Ok(state.memory.sample().into()),
        "memdump" => |state, _| Ok(state.memory.dump().into()),
        // The answer of a Python worker without that library: there are no Python objects to draw.
        "objgraph" => |_, _| Err(PythonException::import_error("Requires the objgraph library")),
        "registered" | "dump_tasks" => inspect::registered,
        "active" | "dump_active" => inspect::active,
        "reserved" | "dump_reserved" => inspect::reserved,
        "scheduled" | "dump_schedule" => inspect::scheduled,
        "revoked" | "dump_revoked" => |state, _| Ok(state.revoked.ids().into()),
        "query_task" => inspect::query_task,
        "active_queues" => inspect::active_queues,
        "hello" => inspect::hello,
        "revoke" => revoke::revoke,
        "terminate" => revoke::terminate,
        "revoke_by_stamped_headers" => revoke::revoke_by_stamped_headers,
        "rate_limit" => rate_limit,
        "time_limit" => time_limit,
        "pool_grow" => |state, given| resize(state, given, 1, "grow"),
        "pool_shrink" => |state, given| resize(state, given, -1, "shrink"),
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

fn nok(text: impl Into<String>) -> Answer {
    Ok(json!({"error": text.into()}))
}

fn rate_limit(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let (name, asked) = (given.required("task_name")?, given.required("rate_limit")?);
    let rate = match Rate::parse(asked) {
        Ok(rate) => rate,
        Err(exception) if exception.starts_with("KeyError") => return Err(PythonException(exception)),
        Err(exception) => return nok(format!("Invalid rate limit string: {exception}")),
    };
    let Some(name) = name.as_str().filter(|name| state.tasks.declared(name).is_some()) else {
        return nok("unknown task");
    };
    state.limits.set_rate(name, rate);
    ok(if is_true(asked) { "new rate limit set successfully" } else { "rate limit disabled successfully" })
}

fn time_limit(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let name = given.optional_text("task_name").unwrap_or_default();
    if state.tasks.declared(name).is_none() {
        return nok("unknown task");
    }
    // As in Celery, 0 means no limit.
    let span = |name| Ok(given.seconds(name)?.filter(|limit| !limit.is_zero()));
    let limit = TimeLimit { soft: span("soft")?, hard: span("hard")? };
    state.limits.set_time(name, limit);
    ok("time limits set successfully")
}

fn resize(state: &ControlState, given: &Arguments<'_>, sign: i64, word: &str) -> Answer {
    if state.pool.autoscale().is_some() {
        return nok(format!("pool_{word} is not supported with autoscale. Adjust autoscale range instead."));
    }
    state.pool.grow_by(given.number("n")?.unwrap_or(1).saturating_mul(sign));
    ok(format!("pool will {word}"))
}

fn autoscale(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let bound = |name| Ok(given.number(name)?.map(|number| usize::try_from(number).unwrap_or(0)));
    match state.pool.set_autoscale(bound("max")?, bound("min")?) {
        Some(bounds) => ok(format!("autoscale now max={} min={}", bounds.max, bounds.min)),
        None => Err(PythonException::value_error("Autoscale not enabled")),
    }
}

fn add_consumer(state: &ControlState, given: &Arguments<'_>) -> Answer {
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
    state.consumers.add(queue);
    ok(format!("add consumer {name}"))
}

fn cancel_consumer(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let name = given.text("queue")?;
    state.consumers.cancel(name);
    ok(format!("no longer consuming from {name}"))
}

fn enable_events(state: &ControlState, _: &Arguments<'_>) -> Answer {
    ok(if state.events.enable_tasks() { "task events enabled" } else { "task events already enabled" })
}

fn disable_events(state: &ControlState, _: &Arguments<'_>) -> Answer {
    ok(if state.events.disable_tasks() { "task events disabled" } else { "task events already disabled" })
}

fn heartbeat(state: &ControlState, _: &Arguments<'_>) -> Answer {
    state.events.worker("worker-heartbeat", state.vitals().fields(5.0));
    Ok(Value::Null)
}
