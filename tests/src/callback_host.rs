//! A callback host: it keeps the callbacks that it receives, and answers as the path says. It uses plain sockets,
//! because a library would not misbehave.
//!
//! `/ok…` answers 200. `/status/503` answers that status. `/first/503/200` answers the first status once for each
//! request id, then the second; `/first/hang/200` hangs once.
//! `/raw/NAME` answers as [`RAW`] defines, and closes. `/redirect` answers 302 to the path `/ok/redirected`. `/hang`
//! never answers. `/drip` sends its body byte by byte, forever. `/reset` closes at once. `/giant` sends without end.
//! `/retry-after/3` answers 503 with that header, then 200; `/retry-after/3/429` begins with 429, `/retry-after/3/cut`
//! with a body that breaks off.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{eventually, look_again};

/// Answers with complete heads and broken bodies, and the status of each. A `…` stands for 300 kB.
pub const RAW: &[(&str, &str, &str)] = &[
    ("cut", "200", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok"),
    ("missing", "201", "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n"),
    ("cut-long", "200", "HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n…"),
    ("long", "200", "HTTP/1.1 200 OK\r\n\r\n…"),
    ("longer-than-announced", "200", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nok"),
    ("no-chunk", "202", "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n"),
    ("cut-chunk", "200", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\nok"),
    ("no-last-chunk", "200", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"),
    ("cut-trailer", "200", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y"),
    ("no-gzip", "200", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok"),
    (
        "interim",
        "200",
        "HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
    ),
    ("http-1.0", "200", "HTTP/1.0 200 OK\r\n\r\nok"),
    ("empty-with-body", "204", "HTTP/1.1 204 No Content\r\n\r\nok"),
    ("not-found", "404", "HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\nno"),
    ("gone", "410", "HTTP/1.1 410 Gone\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n"),
    ("moved", "302", "HTTP/1.1 302 Found\r\nlocation: /ok/redirected\r\ncontent-length: 100\r\n\r\n"),
];

/// One callback as it was received.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The path that it was sent to.
    pub path: String,
    /// The headers, with lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
    /// When it was received.
    pub at: Instant,
    /// Whether the answer was a success: 2xx, and as much of a body as the caller reads.
    pub accepted: bool,
}

impl Callback {
    /// The value of a header, or `None`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The `webhook-id`.
    pub fn id(&self) -> &str {
        self.header("webhook-id").unwrap_or_default()
    }

    /// The decision.
    pub fn status(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

/// A host on a free port of this machine.
#[derive(Debug)]
pub struct CallbackHost {
    base: String,
    received: Arc<Mutex<Received>>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct Received {
    all: Vec<Callback>,
    /// Request id and path of each callback.
    seen: HashSet<(String, String)>,
}

impl CallbackHost {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// Starts one at another address of this machine.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let received = Arc::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&received))).abort_handle();
        Self { base, received, accepting }
    }

    /// The URL of a path of this host.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// All callbacks received so far.
    pub fn received(&self) -> Vec<Callback> {
        self.received.lock().expect("no test panics holding it").all.clone()
    }

    /// The number of callbacks so far.
    pub fn count(&self) -> usize {
        self.received.lock().expect("no test panics holding it").all.len()
    }

    /// The number of callbacks so far that match.
    pub fn count_of(&self, which: impl Fn(&Callback) -> bool) -> usize {
        let received = self.received.lock().expect("no test panics holding it");
        received.all.iter().filter(|callback| which(callback)).count()
    }

    /// Those of these requests that were not called back so far.
    pub fn missing<'a>(&self, requests: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let received = self.received.lock().expect("no test panics holding it");
        let seen: HashSet<&str> = received.all.iter().map(Callback::id).collect();
        requests.into_iter().filter(|request| !seen.contains(request)).collect()
    }

    /// Waits for the first callback to this path.
    pub async fn callback(&self, path: &str) -> Callback {
        eventually(&format!("a callback to {path}"), async || {
            self.received().into_iter().find(|callback| callback.path == path)
        })
        .await
    }

    /// Waits until all of these requests were called back.
    pub async fn all_of(&self, requests: &[String]) -> Vec<Callback> {
        let began = Instant::now();
        loop {
            let missing = self.missing(requests.iter().map(String::as_str));
            let Some(first) = missing.first() else { return self.received() };
            let (missing, of) = (missing.len(), requests.len());
            look_again(&format!("callbacks of {missing} of {of} requests, such as {first}"), began).await;
        }
    }
}

impl Drop for CallbackHost {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, received: Arc<Mutex<Received>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            while let Some(callback) = read(&mut stream).await {
                let answer = keep(&received, callback);
                if answer.send(stream.get_mut()).await.is_none() {
                    return;
                }
            }
        });
    }
}

/// Keeps the callback; returns the answer to send.
fn keep(received: &Mutex<Received>, mut callback: Callback) -> Answer {
    let mut received = received.lock().expect("no test panics holding it");
    let first = received.seen.insert((callback.id().to_owned(), callback.path.clone()));
    let answer = Answer::to(&callback.path, first);
    callback.accepted = answer.is_success();
    received.all.push(callback);
    answer
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Callback> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    Some(Callback { path, headers, body, at: Instant::now(), accepted: false })
}

enum Answer {
    /// The status, and a further header line or an empty string.
    Status(String, String),
    Hang,
    Reset,
    Drip,
    Giant,
    /// The status, and the bytes to send.
    Raw(&'static str, &'static str),
}

impl Answer {
    fn to(path: &str, first: bool) -> Self {
        let segments: Vec<&str> = path.split(['/', '?']).skip(1).collect();
        let status = |status: &str| Self::Status(status.to_owned(), String::new());
        match segments[..] {
            ["status", always, ..] => status(always),
            ["first", "hang", ..] if first => Self::Hang,
            ["first", once, then, ..] => status(if first { once } else { then }),
            ["retry-after", seconds, "cut", ..] if first => {
                // The body is two bytes long, and this header announces more.
                Self::Status(
                    "503".to_owned(),
                    format!("retry-after: {seconds}\r\ntransfer-encoding: chunked\r\n"),
                )
            }
            ["retry-after", seconds, ref rest @ ..] if first => {
                let once = rest.first().filter(|segment| segment.parse::<u16>().is_ok()).unwrap_or(&"503");
                Self::Status((*once).to_owned(), format!("retry-after: {seconds}\r\n"))
            }
            ["redirect", ..] => Self::Status("302".to_owned(), "location: /ok/redirected\r\n".to_owned()),
            ["hang", ..] => Self::Hang,
            ["reset", ..] => Self::Reset,
            ["drip", ..] => Self::Drip,
            ["giant", ..] => Self::Giant,
            ["raw", name, ..] => {
                let raw = RAW.iter().find(|(of, ..)| *of == name).expect("a name of the list");
                Self::Raw(raw.1, raw.2)
            }
            _ => status("200"),
        }
    }

    fn is_success(&self) -> bool {
        match self {
            Self::Status(status, _) => status.starts_with('2'),
            Self::Raw(status, _) => status.starts_with('2'),
            Self::Giant | Self::Drip => true,
            Self::Hang | Self::Reset => false,
        }
    }

    /// Returns `None` when the connection is to be closed.
    async fn send(&self, stream: &mut TcpStream) -> Option<()> {
        match self {
            Self::Status(status, header) => {
                let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n{header}\r\nok");
                stream.write_all(head.as_bytes()).await.ok()
            }
            Self::Hang => std::future::pending().await,
            Self::Reset => None,
            Self::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b".").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Self::Raw(_, answer) => {
                stream.write_all(answer.replace('…', &"x".repeat(300_000)).as_bytes()).await.ok()?;
                None
            }
            Self::Giant => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                loop {
                    stream.write_all(chunk.as_bytes()).await.ok()?;
                }
            }
        }
    }
}
