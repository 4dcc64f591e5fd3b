//! Turns a station, a driver token and a deadline into a decision on record. A decision is final: a request that is
//! redelivered or replayed gets the decision of its record.

use std::pin::pin;
use std::time::Duration;

use crate::metrics;
use ::metrics::{counter, histogram};
use common::clock::{self, Nanos, StartTimes};
use common::decision::{Decision, Source};
use common::ids::{PresentedToken, RequestId, StationId};
use service_runtime::trace_context::TraceContext;
use store::{DecideOutcome, Decided, DeliveryState, OpenedRecord, Record, RecordKey, Store};
use tokio_util::sync::CancellationToken;

use crate::acl_client::AclClient;
use crate::backoff::{Abandoned, retry_until_stored};

/// Most decisions are made within this time. Only a slower one has its record opened first.
const OPEN_AFTER: Duration = Duration::from_millis(100);

/// A request to decide.
#[derive(Debug, Clone)]
pub struct AccessRequest {
    /// One decision is recorded for it, however often it is submitted.
    pub request_id: RequestId,
    /// The station.
    pub station_id: StationId,
    /// The token as presented by the driver, well formed or not.
    pub driver_token: PresentedToken,
    /// The time from which the decision is `unknown`.
    pub deadline_ns: Nanos,
    /// The channel it came in by.
    pub source: Source,
    /// The URL to which the decision is sent, if any.
    pub callback_url: Option<String>,
    /// When it came in. `None` means now, and the time is fixed when its record is opened.
    pub received_ns: Option<Nanos>,
    /// Whether a record may exist already. Looking for one costs a write to Redis's disk.
    pub repeated: bool,
}

/// A decision that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// When the request came in; with the station and the token it names the record.
    pub start_ns: Nanos,
    /// The decision.
    pub decision: Decision,
    /// When it was made.
    pub decided_ns: Nanos,
    /// How many callback attempts are on record.
    pub attempts_made: usize,
    /// Whether the callback was delivered.
    pub delivered: bool,
}

/// Decides requests and records each decision.
pub struct Decider {
    acl: AclClient,
    store: Store,
    start_times: StartTimes,
}

impl AccessRequest {
    /// A new request that arrives now and has no callback.
    pub fn new(
        station_id: StationId,
        driver_token: PresentedToken,
        deadline_ns: Nanos,
        source: Source,
    ) -> Self {
        Self {
            request_id: RequestId::new(),
            station_id,
            driver_token,
            deadline_ns,
            source,
            callback_url: None,
            received_ns: Some(clock::now()),
            repeated: false,
        }
    }
}

impl Decider {
    /// Asks this acl-service and records in this store.
    pub fn new(acl: AclClient, store: Store) -> Self {
        Self { acl, store, start_times: StartTimes::default() }
    }

    /// Decides the request unless it is decided already. Returns once the decision is on record; waits for the store if
    /// necessary.
    ///
    /// # Errors
    /// Returns an error if `shutdown` was cancelled first.
    pub async fn decide(
        &self,
        request: &AccessRequest,
        trace: &TraceContext,
        shutdown: &CancellationToken,
    ) -> Result<RecordedDecision, Abandoned> {
        let mut key = self.proposed(request);
        let first = !request.repeated && request.received_ns.is_some();
        if !first {
            let opened = self.open(request.request_id, &key, shutdown).await?;
            if let Some(record) = opened.record {
                return Ok(record.into());
            }
            key = opened.key;
        }
        let asking = self.ask(request, trace);
        let decision = match first {
            true => self.open_if_slow(request.request_id, &key, asking, shutdown).await?,
            false => asking.await,
        };
        let held = self.record(request, &key, decision, shutdown).await?;
        if !held.new
            // Another delivery was faster, and may have called the client back.
            && let Some(record) = Box::pin(self.open(request.request_id, &held.key, shutdown)).await?.record
        {
            return Ok(record.into());
        }
        Ok(RecordedDecision::made_now(&held))
    }

    /// Records `unknown` for a request that will not be decided any more, unless there is a decision.
    ///
    /// # Errors
    /// Returns an error if `shutdown` was cancelled first.
    pub async fn abandon(
        &self,
        request: &AccessRequest,
        shutdown: &CancellationToken,
    ) -> Result<RecordedDecision, Abandoned> {
        let opened = self.open(request.request_id, &self.proposed(request), shutdown).await?;
        if let Some(record) = opened.record {
            return Ok(record.into());
        }
        let held = self.record(request, &opened.key, Decision::Unknown, shutdown).await?;
        Ok(RecordedDecision::made_now(&held))
    }

    /// Waits for the decision. If that takes long, opens the record, so that public-api does not count the request
    /// among those that wait in the queue.
    async fn open_if_slow(
        &self,
        request: RequestId,
        key: &RecordKey,
        asking: impl Future<Output = Decision>,
        shutdown: &CancellationToken,
    ) -> Result<Decision, Abandoned> {
        let mut asking = pin!(asking);
        if let Ok(decision) = tokio::time::timeout(OPEN_AFTER, &mut asking).await {
            return Ok(decision);
        }
        let opening = Box::pin(self.open(request, key, shutdown));
        let (_, decision) = tokio::try_join!(opening, async { Ok(asking.await) })?;
        Ok(decision)
    }

    /// The key of the request's record, unless it has one already.
    fn proposed(&self, request: &AccessRequest) -> RecordKey {
        RecordKey {
            start_ns: request.received_ns.unwrap_or_else(|| self.start_times.now()),
            station_id: request.station_id,
            driver_token: request.driver_token.clone(),
        }
    }

    /// Finds the record, or fixes the start time under which it will be written.
    async fn open(
        &self,
        request: RequestId,
        proposed: &RecordKey,
        shutdown: &CancellationToken,
    ) -> Result<OpenedRecord, Abandoned> {
        let records = &self.store.records();
        retry_until_stored(shutdown, || records.open(request, proposed)).await
    }

    /// Returns the decision on record, which is another process's if that one was faster.
    async fn record(
        &self,
        request: &AccessRequest,
        key: &RecordKey,
        decision: Decision,
        shutdown: &CancellationToken,
    ) -> Result<DecideOutcome, Abandoned> {
        let records = &self.store.records();
        let record = || async {
            let decided_ns = clock::now();
            // The store may have been slow, and an `allowed` after the deadline must not be recorded.
            let late = decided_ns >= request.deadline_ns && decision != Decision::Invalid;
            let decided = Decided {
                request_id: request.request_id,
                decision: if late { Decision::Unknown } else { decision },
                callback_url: request.callback_url.clone(),
                deadline_ns: request.deadline_ns,
                decided_ns,
                source: request.source,
            };
            records.decide(key, &decided).await
        };
        let held = retry_until_stored(shutdown, record).await?;
        let decision = held.decision;
        counter!(metrics::DECISIONS, "status" => decision.as_str()).increment(1);
        histogram!(metrics::DECISION).record(clock::since(key.start_ns).as_secs_f64());
        let (request_id, station, token) = (request.request_id, request.station_id, &request.driver_token);
        tracing::debug!(request = %request_id, %station, ?token, %decision, "decided");
        Ok(held)
    }

    async fn ask(&self, request: &AccessRequest, trace: &TraceContext) -> Decision {
        let Ok(token) = request.driver_token.parse() else { return Decision::Invalid };
        let deadline = request.deadline_ns;
        if clock::now() >= deadline {
            return Decision::Unknown;
        }
        let (request_id, station) = (request.request_id, request.station_id);
        match self.acl.is_allowed(request_id, station, &token, deadline, trace).await {
            Ok(true) => Decision::Allowed,
            Ok(false) => Decision::NotAllowed,
            Err(no_answer) => {
                tracing::warn!(request = %request_id, %no_answer, "the decision is unknown");
                Decision::Unknown
            }
        }
    }
}

impl RecordedDecision {
    /// A decision that was written just now, so that there is no attempt yet.
    fn made_now(held: &DecideOutcome) -> Self {
        let (start_ns, decision, decided_ns) = (held.key.start_ns, held.decision, clock::now());
        Self { start_ns, decision, decided_ns, attempts_made: 0, delivered: false }
    }
}

impl From<Record> for RecordedDecision {
    fn from(record: Record) -> Self {
        Self {
            start_ns: record.key.start_ns,
            decision: record.decided.decision,
            decided_ns: record.decided.decided_ns,
            attempts_made: record.attempts.len(),
            delivered: record.delivery == DeliveryState::Delivered,
        }
    }
}
