//! Accepts a request: from the client's call to a task that the broker has confirmed.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics;
use ::metrics::counter;
use authorization::AuthorizationQueue;
use authorization::tasks::authorize::Authorize;
use authorization::tasks::deliver_callback::DeliverCallback;
use common::address_guard::AddressGuard;
use common::clock::{self, Nanos, StartTimes};
use common::ids::RequestId;
use http_server::Problem;
use http_server::observation::name_request;
use service_runtime::trace_context::TraceContext;
use store::{Accepted, Record, Store};
use task_queue::PublishError;

use crate::accepted_notes::AcceptedNotes;
use crate::error::ApiError;
use crate::idempotency::{self, IdempotencyKey};
use crate::question::{Question, RequestTime};
use crate::queue_age::QueueAge;

/// Shorter than the time limit of every handler that accepts requests.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// The dependencies of acceptance.
#[derive(Clone)]
pub(crate) struct Acceptance {
    pub(crate) queue: AuthorizationQueue,
    pub(crate) store: Store,
    pub(crate) guard: AddressGuard,
    pub(crate) timeout: Duration,
    pub(crate) queue_age: Arc<QueueAge>,
    pub(crate) notes: Arc<AcceptedNotes>,
    pub(crate) start_times: Arc<StartTimes>,
}

/// Verbatim as clients of the original systems know it.
pub(crate) const ACCEPTED: &str =
    "Request is being processed asynchronously. The result will be sent to the provided callback URL.";

/// A publish may take several times its time limit if it has to declare the queue first. The response, which names the
/// request, has to be sent before the server's limit for the handler.
async fn confirmed(
    request: RequestId,
    publishing: impl Future<Output = Result<(), PublishError>>,
) -> Result<(), ApiError> {
    let published = tokio::time::timeout(ANSWER_WITHIN, publishing).await;
    let late = |_| Err(PublishError::unconfirmed(format!("no answer within {ANSWER_WITHIN:?}")));
    published.unwrap_or_else(late).map_err(|error| ApiError::unpublished(request, error))
}

impl Acceptance {
    /// A question asked now.
    pub(crate) fn asked_now(&self) -> RequestTime {
        self.asked(self.start_times.now())
    }

    /// A question asked at this moment, with the whole time limit from then on.
    pub(crate) fn asked(&self, at: Nanos) -> RequestTime {
        RequestTime { at, deadline: at.saturating_add(clock::nanos(self.timeout)) }
    }

    /// Publishes the question as a task, in this trace. It returns after the broker's confirm, so that the `202` is a
    /// promise.
    pub(crate) async fn accept(
        &self,
        question: Question,
        asked: RequestTime,
        key: Option<IdempotencyKey>,
        trace: &TraceContext,
    ) -> Result<RequestId, ApiError> {
        let Some(key) = key else {
            let request = RequestId::new();
            self.publish(request, &question, asked, trace).await?;
            return Ok(request);
        };
        let claim = idempotency::claim(&self.store, &key, &question, asked.at).await?;
        let request = claim.request;
        if !claim.confirmed {
            // No earlier try has published the task, or its confirm is missing. The worker handles both: the request
            // keeps its id, and a client that was rejected before gets a whole deadline now.
            let published =
                self.publish(request, &question, RequestTime { at: claim.at, ..asked }, trace).await;
            published.map_err(|error| if claim.is_new { error } else { error.after_another_try(request) })?;
            idempotency::confirm(&self.store, &key, &question, claim).await;
        }
        Ok(request)
    }

    /// Publishes the delivery of a decision again.
    pub(crate) async fn redeliver(&self, record: Record, trace: &TraceContext) -> Result<(), ApiError> {
        let request = record.decided.request_id;
        let Some(task) = DeliverCallback::of(record) else {
            return Err(Problem::conflict("request_id", "it has no callback to deliver").into());
        };
        confirmed(request, self.queue.redeliver(&task, clock::now(), trace)).await?;
        tracing::info!(%request, "redelivery requested");
        Ok(())
    }

    async fn publish(
        &self,
        request: RequestId,
        question: &Question,
        asked: RequestTime,
        trace: &TraceContext,
    ) -> Result<(), ApiError> {
        name_request(request);
        if self.queue_age.is_over_limit() {
            return Err(ApiError::QueueTooOld);
        }
        let task = Authorize {
            station_id: question.station_id,
            driver_token: question.driver_token.clone(),
            callback_url: question.callback_url.clone(),
            expiry_time_ns: asked.deadline,
        };
        confirmed(request, self.queue.request(request, &task, asked.at, trace)).await?;
        counter!(metrics::REQUESTS_ACCEPTED).increment(1);
        self.queue_age.add(request);
        self.notes.add(Accepted {
            request_id: request,
            station_id: task.station_id,
            driver_token: task.driver_token.clone(),
            callback_url: Some(task.callback_url.clone()),
            start_ns: asked.at,
            deadline_ns: Some(task.expiry_time_ns),
        });
        tracing::debug!(%request, station = %task.station_id, token = ?task.driver_token, "accepted");
        Ok(())
    }
}
