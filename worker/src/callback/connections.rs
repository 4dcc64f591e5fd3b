//! The HTTP client of the callbacks. reqwest limits the idle connections per host but not in total, so the client is
//! replaced after a number of hosts: the old client's idle connections close, and its calls in flight finish.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::resolver::VettedResolver;

/// An idle connection takes some 20 kB (measured with 10,000 hosts), so 1000 of them take 20 MB.
const MAX_HOSTS: usize = 1000;

pub(super) struct Connections {
    resolver: VettedResolver,
    /// The maximum number of idle connections per host. It equals the number that may be in flight: with fewer, every
    /// burst would open new ones (measured with 32: one callback in five).
    kept: usize,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    /// The origins that the client was used for.
    hosts: HashSet<String>,
}

impl Connections {
    /// Keeps at most this many idle connections per host.
    pub(super) fn new(resolver: VettedResolver, kept: usize) -> reqwest::Result<Self> {
        let (client, hosts) = (client(resolver.clone(), kept)?, HashSet::new());
        Ok(Self { resolver, kept, current: Mutex::new(Current { client, hosts }) })
    }

    /// The client for a call to this origin.
    pub(super) fn to(&self, origin: &str) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.hosts.contains(origin) {
            current.hosts.insert(origin.to_owned());
        }
        if current.hosts.len() > MAX_HOSTS {
            current.hosts.clear();
            match client(self.resolver.clone(), self.kept) {
                Ok(anew) => current.client = anew,
                Err(error) => tracing::warn!(%error, "the callback client could not be replaced"),
            }
        }
        current.client.clone()
    }
}

fn client(resolver: VettedResolver, kept: usize) -> reqwest::Result<Client> {
    Client::builder()
        .dns_resolver(resolver)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("voltgate/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(kept)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
}

#[cfg(test)]
mod tests {
    use common::address_guard::AddressGuard;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_idle_connection_is_reused_and_closes_after_many_hosts() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let guard = AddressGuard::default();
        let connections = Connections::new(VettedResolver::new(guard, 1).unwrap(), 1).unwrap();
        let host = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut requests = 0;
            // One read per request: a request is small, and the next one follows only after its answer.
            while stream.read(&mut [0; 4096]).await.unwrap() > 0 {
                requests += 1;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            requests
        };
        let calls = async {
            for _ in 0..3 {
                let answer = connections.to(&origin).get(&origin).send().await.unwrap();
                answer.bytes().await.unwrap();
            }
            for host in 0..MAX_HOSTS {
                drop(connections.to(&format!("http://host-{host}")));
            }
        };
        let served = async { tokio::join!(host, calls).0 };
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), served).await, Ok(3));
    }
}
