//! Request bodies: read up to a bound and within a time limit.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde_json::Value;

use crate::Problem;

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The whole body, of at most `limit` bytes.
///
/// # Errors
/// Larger, slower than ten seconds, or cut off.
pub async fn read(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(Problem::body_too_large(limit));
    }
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| Problem::invalid("body", error.to_string()))?;
            if body.len() + chunk.len() > limit {
                return Err(Problem::body_too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(TIME_LIMIT, reading).await.map_err(|_| Problem::body_too_slow(TIME_LIMIT))?
}

/// A body as JSON.
///
/// # Errors
/// It is none.
pub fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid("body", format!("the body is not JSON: {error}")))
}
