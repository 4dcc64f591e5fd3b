//! One kept-alive HTTP/1.1 connection that does as little as possible, because the generator shares its cores with the
//! system under test.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// Time limit of an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Servers close connections that are idle for longer, and a request sent at that moment would count as lost.
const IDLE: Duration = Duration::from_secs(2);
const MAX_HEADERS: usize = 64;
const MAX_READ: usize = 1024 * 1024;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A network error.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The connection ended in the middle of the exchange.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The answer is not one that this client understands.
    #[error("the answer is no HTTP/1.1 answer with a content-length: {0}")]
    Strange(String),
    /// The answer did not arrive in time.
    #[error("no answer within {LIMIT:?}")]
    Late,
    /// A URL that is not supported.
    #[error("`{0}` is no http:// URL; put the generator where it needs no TLS")]
    NoHttp(String),
}

/// The address of a server.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `host:port`, also sent as the `host` header.
    pub authority: String,
}

impl Origin {
    /// Parses an `http://` URL.
    ///
    /// # Errors
    /// Returns an error for any other URL.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        let bad = || ConnectionError::NoHttp(text.to_owned());
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "http").ok_or_else(bad)?;
        let host = url.host_str().ok_or_else(bad)?;
        Ok(Self { authority: format!("{host}:{}", url.port_or_known_default().unwrap_or(80)) })
    }
}

/// An answer; its body is in the connection's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

struct Head {
    status: u16,
    body: Range<usize>,
    closes: bool,
}

/// A connection. It is opened when first needed, and again after it has ended.
#[derive(Debug)]
pub struct Connection {
    origin: Origin,
    stream: Option<TcpStream>,
    used: Instant,
    buffer: BytesMut,
}

impl Connection {
    /// A connection to this server; nothing is opened yet.
    #[must_use]
    pub fn to(origin: Origin) -> Self {
        Self { origin, stream: None, used: Instant::now(), buffer: BytesMut::with_capacity(4096) }
    }

    /// Sends a whole request, head and body, and waits for its answer. A request is never sent twice.
    ///
    /// # Errors
    /// Returns an error if there was no answer, or none that this client understands.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, ConnectionError> {
        let outcome = tokio::time::timeout(LIMIT, self.try_exchange(request)).await;
        match outcome.unwrap_or(Err(ConnectionError::Late)) {
            Ok(head) => {
                if head.closes {
                    self.stream = None;
                }
                self.used = Instant::now();
                Ok(Answer { status: head.status, body: &self.buffer[head.body] })
            }
            Err(error) => {
                self.stream = None;
                Err(error)
            }
        }
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<Head, ConnectionError> {
        if self.used.elapsed() > IDLE {
            self.stream = None;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.origin.authority).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ConnectionError::Closed);
            }
            if let Some(head) = parse(&self.buffer)? {
                return Ok(head);
            }
            if self.buffer.len() > MAX_READ {
                return Err(ConnectionError::Strange(format!("it has more than {MAX_READ} bytes")));
            }
        }
    }
}

/// Returns `None` until the whole answer has arrived.
fn parse(bytes: &[u8]) -> Result<Option<Head>, ConnectionError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| ConnectionError::Strange(error.to_string()))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let no_length = || ConnectionError::Strange("it has no content-length".to_owned());
    let body: usize =
        header("content-length").and_then(|text| text.trim().parse().ok()).ok_or_else(no_length)?;
    let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let status = response.code.unwrap_or_default();
    let end = length + body;
    Ok((bytes.len() >= end).then_some(Head { status, body: length..end, closes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_all_of_it_is_there() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
        for short in 0..answer.len() {
            assert!(parse(&answer[..short]).unwrap().is_none(), "{short}");
        }
        let head = parse(answer).unwrap().unwrap();
        assert_eq!((head.status, &answer[head.body], head.closes), (202, &b"ok"[..], false));
    }

    #[test]
    fn what_has_no_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
