//! Name look-ups for callbacks. What is dialled is what was vetted in the same look-up; if one address of an answer is
//! refused, the whole answer is, because a host that mixes them is trying something.

use std::net::SocketAddr;
use std::sync::Arc;

use common::address_guard::AddressGuard;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

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

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
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
