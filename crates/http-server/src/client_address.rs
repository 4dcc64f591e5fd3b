//! The address that a request came from. Forwarding headers count only from a trusted proxy: any client can send them.

use std::net::IpAddr;

use crate::settings::TRUSTED_PROXIES;
use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;
use service_runtime::settings::{SettingError, Settings};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks whose proxies are trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let network = |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        settings.list(&TRUSTED_PROXIES, network).map(Self)
    }

    /// The last hop that is not a trusted proxy. It is the peer if the headers are absent or contradict each other: a
    /// proxy that sets one of them may pass on the other as a client sent it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let by_x_forwarded_for = self.last_hop(hops(headers, &X_FORWARDED_FOR, |hop| Some(hop)));
        let by_forwarded = self.last_hop(hops(headers, &FORWARDED, forwarded_for));
        match (by_x_forwarded_for, by_forwarded) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns `None` if the last hop that counts is not an address.
    fn last_hop(&self, hops: Vec<Option<IpAddr>>) -> Option<IpAddr> {
        hops.into_iter().rev().find(|hop| !hop.is_some_and(|address| self.trusts(address))).flatten()
    }
}

fn hops(headers: &HeaderMap, name: &HeaderName, node: impl Fn(&str) -> Option<&str>) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(name).map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(|hop| address(node(hop)?)).collect()
}

/// The `for` of one hop (RFC 7239).
fn forwarded_for(hop: &str) -> Option<&str> {
    let mut pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, node)| node)
}

/// `192.0.2.1`, `192.0.2.1:80`, `"[2001:db8::1]:80"` or `2001:db8::1`.
fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim().trim_matches('"');
    let bracketed = node.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inside, _)| inside);
    let host = bracketed.unwrap_or(match node.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => node,
    });
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        TrustedProxies(networks.into()).client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_last_hop() {
        let xff = "x-forwarded-for";
        for (peer, headers, expected) in [
            ("192.0.2.9", &[(xff, "203.0.113.1")][..], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "203.0.113.1")], "203.0.113.1"),
            ("::ffff:10.0.0.1", &[(xff, "203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(xff, "6.6.6.6, 203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[(xff, "6.6.6.6"), (xff, "203.0.113.1:1234, 10.0.0.2")], "203.0.113.1"),
            ("10.0.0.1", &[(xff, "6.6.6.6, nonsense")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=http")], "2001:db8::1"),
            ("fd00::1", &[("forwarded", "For=203.0.113.1")], "203.0.113.1"),
            ("10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "203.0.113.1"), ("forwarded", "for=6.6.6.6")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "203.0.113.1"), ("forwarded", "for=203.0.113.1")], "203.0.113.1"),
        ] {
            assert_eq!(client(peer, headers), expected, "{peer} {headers:?}");
        }
    }
}
