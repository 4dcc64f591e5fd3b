//! Request bodies: read up to a size limit and within a time limit; compressed bodies are rejected.

mod json;
pub mod lines;

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

pub use self::json::{document, json, value};
use crate::Problem;

const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long the rest of a body is still read that cannot be parsed.
const PASSED_OVER: Duration = Duration::from_secs(5);
/// Some programs put this before a UTF-8 text. It is not part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Every gzip stream begins with these two bytes, and no text does.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reads the whole body, of at most `limit` bytes, without a byte order mark.
///
/// # Errors
/// Returns an error if the body is compressed, too large, slower than ten seconds, or cut off.
pub async fn read(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    not_compressed(request)?;
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
    let read = tokio::time::timeout(TIME_LIMIT, reading).await;
    let body = read.map_err(|_| Problem::body_too_slow(TIME_LIMIT))??;
    if body.starts_with(GZIP) {
        return Err(Problem::unsupported_content_encoding("the body is compressed (gzip)"));
    }
    Ok(body.slice_ref(without_mark(&body)))
}

/// A text without the byte order mark before it.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// The next chunk of a body that is read piece by piece; `None` at its end.
///
/// # Errors
/// Returns an error if the body is cut off, or nothing arrives within `limit`.
pub async fn chunk(payload: &mut Payload, limit: Duration) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(limit, payload.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(Problem::invalid("body", error.to_string())),
        Err(_) => Err(Problem::body_too_slow(limit)),
    }
}

/// Reads on for a moment, since many clients read the response only after they have sent everything.
pub async fn pass_over(mut payload: Payload) {
    let rest = async { while let Some(Ok(_)) = payload.next().await {} };
    let _ = tokio::time::timeout(PASSED_OVER, rest).await;
}

/// The media type of the body, in lower case and without parameters; empty if the request names none.
pub fn media_type(request: &HttpRequest) -> String {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Rejects a request whose header says that the body is compressed.
///
/// # Errors
/// Returns 415 for a `Content-Encoding` other than `identity`.
pub fn not_compressed(request: &HttpRequest) -> Result<(), Problem> {
    let codings =
        request.headers().get_all(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("unreadable"));
    let mut codings = codings.flat_map(|value| value.split(',')).map(str::trim);
    match codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(coding) => {
            let why = format!("the body is compressed, by its Content-Encoding ({coding:.32})");
            Err(Problem::unsupported_content_encoding(&why))
        }
    }
}
