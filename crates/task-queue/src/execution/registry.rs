//! The tasks that a worker has in flight, each from its delivery to its settlement. Remote control reads them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::in_flight::{InFlight, Ticket};
use crate::timestamp::Timestamp;

/// The maximum number of remembered tasks that wait in the broker for their `eta`.
const MAX_SCHEDULED: usize = 10_000;
/// The maximum total size of their bodies.
const MAX_SCHEDULED_BYTES: usize = 16 * 1024 * 1024;

/// The stage of a task in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    /// Received; waits for a slot, or for its turn under a rate limit.
    Reserved,
    /// Received before its `eta`: it is being returned to the broker.
    Scheduled(Timestamp),
    /// Running since this time, in seconds since 1970.
    Active(f64),
}

/// The tasks in flight, and the totals of those that have begun.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    last: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    in_flight: BTreeMap<u64, (Stage, InFlight)>,
    totals: BTreeMap<String, u64>,
    scheduled: VecDeque<(Timestamp, InFlight)>,
}

impl Registry {
    /// A ticket for a delivery.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::new(self.last.fetch_add(1, Ordering::Relaxed))
    }

    /// The task was received.
    pub(crate) fn enter(&self, task: &InFlight) {
        self.with(|inner| {
            // A delayed task has returned from the broker.
            if task.request.eta.is_some() {
                inner.scheduled.retain(|(_, scheduled)| scheduled.request.id != task.request.id);
            }
            let early = task.request.eta.filter(|eta| *eta > Timestamp::now());
            let stage = early.map_or(Stage::Reserved, Stage::Scheduled);
            inner.in_flight.insert(task.ticket.number, (stage, task.clone()));
        });
    }

    /// The task begins to run.
    pub(crate) fn begin(&self, task: &InFlight) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.with(|inner| {
            *inner.totals.entry(task.request.name.clone()).or_default() += 1;
            if let Some((stage, _)) = inner.in_flight.get_mut(&task.ticket.number) {
                *stage = Stage::Active(now);
            }
        });
    }

    /// The delivery is settled.
    pub(crate) fn leave(&self, task: &InFlight) {
        self.with(|inner| inner.in_flight.remove(&task.ticket.number));
    }

    /// The broker holds the task until then.
    pub(crate) fn schedule(&self, task: &InFlight, eta: Timestamp) {
        self.with(|inner| {
            // Remote control shows the decoded message, so the original need not be kept too.
            let task = InFlight { original: Arc::clone(&task.message), ..task.clone() };
            inner.scheduled.push_back((eta, task));
            let size = |(_, task): &(Timestamp, InFlight)| task.message.body.len();
            let mut bytes: usize = inner.scheduled.iter().map(size).sum();
            while inner.scheduled.len() > MAX_SCHEDULED || bytes > MAX_SCHEDULED_BYTES {
                let Some(oldest) = inner.scheduled.pop_front() else { break };
                bytes -= size(&oldest);
            }
        });
    }

    /// The tasks that wait for their `eta`: those that this worker returned to the broker, and those being returned.
    pub(crate) fn scheduled(&self) -> Vec<(Timestamp, InFlight)> {
        let now = Timestamp::now();
        self.with(|inner| {
            inner.scheduled.retain(|(eta, _)| *eta > now);
            let mut all: Vec<_> = inner.scheduled.iter().cloned().collect();
            for (stage, task) in inner.in_flight.values() {
                if let Stage::Scheduled(eta) = stage
                    && all.iter().all(|(_, known)| known.ticket.number != task.ticket.number)
                {
                    all.push((*eta, task.clone()));
                }
            }
            all
        })
    }

    /// The tasks in flight.
    pub(crate) fn in_flight(&self) -> Vec<(Stage, InFlight)> {
        self.with(|inner| inner.in_flight.values().cloned().collect())
    }

    /// How many tasks are running.
    pub(crate) fn active(&self) -> usize {
        self.with(|inner| {
            inner.in_flight.values().filter(|(stage, _)| matches!(stage, Stage::Active(_))).count()
        })
    }

    /// The ids of the running tasks.
    pub(crate) fn active_ids(&self) -> BTreeSet<String> {
        self.with(|inner| {
            let active = inner.in_flight.values().filter(|(stage, _)| matches!(stage, Stage::Active(_)));
            active.map(|(_, task)| task.request.id.clone()).collect()
        })
    }

    /// How many tasks are in flight from the queue that has most of them.
    pub(crate) fn demand(&self) -> usize {
        self.with(|inner| {
            let mut by_queue = BTreeMap::<&str, usize>::new();
            for (_, task) in inner.in_flight.values() {
                *by_queue.entry(&task.queue).or_default() += 1;
            }
            by_queue.into_values().max().unwrap_or(0)
        })
    }

    /// How many tasks of each name have begun.
    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        self.with(|inner| inner.totals.clone())
    }

    /// How many tasks have begun.
    pub(crate) fn processed(&self) -> u64 {
        self.with(|inner| inner.totals.values().sum())
    }

    /// Terminates the tasks in flight that `which` selects; returns their ids.
    pub(crate) fn terminate(&self, signum: i32, which: impl Fn(&InFlight) -> bool) -> Vec<String> {
        self.with(|inner| {
            let picked = inner.in_flight.values().map(|(_, task)| task).filter(|task| which(task));
            picked
                .map(|task| {
                    let _ = task.ticket.signum.set(signum);
                    task.ticket.terminate.cancel();
                    task.request.id.clone()
                })
                .collect()
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::message::Message;
    use crate::protocol::TaskRequest;
    use crate::task::TaskDeclaration;

    fn task(id: usize, bytes: usize) -> InFlight {
        let headers = json!({"task": "t", "id": id.to_string(), "eta": "2100-01-01T00:00:00"});
        let body = json!([["x".repeat(bytes)], {}, {}]).to_string().into();
        let headers = headers.as_object().unwrap().clone();
        let message = Arc::new(Message { headers, body, ..Message::default() });
        InFlight {
            request: Arc::new(TaskRequest::decode(&message).unwrap()),
            original: Arc::clone(&message),
            message,
            queue: "celery".into(),
            deliveries: 1,
            declared: TaskDeclaration::UNKNOWN,
            ticket: Ticket::default(),
        }
    }

    #[test]
    fn scheduled_tasks_are_bounded_and_forgotten_once_they_return() {
        let (registry, later) = (Registry::default(), Timestamp::now() + Duration::from_secs(60));
        (0..5).for_each(|id| registry.schedule(&task(id, MAX_SCHEDULED_BYTES / 4), later));
        let ids = || registry.scheduled().iter().map(|(_, task)| task.request.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(), ["2", "3", "4"]);
        registry.enter(&task(3, 0));
        assert_eq!(ids(), ["2", "4"]);
    }
}
