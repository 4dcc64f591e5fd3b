//! Decision records: the proof of what was decided, when, and the outcome of each callback.

use async_trait::async_trait;
use common::clock::Nanos;
use common::decision::{Decision, Source};
use common::ids::{PresentedToken, RequestId, StationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AttemptOutcome, Place, StoreError};

/// The records of all requests. A change is durable when the call returns, as far as the backend is.
#[async_trait]
pub trait Records: Send + Sync {
    /// Finds the record of a request, or fixes the start time under which it will be written. The first proposal holds,
    /// so a redelivered task writes the same record. Not needed if each delivery proposes the same start time.
    async fn open(&self, request: RequestId, proposed: &RecordKey) -> Result<OpenedRecord, StoreError>;

    /// Whether a worker has decided the request or opened its record.
    async fn is_open(&self, request: RequestId) -> Result<bool, StoreError>;

    /// Writes the decision if there is none yet, opened or not. Returns the decision that holds, which is always the
    /// first, and its record. If the request has a record under another start time, that record holds.
    async fn decide(&self, key: &RecordKey, decided: &Decided) -> Result<DecideOutcome, StoreError>;

    /// Records what was answered, where that is not the decision. Nothing is written if there is no record.
    async fn answered(&self, key: &RecordKey, answer: &Answer) -> Result<(), StoreError>;

    /// Adds a callback attempt and its outcome; returns the delivery state after it. Delivered stays delivered: a
    /// worker that was cut off from its broker may report its own failed attempt long after another attempt succeeded.
    async fn attempted(
        &self,
        key: &RecordKey,
        attempt: &Attempt,
        state: DeliveryState,
    ) -> Result<DeliveryState, StoreError>;

    /// Stores a note for each request that the broker has confirmed, so that the request is known before any worker
    /// takes it. Decided requests get no note, and a note is ignored once its request is decided.
    async fn accepted(&self, requests: &[Accepted]) -> Result<(), StoreError>;

    /// All that is known of a request, decided or not.
    async fn look_up(&self, request: RequestId) -> Result<Option<Known>, StoreError>;

    /// The record of a request; `None` if no worker has seen the request yet or the record has expired.
    async fn find(&self, request: RequestId) -> Result<Option<Record>, StoreError>;
}

/// The record's key: in Redis `log:authorize:<START_TIME_NS>:<STATION_UUID>:<DRIVER_TOKEN>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// When the client called, as first settled.
    pub start_ns: Nanos,
    /// The station.
    pub station_id: StationId,
    /// The token as presented.
    pub driver_token: PresentedToken,
}

/// A request that is accepted but not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The request.
    pub request_id: RequestId,
    /// The station.
    pub station_id: StationId,
    /// The token as presented.
    pub driver_token: PresentedToken,
    /// Where the decision will be sent; `None` if the request did not come through public-api.
    pub callback_url: Option<String>,
    /// When the client called.
    pub start_ns: Nanos,
    /// The deadline of the decision; `None` if the request did not come through public-api.
    pub deadline_ns: Option<Nanos>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is waiting, or in flight in a worker.
    Accepted(Accepted),
    /// It is decided.
    Decided(Record),
}

/// The result of [`Records::open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRecord {
    /// The key that holds.
    pub key: RecordKey,
    /// The record, if the decision exists already. It is never another request's record with the same key; such a
    /// record may exist if a driver asked twice in one nanosecond.
    pub record: Option<Record>,
}

/// The result of [`Records::decide`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecideOutcome {
    /// The record's key.
    pub key: RecordKey,
    /// The decision.
    pub decision: Decision,
    /// Whether this call wrote it. Otherwise there may be delivery attempts already.
    pub new: bool,
}

/// A decision and its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The request.
    pub request_id: RequestId,
    /// The decision.
    pub decision: Decision,
    /// Where it will be sent, if anywhere.
    pub callback_url: Option<String>,
    /// The deadline of the decision.
    pub deadline_ns: Nanos,
    /// When the decision was made.
    pub decided_ns: Nanos,
    /// Which way the request came in.
    pub source: Source,
}

/// What was answered where that is not the decision: a charger that waits is answered also without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer, in the words of the channel: OCPP's `AuthorizationStatus`.
    pub answer: String,
    /// Why.
    pub reason: String,
}

/// The delivery state of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An attempt is in flight or due.
    Pending,
    /// The client has received it.
    Delivered,
    /// No further attempt will be made; the delivery is dead-lettered.
    Undeliverable,
}

/// One callback attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted by the worker from 1. If two workers made the same attempt, the second gets the next free number.
    pub number: u32,
    /// When it began.
    pub at_ns: Nanos,
    /// How long it took.
    pub took_ms: u64,
    /// The HTTP status, or the class of the error and its text. It never contains a response's body.
    pub outcome: AttemptOutcome,
}

/// Everything that is known about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The record's key.
    pub key: RecordKey,
    /// The decision and its context.
    pub decided: Decided,
    /// The delivery state.
    pub delivery: DeliveryState,
    /// The last attempt's outcome, or `pending`.
    pub callback_status: String,
    /// All attempts, in order.
    pub attempts: Vec<Attempt>,
    /// What was answered, where that is not the decision.
    pub answer: Option<Answer>,
}

impl DeliveryState {
    /// The name used in records and responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The delivery state after a worker has reported an attempt. `new` is true if no other attempt has its number.
    pub(crate) fn after(self, told: Self, new: bool) -> Self {
        match (self, told) {
            (Self::Delivered, _) => Self::Delivered,
            // Only a replay, which continues the count, makes it pending again.
            (Self::Undeliverable, Self::Pending) if !new => Self::Undeliverable,
            _ => told,
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "delivered" => Self::Delivered,
            "undeliverable" => Self::Undeliverable,
            _ => Self::Pending,
        }
    }
}

impl Accepted {
    /// The record key that its message proposes.
    pub(crate) fn key(&self) -> RecordKey {
        let (station_id, driver_token) = (self.station_id, self.driver_token.clone());
        RecordKey { start_ns: self.start_ns, station_id, driver_token }
    }

    /// What the worker that processes it has written so far.
    pub(crate) fn of(request_id: RequestId, key: RecordKey) -> Self {
        Self {
            request_id,
            station_id: key.station_id,
            driver_token: key.driver_token,
            callback_url: None,
            start_ns: key.start_ns,
            deadline_ns: None,
        }
    }
}

impl Record {
    /// Its place in the order of all records.
    pub fn place(&self) -> Place {
        Place { start_ns: self.key.start_ns, request_id: self.decided.request_id }
    }
}

impl RecordKey {
    /// The Redis key, without a prefix.
    pub fn to_redis(&self) -> String {
        format!("log:authorize:{}:{}:{}", self.start_ns, self.station_id, self.driver_token.expose())
    }

    /// The reverse; the rest of the key is the token, whatever it contains.
    pub fn from_redis(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("log:authorize:")?.splitn(3, ':');
        let start_ns = parts.next()?.parse().ok()?;
        let station_id = parts.next()?.parse().ok()?;
        Some(Self { start_ns, station_id, driver_token: PresentedToken::new(parts.next()?) })
    }

    /// Whether two keys are about the same question, whatever their start times.
    pub fn same_question(&self, other: &Self) -> bool {
        self.station_id == other.station_id && self.driver_token == other.driver_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_whatever_the_token_holds() {
        for token in ["valid_driver_token_12345", "", "a:b::c", "\n \u{0}é"] {
            let key = RecordKey {
                start_ns: 1_795_246_192_094_754_391,
                station_id: "123e4567-e89b-12d3-a456-426614174000".parse().unwrap(),
                driver_token: PresentedToken::new(token),
            };
            assert_eq!(RecordKey::from_redis(&key.to_redis()), Some(key));
        }
        assert_eq!(RecordKey::from_redis("log:authorize:x:y:z"), None);
    }
}
