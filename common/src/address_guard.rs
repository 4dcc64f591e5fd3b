//! Which addresses may be called back. A client chooses the URL, so without this check the service would expose the
//! operator's own networks. It is applied when a URL is parsed and again to every address that is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The rules in force. The allow list takes precedence over the deny list, which takes precedence over the public
/// ranges.
#[derive(Debug, Clone)]
pub struct AddressGuard {
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    ports: Vec<RangeInclusive<u16>>,
    /// Whether the operator set the ports. The default list is for public hosts; in an admitted network every port is
    /// allowed.
    ports_chosen: bool,
    /// Whether a network is admitted whose hosts may have private names.
    private_names: bool,
}

/// Why a callback's destination is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An address that is not public, or that the operator denies.
    #[error(
        "the address {address} may not be called back (the operator can admit it with CALLBACK_ALLOWED_NETWORKS)"
    )]
    Address {
        /// The address.
        address: IpAddr,
    },
    /// A port outside `CALLBACK_ALLOWED_PORTS`.
    #[error("the port {port} may not be called back (the operator can admit it with CALLBACK_ALLOWED_PORTS)")]
    Port {
        /// The port.
        port: u16,
    },
}

impl Default for AddressGuard {
    /// Public addresses, at ports 80, 443 and 1024 upwards.
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            denied: Vec::new(),
            ports: vec![80..=80, 443..=443, 1024..=u16::MAX],
            ports_chosen: false,
            private_names: false,
        }
    }
}

impl AddressGuard {
    /// The rules of an operator. `ports` of `None` means the default list.
    pub fn new(
        allowed: Vec<AllowedNetwork>,
        denied: Vec<IpNet>,
        ports: Option<Vec<RangeInclusive<u16>>>,
    ) -> Self {
        Self {
            private_names: allowed.iter().any(|allowed| matches!(allowed, AllowedNetwork::Network(_))),
            allowed: allowed.into_iter().flat_map(AllowedNetwork::networks).collect(),
            denied,
            ports_chosen: ports.is_some(),
            ports: ports.unwrap_or_else(|| Self::default().ports),
        }
    }

    /// Whether this address may be dialled.
    ///
    /// # Errors
    /// Returns [`Refused::Address`] if not.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.admits(address) {
            return Ok(());
        }
        let public = match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => is_public_v6(v6),
        };
        if public && !listed(&self.denied, address) { Ok(()) } else { Err(Refused::Address { address }) }
    }

    /// Whether this port of a literal address may be dialled.
    ///
    /// # Errors
    /// Returns [`Refused`], for the address or the port.
    pub fn check_socket(&self, address: IpAddr, port: u16) -> Result<(), Refused> {
        self.check(address)?;
        if port != 0 && self.admits(address) && !self.ports_chosen { Ok(()) } else { self.check_port(port) }
    }

    /// Whether this port may be dialled, for a host whose address is not known yet.
    ///
    /// # Errors
    /// Returns [`Refused::Port`] if not.
    pub fn check_port(&self, port: u16) -> Result<(), Refused> {
        let listed = self.ports.iter().any(|range| range.contains(&port));
        if port != 0 && listed { Ok(()) } else { Err(Refused::Port { port }) }
    }

    /// Whether the operator admits this address explicitly.
    pub fn admits(&self, address: IpAddr) -> bool {
        listed(&self.allowed, address)
    }

    /// Whether a name that cannot be public may belong to a host in a network that the operator admits. Only the
    /// look-up shows which network it is in.
    pub fn admits_private_names(&self) -> bool {
        self.private_names
    }
}

/// An item of `CALLBACK_ALLOWED_NETWORKS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedNetwork {
    /// The loopback addresses, and `localhost`, the one name that is known to have them.
    Localhost,
    /// A network, and private names whose addresses are in it.
    Network(IpNet),
}

impl AllowedNetwork {
    /// `localhost`, a network, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("localhost") {
            Some(Self::Localhost)
        } else {
            network(text).map(Self::Network)
        }
    }

    fn networks(self) -> Vec<IpNet> {
        match self {
            Self::Localhost => vec![v4(127, 0, 0, 0, 8).into(), v6([0, 0, 0, 0, 0, 0, 0, 1], 128).into()],
            Self::Network(network) => vec![network],
        }
    }
}

/// An IPv4 network also covers its IPv4-mapped form, since dialling that reaches the same hosts.
fn listed(networks: &[IpNet], address: IpAddr) -> bool {
    let plain = address.to_canonical();
    networks.iter().any(|network| network.contains(&plain))
}

/// A network, or a single address as a network of its own.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A port, or a range such as `8000-8999`.
pub fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    (!range.is_empty()).then_some(range)
}

/// IANA's special-purpose registry (RFC 6890) and multicast, and 168.63.129.16, where Azure serves its virtual
/// machines.
const PRIVATE_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(168, 63, 129, 16, 32),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 3),
];

/// Global unicast. Everything else is refused, because deny lists are never complete in IPv6.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Special-purpose parts of global unicast: IETF protocols with Teredo, documentation, 6to4, documentation again.
const PRIVATE_V6: &[Ipv6Net] = &[
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !PRIVATE_V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    GLOBAL_V6.contains(&address) && !PRIVATE_V6.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guard(allowed: &'static str, denied: &'static str) -> AddressGuard {
        let items = |text: &'static str| text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let allowed = items(allowed).map(|item| AllowedNetwork::parse(item).unwrap()).collect();
        AddressGuard::new(allowed, items(denied).map(|item| network(item).unwrap()).collect(), None)
    }

    fn allows(guard: &AddressGuard, address: &str) -> bool {
        guard.check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn the_edges_of_every_private_ipv4_range_are_refused_and_their_neighbours_are_not() {
        let guard = AddressGuard::default();
        let private =
            |address: u32| PRIVATE_V4.iter().any(|network| network.contains(&Ipv4Addr::from(address)));
        for network in PRIVATE_V4 {
            let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
            for inside in [first, last, first + (last - first) / 2] {
                assert!(guard.check(Ipv4Addr::from(inside).into()).is_err(), "{}", Ipv4Addr::from(inside));
            }
            for outside in
                [first.wrapping_sub(1), last.wrapping_add(1)].into_iter().filter(|edge| !private(*edge))
            {
                assert!(guard.check(Ipv4Addr::from(outside).into()).is_ok(), "{}", Ipv4Addr::from(outside));
            }
        }
    }

    #[test]
    fn the_allow_list_wins_over_the_deny_list_which_wins_over_what_is_public() {
        let guard = guard("10.1.0.0/16, fd00::/8, 198.51.100.7", "93.184.0.0/16,10.0.0.0/8");
        assert!(allows(&guard, "10.1.2.3") && allows(&guard, "fd00::1") && allows(&guard, "198.51.100.7"));
        assert!(allows(&guard, "::ffff:10.1.2.3"));
        assert!(
            !allows(&guard, "10.2.0.1")
                && !allows(&guard, "93.184.216.34")
                && !allows(&guard, "198.51.100.8")
        );
        assert!(allows(&guard, "8.8.8.8"));
    }

    #[test]
    fn the_default_ports_are_for_hosts_that_nobody_admitted() {
        let admitted = guard("10.0.0.0/8", "");
        let check = |guard: &AddressGuard, address: &str, port| {
            guard.check_socket(address.parse().unwrap(), port).is_ok()
        };
        assert!(check(&admitted, "10.0.0.1", 9) && !check(&admitted, "10.0.0.1", 0));
        assert!(check(&admitted, "8.8.8.8", 443) && !check(&admitted, "8.8.8.8", 25));
        let allowed = AllowedNetwork::parse("10.0.0.0/8").unwrap();
        let chosen = AddressGuard::new(vec![allowed], Vec::new(), Some(vec![ports("8000-8080").unwrap()]));
        assert!(
            check(&chosen, "10.0.0.1", 8080)
                && !check(&chosen, "10.0.0.1", 9)
                && !check(&chosen, "8.8.8.8", 443)
        );
    }

    #[test]
    fn what_is_no_network_or_no_range_of_ports_is_refused() {
        assert_eq!(AllowedNetwork::parse("10.0.0.0/33"), None);
        assert_eq!((network("10.0.0.0/33"), ports("90-80")), (None, None));
    }

    proptest! {
        #[test]
        fn an_ipv6_address_is_public_only_within_2000_3(bits in any::<u128>()) {
            let address = Ipv6Addr::from(bits);
            if AddressGuard::default().check(address.into()).is_ok() {
                prop_assert_eq!(bits >> 125, 1);
            }
        }

        #[test]
        fn an_embedded_ipv4_address_is_never_a_way_round(bits in any::<u32>(), prefix in prop::sample::select(vec![
            "::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2002::", "2001::", "fe80::", "fc00::", "ff02::",
        ])) {
            let prefix: Ipv6Addr = prefix.parse().unwrap();
            let address = Ipv6Addr::from(u128::from(prefix) | u128::from(bits));
            prop_assert!(AddressGuard::default().check(address.into()).is_err());
        }

        #[test]
        fn an_ipv4_address_is_refused_exactly_when_a_range_holds_it(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let octets = address.octets();
            let refused = matches!(octets,
                [0 | 10 | 127 | 224..=255, ..] | [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..]
                | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] | [198, 18 | 19, ..]
                | [198, 51, 100, _] | [203, 0, 113, _] | [168, 63, 129, 16]);
            prop_assert_eq!(AddressGuard::default().check(address.into()).is_err(), refused);
        }
    }
}
