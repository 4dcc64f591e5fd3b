//! The queues of the authorization tasks, and how each task is published.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Nanos;
use common::ids::RequestId;
use serde_json::{Value, json};
use service_runtime::trace_context::TraceContext;
use task_queue::message::Headers;
use task_queue::protocol::Origin;
use task_queue::{Broker, FollowUp, PublishError, TaskMessage, TaskOptions};

use crate::tasks::authorize::{self, Authorize};
use crate::tasks::deliver_callback::{self, Counting, DeliverCallback};

/// The queues of requests and of callbacks.
#[derive(Debug, Clone)]
pub struct AuthorizationQueue {
    broker: Arc<dyn Broker>,
    origin: Arc<Origin>,
    requests: String,
    callbacks: String,
}

impl AuthorizationQueue {
    /// The queues of this name on this broker.
    pub fn new(broker: Arc<dyn Broker>, task_queue: &str) -> Self {
        Self {
            broker,
            origin: Arc::new(Origin::new()),
            requests: task_queue.to_owned(),
            callbacks: deliver_callback::queue(task_queue),
        }
    }

    /// The underlying broker.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// The name of the queue of requests.
    pub fn requests(&self) -> &str {
        &self.requests
    }

    /// The name of the queue of further callback attempts.
    pub fn callbacks(&self) -> &str {
        &self.callbacks
    }

    /// Publishes a request, as a part of this trace. `Ok` means that it will be decided and called back, or dead-lettered.
    ///
    /// # Errors
    /// Returns an error if the broker did not confirm the message in time.
    pub async fn request(
        &self,
        id: RequestId,
        task: &Authorize,
        received_ns: Nanos,
        trace: &TraceContext,
    ) -> Result<(), PublishError> {
        let received = (authorize::RECEIVED_HEADER.to_owned(), json!(received_ns));
        let message = TaskMessage {
            name: authorize::NAME,
            id: id.to_string(),
            args: task.to_args(),
            argsrepr: task.argsrepr(),
            headers: Headers::from_iter([received].into_iter().chain(headers_of(trace))),
            options: TaskOptions::default(),
        };
        self.broker.publish(&self.requests, &message.encode(&self.origin), Duration::ZERO).await
    }

    /// Delivers the callback again, whether it was delivered or not, with a new window that begins now.
    ///
    /// # Errors
    /// Returns an error if the broker did not confirm the message in time.
    pub async fn redeliver(
        &self,
        task: &DeliverCallback,
        now: Nanos,
        trace: &TraceContext,
    ) -> Result<(), PublishError> {
        let counting = Counting { window_from_ns: now, uncounted: task.attempts_made };
        let mut message = self.delivery(task, counting, trace);
        message.headers.insert(deliver_callback::REDELIVERY_HEADER.to_owned(), json!(true));
        self.broker.publish(&self.callbacks, &message.encode(&self.origin), Duration::ZERO).await
    }

    /// Publishes a delivery again whose message was lost, within its original bounds.
    ///
    /// # Errors
    /// Returns an error if the broker did not confirm the message in time.
    pub async fn restore(
        &self,
        task: &DeliverCallback,
        counting: Counting,
        trace: &TraceContext,
    ) -> Result<(), PublishError> {
        let message = self.delivery(task, counting, trace).encode(&self.origin);
        self.broker.publish(&self.callbacks, &message, Duration::ZERO).await
    }

    /// The next callback attempt, due after this time. It keeps the request's id, and is a part of its trace.
    pub fn deliver_later(
        &self,
        task: &DeliverCallback,
        counting: Counting,
        after: Duration,
        trace: &TraceContext,
    ) -> FollowUp {
        let message = self.delivery(task, counting, trace).encode(&self.origin);
        FollowUp { queue: self.callbacks.clone(), message, after }
    }

    fn delivery(&self, task: &DeliverCallback, counting: Counting, trace: &TraceContext) -> TaskMessage {
        let headers = [
            (deliver_callback::WINDOW_FROM_HEADER.to_owned(), json!(counting.window_from_ns)),
            (deliver_callback::UNCOUNTED_HEADER.to_owned(), json!(counting.uncounted)),
        ];
        TaskMessage {
            name: deliver_callback::NAME,
            id: task.request_id.to_string(),
            args: task.to_args(),
            argsrepr: format!("('{}', '{}')", task.request_id, task.status),
            headers: Headers::from_iter(headers.into_iter().chain(headers_of(trace))),
            options: TaskOptions::default(),
        }
    }
}

/// Placed among Celery's own headers, where OpenTelemetry's instrumentation of Celery for Python looks for them too.
fn headers_of(trace: &TraceContext) -> impl Iterator<Item = (String, Value)> {
    trace.headers().map(|(name, value)| (name.to_owned(), Value::from(value)))
}
