//! The target of the callbacks: answers 200 to everything, on its own thread, and records which callback arrived when.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use crate::drivers::STRANGER;

/// The name of its thread, by which its CPU time is found.
pub const THREAD: &str = "sink";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const MAX_HEADERS: usize = 32;
const MAX_READ: usize = 64 * 1024;
const WAIT_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// One callback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callback {
    pub(crate) request: Uuid,
    pub(crate) at: Instant,
    /// Whether the decision is the expected one for the driver's token.
    pub(crate) right: bool,
}

#[derive(Debug, Default)]
struct Received {
    callbacks: Mutex<Vec<Callback>>,
    count: AtomicU64,
    /// Number of calls that were not callbacks.
    foreign: AtomicU64,
    /// In a closed loop, each callback adds a permit here.
    permits: Mutex<Option<Arc<Semaphore>>>,
}

/// A running sink. It ends when dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    received: Arc<Received>,
    _stop: oneshot::Sender<()>,
}

impl Sink {
    /// Listens on this address; port 0 selects any free one.
    ///
    /// # Errors
    /// Returns an error if it cannot listen on the address.
    pub fn start(address: (IpAddr, u16)) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let received = Arc::<Received>::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let noted = Arc::clone(&received);
        std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serve(listener, noted) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, received, _stop: stop })
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn count(&self) -> u64 {
        self.received.count.load(Ordering::Acquire)
    }

    /// Number of calls that were not callbacks of requests.
    pub(crate) fn foreign(&self) -> u64 {
        self.received.foreign.load(Ordering::Relaxed)
    }

    pub(crate) fn release_to(&self, permits: Option<Arc<Semaphore>>) {
        *lock(&self.received.permits) = permits;
    }

    /// The callbacks since the last call.
    pub(crate) fn take(&self) -> Vec<Callback> {
        let mut callbacks = lock(&self.received.callbacks);
        self.received.count.store(0, Ordering::Release);
        std::mem::take(&mut callbacks)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: std::net::TcpListener, received: Arc<Received>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        // For instance out of file descriptors; the rejected client tries again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(WAIT_AFTER_FAILURE).await;
            continue;
        };
        tokio::spawn(answer(stream, Arc::clone(&received)));
    }
}

async fn answer(mut stream: TcpStream, received: Arc<Received>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(1024);
    while stream.read_buf(&mut buffer).await? > 0 && buffer.len() <= MAX_READ {
        while let Some(call) = parse(&buffer) {
            buffer.advance(call.length);
            // Answered before it is recorded: the process may end with the last callback, and
            // an unanswered one is sent again.
            let answered = stream.write_all(ANSWER).await;
            match call.callback {
                Some(callback) => received.note(callback),
                None => drop(received.foreign.fetch_add(1, Ordering::Relaxed)),
            }
            answered?;
        }
    }
    Ok(())
}

impl Received {
    fn note(&self, callback: Callback) {
        lock(&self.callbacks).push(callback);
        self.count.fetch_add(1, Ordering::Release);
        if let Some(permits) = &*lock(&self.permits) {
            permits.add_permits(1);
        }
    }
}

struct Call {
    length: usize,
    callback: Option<Callback>,
}

/// Returns `None` until the whole call has arrived.
fn parse(bytes: &[u8]) -> Option<Call> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(bytes) else { return None };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let length = header("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let length = head + length.unwrap_or(0usize);
    let body = bytes.get(head..length)?;
    let request = header("webhook-id").and_then(|value| Uuid::try_parse_ascii(value).ok());
    let callback = request.map(|request| Callback { request, at: Instant::now(), right: is_right(body) });
    Some(Call { length, callback })
}

/// Whether a driver on no list was refused, and any other was allowed.
fn is_right(body: &[u8]) -> bool {
    let Ok(body) = std::str::from_utf8(body) else { return false };
    let expected = if body.contains(STRANGER) { "\"not_allowed\"" } else { "\"allowed\"" };
    body.contains(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(driver: &str, status: &str) -> String {
        let body = format!(r#"{{"station_id":"s","driver_token":"{driver}","status":"{status}"}}"#);
        format!(
            "POST /x HTTP/1.1\r\nWebhook-Id: 01a1fdc4-3193-72e3-bff0-3fbc4117778f\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn a_callback_is_noted_once_all_of_it_is_there() {
        let call = call("bench-driver-admitted-1", "allowed");
        for short in 0..call.len() {
            assert!(parse(&call.as_bytes()[..short]).is_none(), "{short}");
        }
        let parsed = parse(call.as_bytes()).unwrap();
        let callback = parsed.callback.unwrap();
        assert_eq!((parsed.length, callback.right), (call.len(), true));
        assert_eq!(callback.request.to_string(), "01a1fdc4-3193-72e3-bff0-3fbc4117778f");
    }

    #[test]
    fn a_wrong_decision_is_seen() {
        for (driver, status) in
            [("bench-driver-admitted-1", "unknown"), ("bench-driver-stranger-1", "allowed")]
        {
            assert!(!parse(call(driver, status).as_bytes()).unwrap().callback.unwrap().right);
        }
    }
}
