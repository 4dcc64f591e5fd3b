//! The queues that a worker consumes. Remote control may add and cancel some at run time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::job::Job;
use super::pool::Pool;
use super::queue_consumer::QueueConsumer;
use crate::broker::{Broker, BrokerError, Exchange};

/// The maximum number of queues that one worker consumes.
const MAX_QUEUES: usize = 1000;
/// AMQP's limit, less what is added before and after a queue's name: the prefix of a delay, and the suffix of its dead
/// letter queue.
const MAX_NAME: usize = 150;

/// A queue of tasks, with the exchange and the routing key that it is bound by.
#[derive(Debug, Clone)]
pub(crate) struct TaskQueue {
    pub(crate) name: String,
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
}

impl TaskQueue {
    /// A queue of which only the name is known. As in Celery it is bound to a direct exchange of the same name.
    pub(crate) fn named(name: &str) -> Self {
        let exchange = Exchange { name: name.to_owned(), kind: "direct".to_owned(), durable: true };
        Self { name: name.to_owned(), exchange, routing_key: name.to_owned() }
    }
}

/// All queue consumers of a worker.
pub(crate) struct Consumers {
    broker: Arc<dyn Broker>,
    job: Job,
    pool: Arc<Pool>,
    in_flight: TaskTracker,
    stop: CancellationToken,
    running: TaskTracker,
    queues: Mutex<BTreeMap<String, (TaskQueue, CancellationToken)>>,
}

impl Consumers {
    pub(crate) fn new(job: Job, pool: Arc<Pool>, in_flight: TaskTracker, stop: CancellationToken) -> Self {
        let broker = Arc::clone(&job.broker);
        Self { broker, job, pool, in_flight, stop, running: TaskTracker::new(), queues: Mutex::default() }
    }

    /// Consumes a configured queue.
    pub(crate) async fn begin(&self, queue: &str, concurrency: u16) -> Result<(), BrokerError> {
        let stop = self.stop.child_token();
        let entry = (TaskQueue::named(queue), stop.clone());
        self.with_queues(|queues| queues.insert(queue.to_owned(), entry));
        self.consume(queue, usize::from(concurrency), stop).await
    }

    /// Consumes one more queue, which is declared if it does not exist. Does nothing if it is consumed already.
    pub(crate) fn add(self: &Arc<Self>, queue: TaskQueue) {
        let stop = self.stop.child_token();
        let entry = (queue.clone(), stop.clone());
        let is_new = self.with_queues(|queues| {
            let is_new = queues.len() < MAX_QUEUES && !queues.contains_key(&queue.name);
            is_new.then(|| queues.insert(queue.name.clone(), entry)).is_some()
        });
        if is_new && !self.stop.is_cancelled() {
            let consumers = Arc::clone(self);
            self.running.spawn(async move {
                let added = tokio::select! {
                    added = consumers.make_and_consume(&queue, stop.clone()) => added,
                    () = stop.cancelled() => return,
                };
                if let Err(error) = added {
                    tracing::warn!(queue = queue.name, %error, "the queue cannot be consumed");
                    consumers.cancel(&queue.name);
                }
            });
        }
    }

    /// Stops consuming a queue; its tasks in flight are finished.
    pub(crate) fn cancel(&self, queue: &str) {
        if let Some((_, stop)) = self.with_queues(|queues| queues.remove(queue)) {
            stop.cancel();
        }
    }

    /// The queues that are consumed.
    pub(crate) fn queues(&self) -> Vec<TaskQueue> {
        self.with_queues(|queues| queues.values().map(|(queue, _)| queue.clone()).collect())
    }

    /// Waits until all queue consumers have ended, which they do when the worker stops.
    pub(crate) async fn ended(&self) {
        self.running.close();
        self.running.wait().await;
    }

    async fn make_and_consume(&self, queue: &TaskQueue, stop: CancellationToken) -> Result<(), BrokerError> {
        // AMQP takes an empty name as a request to generate one.
        if !(1..=MAX_NAME).contains(&queue.name.len()) {
            return Err(BrokerError::unreachable("its name is empty or too long".to_owned()));
        }
        if let Some(bus) = self.broker.bus() {
            bus.declare_task_queue(&queue.name, &queue.exchange, &queue.routing_key).await?;
        }
        // Before the consumer starts, which binds the queue to the delay queues.
        if let Err(error) = self.broker.prepare_delays().await {
            tracing::warn!(%error, "the delay queues could not be declared yet");
        }
        self.consume(&queue.name, self.pool.base(), stop).await
    }

    async fn consume(
        &self,
        queue: &str,
        concurrency: usize,
        stop: CancellationToken,
    ) -> Result<(), BrokerError> {
        let slots = self.pool.slots(concurrency);
        let deliveries = self.broker.consume_adjustably(queue, slots.prefetch(), stop.clone()).await?;
        let consumer =
            QueueConsumer { job: self.job.clone(), slots, stop, in_flight: self.in_flight.clone() };
        self.running.spawn(consumer.take(deliveries));
        Ok(())
    }

    fn with_queues<T>(
        &self,
        work: impl FnOnce(&mut BTreeMap<String, (TaskQueue, CancellationToken)>) -> T,
    ) -> T {
        work(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
