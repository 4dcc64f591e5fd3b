//! The bulkhead's second wall: how many callbacks may be in flight to one address at once, however many names and ports it
//! has. Without it one machine behind a thousand names would take every slot.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Clone)]
pub(crate) struct AddressLimits {
    /// For everybody. More than one origin may have, so that one that hangs does not stop its neighbours at once.
    most: usize,
    /// For origins that are healthy and have little in flight: the neighbours of those that hang.
    most_for_the_well: usize,
    in_flight: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A permit at each address that may be dialled. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Permits {
    limits: AddressLimits,
    blocks: Vec<IpAddr>,
}

impl AddressLimits {
    pub(crate) fn new(concurrency: u16) -> Self {
        let eighths = |count: usize| (usize::from(concurrency) * count).div_ceil(8);
        Self { most: eighths(5), most_for_the_well: eighths(7), in_flight: Arc::default() }
    }

    /// A permit at each of these addresses; nothing when one of them has all that it may have.
    pub(crate) fn enter(&self, addresses: &[IpAddr], healthy: bool) -> Option<Permits> {
        let most = if healthy { self.most_for_the_well } else { self.most };
        let mut blocks: Vec<IpAddr> = addresses.iter().map(|address| block(*address)).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.iter().any(|block| in_flight.get(block).is_some_and(|count| *count >= most)) {
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

/// One customer of a hosting company has a /64 of IPv6 at least.
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
    fn an_address_is_full_whatever_its_names_are_and_others_are_not_touched() {
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
