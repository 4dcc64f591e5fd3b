//! Name look-ups for callbacks. What is dialled is what was vetted in the same look-up; if one address of an answer is
//! refused, the whole answer is, because a host that mixes them is trying something.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use common::address_guard::AddressGuard;
use common::callback_url::is_localhost;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
pub(crate) struct VettedResolver {
    resolver: TokioResolver,
    guard: Arc<AddressGuard>,
}

/// A name without addresses.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved: {0}")]
pub(crate) struct NotResolved(String);

impl VettedResolver {
    /// Reads the machine's resolver configuration and hosts file.
    pub(crate) fn new(guard: AddressGuard) -> Result<Self, String> {
        let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { resolver, guard: Arc::new(guard) })
    }
}

impl VettedResolver {
    /// No DNS server is asked about `localhost` (RFC 6761), so there is no answer that could be a trick: those of the
    /// two loopback addresses that are admitted are dialled.
    fn loopback(&self) -> Result<Addrs, BoxError> {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let admitted: Vec<_> =
            both.into_iter().filter(|address| self.guard.check(*address).is_ok()).collect();
        if admitted.is_empty() {
            self.guard.check(both[0])?;
        }
        Ok(Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0))))
    }
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            if is_localhost(name.as_str()) {
                return this.loopback();
            }
            let found = this.resolver.lookup_ip(name.as_str()).await;
            let found = found.map_err(|error| NotResolved(error.to_string()))?;
            let mut addresses = Vec::new();
            for address in found.iter() {
                this.guard.check(address)?;
                addresses.push(SocketAddr::new(address, 0));
            }
            if addresses.is_empty() {
                return Err(NotResolved("it has no address".to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
