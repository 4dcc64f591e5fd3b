//! The HTTP client of the callbacks. reqwest bounds the idle connections of a host and not those of all hosts, so the client
//! is made anew after so many hosts: the old one's idle connections close, and what is in flight over it ends.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::resolver::VettedResolver;

/// An idle connection takes some 20 kB (measured with 10,000 hosts), so all of them 20 MB.
const MAX_HOSTS: usize = 1000;

pub(super) struct Connections {
    resolver: VettedResolver,
    /// As many connections as a host may have in flight at once are kept: those beyond would be made anew in every burst
    /// (measured with 32: one callback in five).
    kept: usize,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    /// The origins that it was handed out for.
    hosts: HashSet<String>,
}

impl Connections {
    /// That keep so many idle connections of a host.
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
                Err(error) => tracing::warn!(%error, "the connections of callbacks stay open for now"),
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
    async fn an_idle_connection_is_used_again_and_closes_after_so_many_hosts() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let guard = AddressGuard::default();
        let connections = Connections::new(VettedResolver::new(guard, 1).unwrap(), 1).unwrap();
        let host = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut requests = 0;
            // Each is read at once: it is small, and nothing follows it before its answer.
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
