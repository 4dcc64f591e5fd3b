//! The second part of the bulkhead: how many callbacks may be in flight to one address, over all its names and ports.
//! Without it one machine with a thousand names would take every slot.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Clone)]
pub(crate) struct AddressLimits {
    /// The limit for any origin. It is above the limit of a single origin, so that one hanging origin does not block
    /// the others on its address.
    max: usize,
    /// The limit for healthy origins with little in flight, so that hanging origins on the same address do not block
    /// them.
    max_of_healthy: usize,
    in_flight: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A permit for each address that may be dialled. Released when dropped.
#[derive(Debug)]
pub(crate) struct Permits {
    limits: AddressLimits,
    blocks: Vec<IpAddr>,
}

impl AddressLimits {
    pub(crate) fn new(concurrency: u16) -> Self {
        let eighths = |count: usize| (usize::from(concurrency) * count).div_ceil(8);
        Self { max: eighths(5), max_of_healthy: eighths(7), in_flight: Arc::default() }
    }

    /// A permit for each of these addresses; `None` if one of them is at its limit.
    pub(crate) fn enter(&self, addresses: &[IpAddr], healthy: bool) -> Option<Permits> {
        let max = if healthy { self.max_of_healthy } else { self.max };
        let mut blocks: Vec<IpAddr> = addresses.iter().map(|address| block(*address)).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.iter().any(|block| in_flight.get(block).is_some_and(|count| *count >= max)) {
            return None;
        }
        for block in &blocks {
            *in_flight.entry(*block).or_default() += 1;
        }
        Some(Permits { limits: self.clone(), blocks })
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        let mut in_flight = self.limits.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        for block in &self.blocks {
            if let Some(count) = in_flight.get_mut(block) {
                *count -= 1;
                if *count == 0 {
                    in_flight.remove(block);
                }
            }
        }
    }
}

/// A customer of a hosting company usually has at least a /64 of IPv6.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_one_limit_for_all_its_names() {
        let limits = AddressLimits::new(8);
        let _taken: Vec<Permits> = (0..5).map(|_| limits.enter(&[ip("192.0.2.1")], false).unwrap()).collect();
        assert!(limits.enter(&[ip("192.0.2.1")], false).is_none());
        assert!(limits.enter(&[ip("::ffff:192.0.2.1")], false).is_none());
        assert!(limits.enter(&[ip("192.0.2.2"), ip("192.0.2.1")], false).is_none());
        assert!(limits.enter(&[ip("192.0.2.2")], false).is_some());
    }

    #[test]
    fn the_neighbours_of_hosts_that_hang_have_room_left() {
        let limits = AddressLimits::new(8);
        let hanging: Vec<Permits> =
            (0..5).map(|_| limits.enter(&[ip("192.0.2.1")], false).unwrap()).collect();
        let healthy: Vec<Permits> = (0..2).map(|_| limits.enter(&[ip("192.0.2.1")], true).unwrap()).collect();
        assert!(limits.enter(&[ip("192.0.2.1")], true).is_none());
        drop(healthy);
        assert!(limits.enter(&[ip("192.0.2.1")], true).is_some());
        drop(hanging);
        assert!(limits.in_flight.lock().unwrap().is_empty());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let limits = AddressLimits::new(1);
        let taken = limits.enter(&[ip("2001:db8::1"), ip("2001:db8::2")], false).unwrap();
        assert!(limits.enter(&[ip("2001:db8::3")], false).is_none());
        assert!(limits.enter(&[ip("2001:db8:0:1::3")], false).is_some());
        drop(taken);
        assert!(limits.enter(&[ip("2001:db8::3")], false).is_some());
    }
}
