//! Celery's events: what a worker reports of itself and, when enabled, of its tasks. Events are kept in a bounded
//! buffer until they are sent (`events/dispatcher.rs`); during an outage the oldest are dropped.

mod dispatcher;
mod heartbeat;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::node::Node;

pub(crate) use dispatcher::{dispatch, exchange};
pub(crate) use heartbeat::{Vitals, beat};

/// The maximum number of events that wait to be sent. Receivers keep one for five seconds.
const BUFFER: usize = 1000;

/// The events of a worker, up to the time they are sent.
#[derive(Debug)]
pub(crate) struct Events {
    node: Node,
    clock: Arc<Clock>,
    /// Whether there is a broker that carries events at all.
    carried: bool,
    tasks_enabled: AtomicBool,
    buffer: Mutex<VecDeque<Event>>,
    recorded: Notify,
}

#[derive(Debug)]
struct Event {
    /// Such as `task-received`.
    kind: &'static str,
    body: Map<String, Value>,
}

impl Event {
    fn is_of_task(&self) -> bool {
        self.kind.starts_with("task-")
    }
}

impl Events {
    pub(crate) fn new(node: Node, clock: Arc<Clock>, carried: bool, tasks_enabled: bool) -> Self {
        let tasks_enabled = AtomicBool::new(tasks_enabled);
        Self { node, clock, carried, tasks_enabled, buffer: Mutex::default(), recorded: Notify::new() }
    }

    /// Whether events of tasks are enabled.
    pub(crate) fn sends_task_events(&self) -> bool {
        self.carried && self.tasks_enabled.load(Ordering::Relaxed)
    }

    /// Enables events of tasks. Returns whether they were disabled before.
    pub(crate) fn enable_tasks(&self) -> bool {
        !self.tasks_enabled.swap(true, Ordering::Relaxed)
    }

    /// Disables events of tasks and drops those not sent yet. Returns whether they were enabled before.
    pub(crate) fn disable_tasks(&self) -> bool {
        let changed = self.tasks_enabled.swap(false, Ordering::Relaxed);
        self.with_buffer(|buffer| buffer.retain(|event| !event.is_of_task()));
        changed
    }

    /// Records an event of a task, if such events are enabled; `fields` is only called then.
    pub(crate) fn task(&self, kind: &'static str, fields: impl FnOnce() -> Value) {
        if self.sends_task_events() {
            self.tell(kind, fields());
        }
    }

    /// Records an event of the worker. Of several heartbeats only the last matters.
    pub(crate) fn worker(&self, kind: &'static str, fields: Value) {
        if self.carried {
            if kind == "worker-heartbeat" {
                self.with_buffer(|buffer| buffer.retain(|event| event.kind != kind));
            }
            self.tell(kind, fields);
        }
    }

    fn tell(&self, kind: &'static str, fields: Value) {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut body = Map::new();
        for (name, value) in [
            ("hostname", json!(self.node.as_str())),
            ("utcoffset", json!(0.0)),
            ("pid", json!(std::process::id())),
            ("clock", json!(self.clock.forward())),
            ("timestamp", json!(timestamp)),
            ("type", json!(kind)),
        ] {
            body.insert(name.to_owned(), value);
        }
        if let Value::Object(fields) = fields {
            body.extend(fields);
        }
        self.with_buffer(|buffer| {
            if buffer.len() == BUFFER {
                buffer.pop_front();
            }
            buffer.push_back(Event { kind, body });
        });
        self.recorded.notify_one();
    }

    fn with_buffer<T>(&self, work: impl FnOnce(&mut VecDeque<Event>) -> T) -> T {
        work(&mut self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Events {
        Events::new(Node::named("w@h"), Arc::default(), true, false)
    }

    fn recorded(events: &Events) -> Vec<&'static str> {
        events.with_buffer(|buffer| buffer.iter().map(|event| event.kind).collect())
    }

    #[test]
    fn events_of_tasks_are_recorded_only_while_enabled() {
        let events = events();
        events.task("task-received", || unreachable!("events of tasks are disabled"));
        assert!(events.enable_tasks() && !events.enable_tasks());
        events.task("task-received", || json!({"uuid": "1"}));
        events.worker("worker-heartbeat", json!({}));
        events.worker("worker-heartbeat", json!({}));
        assert_eq!(recorded(&events), ["task-received", "worker-heartbeat"]);
        assert!(events.disable_tasks() && !events.disable_tasks());
        assert_eq!(recorded(&events), ["worker-heartbeat"]);
    }

    #[test]
    fn of_more_than_the_buffer_holds_the_oldest_are_forgotten() {
        let events = events();
        events.enable_tasks();
        for number in 0..BUFFER + 5 {
            events.task("task-received", || json!({"uuid": number}));
        }
        let (length, first) =
            events.with_buffer(|buffer| (buffer.len(), buffer.front().unwrap().body["uuid"].clone()));
        assert_eq!((length, first), (BUFFER, json!(5)));
    }
}
