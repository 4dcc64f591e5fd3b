//! A link: a small TCP proxy that can be cut, go silent, be slow, or answer in place of the service.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

const CHUNK: usize = 16 * 1024;

#[derive(Debug, Clone, Copy)]
enum Mode {
    Open,
    Slow(Duration),
    BlackHole,
    Cut,
    Answer(&'static str),
}

/// A connection to a service that can be disturbed at any time; it affects open and new connections.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    targets: Arc<Targets>,
    accepting: AbortHandle,
}

impl Link {
    /// An open link to the target of this URL.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (mode, watched) = watch::channel(Mode::Open);
        let targets = Arc::new(Targets::default());
        let accepting = tokio::spawn(accept(listener, watched, Arc::clone(&targets))).abort_handle();
        let link = Self { address, mode, targets, accepting };
        link.lead(0, url);
        link
    }

    /// Sets the target at index `place`, counted from 0, to this URL: a restarted service has another port. New
    /// connections use the targets in turn and skip those that refuse.
    pub fn lead(&self, place: usize, url: &str) {
        let address = address_of(url);
        let mut all = self.targets.all.lock().expect("nobody panics holding it");
        let end = all.len().max(place + 1);
        all.resize(end, address);
        all[place] = address;
    }

    /// The same URL through this link.
    pub fn through(&self, url: &str) -> String {
        url.replacen(&address_of(url).to_string(), &self.address.to_string(), 1)
    }

    /// Everything passes again. After [`Link::black_hole`] this includes what was sent meanwhile, as in a network.
    pub fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Open connections are reset, and new ones are reset at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Packets vanish: nothing passes, not even the end of a connection. New connections are accepted and stay silent.
    pub fn black_hole(&self) {
        self.mode.send_replace(Mode::BlackHole);
    }

    /// Delays everything that passes.
    pub fn slow(&self, delay: Duration) {
        self.mode.send_replace(Mode::Slow(delay));
    }

    /// Answers every HTTP request with these bytes and closes its connection.
    pub fn answer(&self, response: &'static str) {
        self.mode.send_replace(Mode::Answer(response));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Debug, Default)]
struct Targets {
    all: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl Targets {
    async fn connect(&self) -> Option<TcpStream> {
        let mut all = self.all.lock().expect("nobody panics holding it").clone();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % all.len();
        all.rotate_left(turn);
        for target in all {
            if let Ok(stream) = TcpStream::connect(target).await {
                return Some(stream);
            }
        }
        None
    }
}

fn address_of(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("a URL");
    let host = url.host_str().and_then(|host| host.parse().ok()).expect("a URL with an address");
    SocketAddr::new(host, url.port().expect("a URL with a port"))
}

async fn accept(listener: TcpListener, mode: watch::Receiver<Mode>, targets: Arc<Targets>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(serve(near, mode.clone(), Arc::clone(&targets)));
    }
}

/// Serves a new connection according to the mode.
async fn serve(near: TcpStream, mut mode: watch::Receiver<Mode>, targets: Arc<Targets>) {
    let passes = mode.wait_for(|mode| !matches!(mode, Mode::BlackHole)).await.map(|mode| *mode);
    match passes {
        Ok(Mode::Answer(response)) => drop(answer(near, response).await),
        Ok(Mode::Open | Mode::Slow(_)) => match targets.connect().await {
            Some(far) => carry(near, far, mode).await,
            None => reset(&near),
        },
        Ok(Mode::Cut | Mode::BlackHole) | Err(_) => reset(&near),
    }
}

async fn answer(mut near: TcpStream, response: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < CHUNK {
        request.push(near.read_u8().await?);
    }
    near.write_all(response.as_bytes()).await?;
    near.shutdown().await
}

/// Copies both directions until both have ended, one fails, or the link is cut.
async fn carry(mut near: TcpStream, mut far: TcpStream, mut mode: watch::Receiver<Mode>) {
    let ended = {
        let (from_near, to_near) = near.split();
        let (from_far, to_far) = far.split();
        let there = forward(from_near, to_far, mode.clone());
        let back = forward(from_far, to_near, mode.clone());
        tokio::select! {
            ended = async { tokio::try_join!(there, back) } => ended.is_ok(),
            _ = mode.wait_for(|mode| matches!(mode, Mode::Cut | Mode::Answer(_))) => false,
        }
    };
    if !ended {
        reset(&near);
        reset(&far);
    }
}

async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        passable(&mut mode).await?;
        let read = tokio::select! {
            biased;
            changed = mode.changed() => {
                changed.map_err(io::Error::other)?;
                continue;
            }
            read = from.read(&mut chunk) => read?,
        };
        // The link may have gone silent meanwhile.
        tokio::time::sleep(passable(&mut mode).await?).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

/// Waits until data may pass; returns the delay.
async fn passable(mode: &mut watch::Receiver<Mode>) -> io::Result<Duration> {
    let mode = mode.wait_for(|mode| matches!(mode, Mode::Open | Mode::Slow(_))).await;
    match *mode.map_err(io::Error::other)? {
        Mode::Slow(delay) => Ok(delay),
        _ => Ok(Duration::ZERO),
    }
}

/// Drops the stream with RST instead of FIN.
fn reset(stream: &TcpStream) {
    // A stream that is already closed needs none.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(200);
    const LATE: Duration = Duration::from_secs(10);

    /// An echo service, and a link to it.
    async fn echo() -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Link::to(&url).await
    }

    async fn said(stream: &mut TcpStream, limit: Duration) -> Option<io::Result<u8>> {
        tokio::time::timeout(limit, stream.read_u8()).await.ok()
    }

    #[tokio::test]
    async fn what_a_black_hole_swallowed_flows_on_when_it_is_open_again() {
        let link = echo().await;
        let mut old = TcpStream::connect(link.address).await.unwrap();
        old.write_u8(1).await.unwrap();
        assert_eq!(said(&mut old, LATE).await.unwrap().unwrap(), 1);
        link.black_hole();
        let mut new = TcpStream::connect(link.address).await.unwrap();
        old.write_u8(2).await.unwrap();
        new.write_u8(3).await.unwrap();
        assert!(said(&mut old, SOON).await.is_none() && said(&mut new, SOON).await.is_none());
        link.open();
        assert_eq!(said(&mut old, LATE).await.unwrap().unwrap(), 2);
        assert_eq!(said(&mut new, LATE).await.unwrap().unwrap(), 3);
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_there_and_what_comes() {
        let link = echo().await;
        let mut old = TcpStream::connect(link.address).await.unwrap();
        old.write_u8(1).await.unwrap();
        assert!(said(&mut old, LATE).await.unwrap().is_ok());
        link.cut();
        assert!(said(&mut old, LATE).await.unwrap().is_err());
        if let Ok(mut new) = TcpStream::connect(link.address).await {
            assert!(said(&mut new, LATE).await.unwrap().is_err());
        }
        link.open();
        let mut again = TcpStream::connect(link.address).await.unwrap();
        again.write_u8(4).await.unwrap();
        assert_eq!(said(&mut again, LATE).await.unwrap().unwrap(), 4);
    }

    #[tokio::test]
    async fn it_answers_in_the_place_of_the_service_and_can_lead_elsewhere() {
        let link = echo().await;
        link.answer("HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let http = crate::servers::reqwest_client();
        let url = link.through("http://127.0.0.1:1/path");
        assert!(url.ends_with("/path") && !url.contains(":1/"), "{url}");
        assert_eq!(http.get(&url).send().await.unwrap().status(), 500);
        link.open();
        link.lead(0, "http://127.0.0.1:1");
        assert!(http.get(&url).send().await.is_err());
    }
}
