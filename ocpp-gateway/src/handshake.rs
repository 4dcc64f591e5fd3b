//! The handshake of a charger: who may connect, in this order of refusals: a malformed name, an unknown charger, one that is
//! disabled, missing or wrong credentials, no common subprotocol (OCPP-J 1.6, sections 3.1 and 6.2).

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use charging::DbError;
use charging::chargers::connections::{self, Known};
use charging::chargers::credentials::Match;
use charging::chargers::inbox::{self, Attempt};
use charging::stations::ChargerName;
use http_server::{PeerTls, Problem, caller};
use percent_encoding::percent_decode_str;

use crate::calls::ChargerIdentity;
use crate::metrics::HANDSHAKES;
use crate::node::Node;
use crate::socket::Socket;
use crate::writer::{Report, Written};

const SUBPROTOCOL: &str = "ocpp1.6";
const LIMIT: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How much of a header is kept for the inbox.
const MAX_TEXT: usize = 200;

/// A refusal, and its word in the metrics.
type Refused = Box<(&'static str, Problem)>;

pub(crate) async fn connect(
    node: Data<Arc<Node>>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let node = Arc::clone(&node);
    let connected = tokio::time::timeout(LIMIT, shake(&node, &request, payload)).await;
    let connected = connected.unwrap_or_else(|_| Err(unavailable("the handshake took too long")));
    let result = connected.as_ref().map_or_else(|refused| refused.0, |_| "accepted");
    counter!(HANDSHAKES, "result" => result).increment(1);
    connected.map_err(|refused| refused.1)
}

async fn shake(node: &Arc<Node>, request: &HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    // As it was sent: an extractor would have decoded it, and replaced what is no text.
    let path = request.uri().path().rsplit('/').next().unwrap_or_default();
    let name = percent_decode_str(path).decode_utf8().ok().and_then(|name| name.parse::<ChargerName>().ok());
    let malformed =
        || Problem::invalid("charger", "expected 1 to 48 characters without `:` and control characters");
    let name = name.ok_or_else(|| refused("malformed", malformed()))?;
    if node.sockets.len() >= node.config.max_sockets || node.stopping.is_cancelled() {
        let why = "this node holds as many chargers as it may (OCPP_MAX_SOCKETS), or stops";
        return Err(refused("full", Problem::unavailable("sockets", why, RETRY_AFTER)));
    }
    let permit = node.handshakes.acquire().await.map_err(|_| unavailable("the node stops"))?;
    let found = node.db.read(async |tx| connections::known(tx, name.as_str()).await).await;
    let known = match found.map_err(|error| away(&error))? {
        Some(known) => known,
        None => {
            note_unknown(node, name.as_str(), request).await;
            let detail = "no charger with this name is known; an operator can adopt it";
            return Err(refused("unknown", Problem::not_found("charger", detail)));
        }
    };
    if !known.terms.enabled {
        return Err(refused(
            "disabled",
            Problem::disabled("charger", "an operator has disabled this charger"),
        ));
    }
    let came_with = authenticate(node, name.as_str(), &known, request)?;
    let subprotocol = subprotocol(&known, request)?;
    // It refuses a request that is no handshake.
    let malformed =
        |error: actix_web::Error| refused("malformed", Problem::invalid("upgrade", error.to_string()));
    let (payload, held) = node.large_frames.limit(request, payload).await.map_err(malformed)?;
    let (mut response, session, frames) = actix_ws::handle(request, payload).map_err(malformed)?;
    // Many that come at once share one commit.
    drop(permit);
    let (station, node_id) = (known.station_id, node.id);
    let report = Report::Connected { node: node_id, subprotocol: SUBPROTOCOL, came_with };
    let Ok(Written::Connected(epoch)) = node.writer.write(station, report).await else {
        return Err(unwritten());
    };
    let gone = || refused("unknown", Problem::not_found("charger", "the station of this charger is gone"));
    let epoch = epoch.ok_or_else(gone)?;
    let newer = || {
        refused(
            "unavailable",
            Problem::unavailable("charger", "it has connected again meanwhile", RETRY_AFTER),
        )
    };
    let place = node.sockets.enter(station, epoch).ok_or_else(newer)?;
    if subprotocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let charger = ChargerIdentity {
        name: name.as_str().into(),
        station,
        registration: known.terms.registration,
        clock_offset_minutes: known.terms.clock_offset_minutes,
    };
    let max_frame = node.config.max_frame;
    let frames = frames.max_frame_size(max_frame).aggregate_continuations().max_continuation_size(max_frame);
    let socket = Socket::new(Arc::clone(node), charger, epoch, session, place, held);
    rt::spawn(node.tasks.track_future(socket.serve(frames)));
    Ok(response)
}

/// Which password the charger has come with; `None` without one, where none is required, or with a certificate.
fn authenticate(
    node: &Node,
    name: &str,
    known: &Known,
    request: &HttpRequest,
) -> Result<Option<Match>, Refused> {
    let unauthorized = |detail: &str| refused("credentials", Problem::basic_credentials("ocpp", detail));
    let tls = request.conn_data::<PeerTls>();
    match tls.and_then(|tls| tls.common_name.as_deref()) {
        Some(common_name) if common_name == name => return Ok(None),
        Some(_) => return Err(unauthorized("the certificate is that of another charger")),
        None if known.terms.security_profile >= 3 => {
            return Err(unauthorized("this charger must connect with its certificate (security profile 3)"));
        }
        None if known.terms.security_profile == 2 && tls.is_none() => {
            return Err(unauthorized("this charger must connect over TLS (security profile 2)"));
        }
        None => {}
    }
    let sent = request.headers().get(AUTHORIZATION).and_then(|header| basic(header.as_bytes()));
    if known.credentials.are_set() {
        // Bytes, as a password may be binary (Java-OCA-OCPP PR#163).
        let (user, password) =
            sent.ok_or_else(|| unauthorized("this charger has a password; it sent none"))?;
        let matched = known.credentials.verify(&password).filter(|_| user == name.as_bytes());
        return matched.map(Some).ok_or_else(|| unauthorized("the name or the password is wrong"));
    }
    if known.terms.security_profile > 0 {
        return Err(unauthorized("this charger needs a password, and none is set; an operator sets it"));
    }
    if !node.config.allow_open {
        return Err(unauthorized(
            "this charger has no password, and chargers without one are refused (OCPP_ALLOW_OPEN)",
        ));
    }
    Ok(None)
}

/// The user and the password of `Basic`, split at the first colon.
fn basic(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// Whether the charger has offered the subprotocol. One without any is let in only where an operator says so (steve#1109).
fn subprotocol(known: &Known, request: &HttpRequest) -> Result<bool, Refused> {
    let offered = offered(request);
    if offered.iter().any(|name| name == SUBPROTOCOL) {
        return Ok(true);
    }
    if offered.is_empty() && known.terms.assume_subprotocol {
        return Ok(false);
    }
    tracing::info!(?offered, "a charger speaks no subprotocol that is known here");
    let detail = format!("expected `{SUBPROTOCOL}` among the subprotocols; offered: {}", offered.join(", "));
    Err(refused("subprotocol", Problem::invalid("sec-websocket-protocol", detail)))
}

fn offered(request: &HttpRequest) -> Vec<String> {
    let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|line| line.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty());
    names.map(cut).take(10).collect()
}

/// Notes an attempt, unless too many have come from its address.
async fn note_unknown(node: &Node, name: &str, request: &HttpRequest) {
    let address = caller(request).address;
    if address.is_some_and(|address| node.unknown.of_address(address).take().refused_for.is_some()) {
        return;
    }
    let user_agent = request.headers().get(USER_AGENT).and_then(|header| header.to_str().ok());
    let attempt = Attempt {
        name: name.to_owned(),
        address: address.map(|address| address.to_string()),
        user_agent: user_agent.map(cut),
        subprotocols: offered(request).join(", "),
    };
    let noted = node.db.write(async |tx| inbox::note(tx, &attempt).await).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "an unknown charger could not be noted");
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn refused(word: &'static str, problem: Problem) -> Refused {
    Box::new((word, problem))
}

fn unavailable(detail: &str) -> Refused {
    refused("unavailable", Problem::unavailable("server", detail, RETRY_AFTER))
}

fn away(error: &DbError) -> Refused {
    tracing::warn!(%error, "a charger cannot connect");
    unwritten()
}

fn unwritten() -> Refused {
    let detail = "the database cannot be used at present";
    refused("unavailable", Problem::unavailable("database", detail, RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons_and_bytes_that_are_no_text() {
        let header = |bytes: &[u8]| format!("Basic {}", STANDARD.encode(bytes)).into_bytes();
        assert_eq!(basic(&header(b"CP-1:a:b")), Some((b"CP-1".to_vec(), b"a:b".to_vec())));
        assert_eq!(basic(&header(b"CP-1:\xff\x00")), Some((b"CP-1".to_vec(), vec![0xff, 0])));
        assert_eq!(basic(b"basic Q1AtMTo="), Some((b"CP-1".to_vec(), Vec::new())));
        for bad in [&b"Bearer x"[..], b"Basic", b"Basic ???", b"Basic Q1AtMQ=="] {
            assert_eq!(basic(bad), None);
        }
    }
}
