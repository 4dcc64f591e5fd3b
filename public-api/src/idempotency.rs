//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that is sent again is the same request.
//!
//! The key is claimed before the task is published and marked after the confirm. A crash or a missing confirm between
//! the two leaves an unconfirmed claim, which is never freed: the task may be in the queue. The client's next try
//! publishes again under the same request id, so there is one decision whatever happened to the first task.

use std::time::Duration;

use actix_web::HttpRequest;
use common::clock::Nanos;
use common::ids::RequestId;
use http_server::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::Store;

use crate::error::ApiError;
use crate::question::Question;

/// How long a key refers to the same request.
const KEEP: Duration = Duration::from_secs(24 * 3600);
const MAX_KEY: usize = 255;

/// The client's key, hashed: it may contain anything, and only the client needs its text.
pub(crate) struct IdempotencyKey(String);

/// The request that a key refers to.
pub(crate) struct Claim {
    pub(crate) request: RequestId,
    /// The time of the first try, so that all tries lead to one record.
    pub(crate) at: Nanos,
    /// Whether the task is known to be in the queue.
    pub(crate) confirmed: bool,
    /// Whether no earlier try has claimed the key, so that the task is certainly not in the queue yet.
    pub(crate) is_new: bool,
}

/// The claim as stored.
#[derive(Serialize, Deserialize)]
struct StoredClaim {
    request: RequestId,
    /// Absent in claims that an older public-api stored.
    asked_ns: Option<Nanos>,
    question: String,
    confirmed: bool,
}

impl IdempotencyKey {
    /// Reads the header, if present.
    pub(crate) fn of(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
        if value.is_empty() || value.len() > MAX_KEY {
            let expected = format!("expected 1 to {MAX_KEY} characters");
            return Err(Problem::invalid("idempotency-key", expected));
        }
        Ok(Some(Self(hash(&[value.as_bytes()]))))
    }

    fn name(&self) -> String {
        format!("idempotency:{}", self.0)
    }
}

/// Claims the key for this question, or returns the existing claim.
pub(crate) async fn claim(
    store: &Store,
    key: &IdempotencyKey,
    question: &Question,
    at: Nanos,
) -> Result<Claim, ApiError> {
    let new = Claim { request: RequestId::new(), at, confirmed: false, is_new: true };
    let mine = StoredClaim::new(&new, question);
    let held =
        store.key_values().put_if_absent(&key.name(), &text(&mine), KEEP).await.map_err(ApiError::Store)?;
    let Some(held) = held else { return Ok(new) };
    let held: StoredClaim = serde_json::from_str(&held).map_err(|_| ApiError::IdempotencyKeyReused)?;
    if held.question != mine.question {
        return Err(ApiError::IdempotencyKeyReused);
    }
    let at = held.asked_ns.unwrap_or(at);
    Ok(Claim { request: held.request, at, confirmed: held.confirmed, is_new: false })
}

/// Records that the task is in the queue. If this fails, the next try publishes again, which does no harm.
pub(crate) async fn confirm(store: &Store, key: &IdempotencyKey, question: &Question, claim: Claim) {
    let kept = StoredClaim::new(&Claim { confirmed: true, ..claim }, question);
    if let Err(error) = store.key_values().put(&key.name(), &text(&kept), KEEP).await {
        tracing::warn!(request = %claim.request, %error, "an idempotency key could not be marked as confirmed");
    }
}

impl StoredClaim {
    fn new(claim: &Claim, question: &Question) -> Self {
        let Claim { request, at, confirmed, is_new: _ } = *claim;
        Self { request, asked_ns: Some(at), question: fingerprint(question), confirmed }
    }
}

fn text(kept: &StoredClaim) -> String {
    serde_json::to_string(kept).unwrap_or_default()
}

fn fingerprint(question: &Question) -> String {
    let station = question.station_id.to_string();
    hash(&[station.as_bytes(), question.driver_token.expose().as_bytes(), question.callback_url.as_bytes()])
}

/// The hash of the parts, each with its length before it, so that no two lists of parts have the same input.
fn hash(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    format!("{:x}", sha.finalize())
}
