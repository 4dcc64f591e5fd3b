//! POST requests that create something: with an `Idempotency-Key` a repeat gets the first answer again.

use actix_web::HttpRequest;
use charging::idempotency::{self, Key, Known};
use charging::{Db, Tx};
use http_server::{Problem, caller};
use sha2::{Digest, Sha256};

use crate::answer;
use crate::error::{Answer, ApiError};
use crate::live::Live;

const MAX_KEY: usize = 255;

/// Runs `effect` once for each key of the caller, in one transaction with the key.
pub(crate) async fn once(
    db: &Db,
    live: &Live,
    request: &HttpRequest,
    route: &'static str,
    body: &[u8],
    effect: impl AsyncFn(&mut Tx) -> Result<idempotency::Answer, ApiError>,
) -> Answer {
    Ok(answer::repeat(&answered(db, live, request, route, body, effect).await?))
}

/// The same for an answer that is not sent as it is.
pub(crate) async fn answered(
    db: &Db,
    live: &Live,
    request: &HttpRequest,
    route: &'static str,
    body: &[u8],
    effect: impl AsyncFn(&mut Tx) -> Result<idempotency::Answer, ApiError>,
) -> Result<idempotency::Answer, ApiError> {
    let key = key(request, route, body)?;
    let answered = db.write(async |tx| {
        let Some(key) = &key else { return effect(tx).await };
        match idempotency::reserve(tx, key).await? {
            Known::Answered(answer) => Ok(answer),
            Known::OfAnother => {
                let detail = "this key was used for another request";
                Err(Problem::conflicting_reuse("idempotency-key", detail).into())
            }
            Known::New => {
                let answer = effect(tx).await?;
                idempotency::answer(tx, key, &answer).await?;
                Ok(answer)
            }
        }
    });
    let answer = answered.await?;
    live.wake();
    Ok(answer)
}

fn key(request: &HttpRequest, route: &'static str, body: &[u8]) -> Result<Option<Key>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let is_visible = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let text = value.to_str().ok().filter(|text| (1..=MAX_KEY).contains(&text.len())).filter(is_visible);
    let expected = || {
        Problem::invalid(
            "idempotency-key",
            format!("expected 1 to {MAX_KEY} visible characters of ASCII, without spaces"),
        )
    };
    let key = text.ok_or_else(expected)?.to_owned();
    let caller = caller(request);
    let caller = match (&caller.account, &caller.id) {
        (Some(account), _) => format!("account:{}", account.id),
        (None, Some(key)) => key.to_string(),
        (None, None) => String::new(),
    };
    Ok(Some(Key { caller, route, key, request: Sha256::digest(body).to_vec() }))
}
