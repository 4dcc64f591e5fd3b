//! A link to a service that delays all answers: it simulates a partner that is slow but not busy.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use load_generator::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const AT_ONCE: usize = 64 * 1024;

/// A listening link. It ends when dropped.
#[derive(Debug)]
pub struct DelayedLink {
    port: u16,
    target: Arc<Mutex<Option<String>>>,
    serving: JoinHandle<()>,
}

impl DelayedLink {
    /// Listens on a free port; each answer is delayed by `late`.
    ///
    /// # Errors
    /// Returns an error if no port is available.
    pub async fn start(late: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let target = Arc::<Mutex<Option<String>>>::default();
        let leads_to = Arc::clone(&target);
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let authority = leads_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(authority) = authority {
                    tokio::spawn(pass(near, authority, late));
                }
            }
        });
        Ok(Self { port, target, serving })
    }

    /// The URL on which it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends new connections to this service.
    ///
    /// # Errors
    /// Returns an error if this is not a valid URL.
    pub fn lead_to(&self, url: &str) -> Result<()> {
        let origin = Origin::parse(url)?;
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin.authority);
        Ok(())
    }
}

impl Drop for DelayedLink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Forwards requests at once and answers late. A connection carries one request at a time, so each read is an answer.
async fn pass(near: TcpStream, authority: String, late: Duration) -> std::io::Result<()> {
    let far = TcpStream::connect(authority).await?;
    far.set_nodelay(true)?;
    near.set_nodelay(true)?;
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let asking = tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
    let mut answer = vec![0; AT_ONCE];
    loop {
        let length = from_far.read(&mut answer).await?;
        if length == 0 {
            asking.abort();
            return Ok(());
        }
        tokio::time::sleep(late).await;
        to_near.write_all(&answer[..length]).await?;
    }
}
