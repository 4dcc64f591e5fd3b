//! Decision records: the proof of what was decided, when, and how the callback went.

use async_trait::async_trait;
use common::clock::Nanos;
use common::decision::{Decision, Source};
use common::ids::{PresentedToken, RequestId, StationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AttemptOutcome, Place, StoreError};

/// The records of all requests. A change is durable when it returns, as far as the backend is.
#[async_trait]
pub trait Records: Send + Sync {
    /// Finds the record of a request, or settles under which start time it will be written: the first proposal holds,
    /// so that a redelivered task writes the same record. Not needed where each delivery proposes the same.
    async fn open(&self, request: RequestId, proposed: &RecordKey) -> Result<Opened, StoreError>;

    /// Whether a worker has decided the request, or has opened its record.
    async fn is_open(&self, request: RequestId) -> Result<bool, StoreError>;

    /// Writes the decision where there is none yet, opened or not. Gives the one that holds, which is the first for ever, and
    /// the record that it is in: where the request has one under another start time, that one holds.
    async fn decide(&self, key: &RecordKey, decided: &Decided) -> Result<Held, StoreError>;

    /// Adds a callback attempt that ended like this; gives how delivery stands after it. Delivered stays delivered: a
    /// worker that was cut off from its broker may tell of its own failed attempt long after another has succeeded.
    async fn attempted(
        &self,
        key: &RecordKey,
        attempt: &Attempt,
        state: DeliveryState,
    ) -> Result<DeliveryState, StoreError>;

    /// Notes requests that the broker has confirmed, so that they are known before any worker takes them. What is decided
    /// already is not noted, and a note is passed over once its request is decided.
    async fn accepted(&self, requests: &[Accepted]) -> Result<(), StoreError>;

    /// All that is known of a request, decided or not.
    async fn look_up(&self, request: RequestId) -> Result<Option<Known>, StoreError>;

    /// The record of a request; nothing when no worker has seen it yet, or when it has expired.
    async fn find(&self, request: RequestId) -> Result<Option<Record>, StoreError>;
}

/// What names a record: in Redis `log:authorize:<START_TIME_NS>:<STATION_UUID>:<DRIVER_TOKEN>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// When the client called, as it was first settled.
    pub start_ns: Nanos,
    /// The station.
    pub station_id: StationId,
    /// The token as presented.
    pub driver_token: PresentedToken,
}

/// A request that is accepted and not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The request.
    pub request_id: RequestId,
    /// The station.
    pub station_id: StationId,
    /// The token as presented.
    pub driver_token: PresentedToken,
    /// Where the decision will be sent; unknown of what came past public-api.
    pub callback_url: Option<String>,
    /// When the client called.
    pub start_ns: Nanos,
    /// Until when it has to be decided; unknown of what came past public-api.
    pub deadline_ns: Option<Nanos>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It waits, or a worker has it in hand.
    Accepted(Accepted),
    /// It is decided.
    Decided(Record),
}

/// What [`Records::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The key that holds.
    pub key: RecordKey,
    /// The record, where the decision is there already. Not another request's with the same key, of which there may be one
    /// where a driver asked twice in one nanosecond.
    pub record: Option<Record>,
}

/// What holds after [`Records::decide`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The record.
    pub key: RecordKey,
    /// The decision.
    pub decision: Decision,
    /// It was written by this call. Otherwise there may be attempts to deliver it.
    pub new: bool,
}

/// A decision with its circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The request.
    pub request_id: RequestId,
    /// The decision.
    pub decision: Decision,
    /// Where it will be sent, if anywhere.
    pub callback_url: Option<String>,
    /// Until when it had to be made.
    pub deadline_ns: Nanos,
    /// When it was made.
    pub decided_ns: Nanos,
    /// Which way the request came in.
    pub source: Source,
}

/// How the delivery of a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Attempts are under way or to come.
    Pending,
    /// The client has it.
    Delivered,
    /// No further attempt will be made; it is among the dead letters.
    Undeliverable,
}

/// One callback attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1, as the worker counts. Where two workers made the same one, the second has the next free place.
    pub number: u32,
    /// When it began.
    pub at_ns: Nanos,
    /// How long it took.
    pub took_ms: u64,
    /// The HTTP status, or a word for the error and what it was. Never a response's body.
    #[schema(value_type = String)]
    pub outcome: AttemptOutcome,
}

/// Everything that is known about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What names it.
    pub key: RecordKey,
    /// The decision with its circumstances.
    pub decided: Decided,
    /// How delivery stands.
    pub delivery: DeliveryState,
    /// The last attempt's outcome, or `pending`.
    pub callback_status: String,
    /// All attempts, in order.
    pub attempts: Vec<Attempt>,
}

impl DeliveryState {
    /// The word that records and answers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// How delivery stands after a worker has told of an attempt. `new` says that no other attempt has its number.
    pub(crate) fn after(self, told: Self, new: bool) -> Self {
        match (self, told) {
            (Self::Delivered, _) => Self::Delivered,
            // Only a replay, which counts on, makes it pending again.
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
    /// The record that its message proposes.
    pub(crate) fn key(&self) -> RecordKey {
        let (station_id, driver_token) = (self.station_id, self.driver_token.clone());
        RecordKey { start_ns: self.start_ns, station_id, driver_token }
    }

    /// What a worker that has it in hand has written so far.
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
    /// Where it stands among all records.
    pub fn place(&self) -> Place {
        Place { start_ns: self.key.start_ns, request_id: self.decided.request_id }
    }
}

impl RecordKey {
    /// The Redis key, without a prefix.
    pub fn to_redis(&self) -> String {
        format!("log:authorize:{}:{}:{}", self.start_ns, self.station_id, self.driver_token.expose())
    }

    /// The reverse; the token is the rest, whatever it holds.
    pub fn from_redis(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("log:authorize:")?.splitn(3, ':');
        let start_ns = parts.next()?.parse().ok()?;
        let station_id = parts.next()?.parse().ok()?;
        Some(Self { start_ns, station_id, driver_token: PresentedToken::new(parts.next()?) })
    }

    /// Whether two keys are about the same question, whenever it was asked.
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
