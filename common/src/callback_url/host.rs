//! Which hosts can be public at all. A callback to any other host is dead-lettered, unless the host is in a network
//! that the operator admits.

use std::net::Ipv4Addr;

/// Why a host can never be reached over the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeverPublic {
    /// A name without a dot, which each network resolves in its own way.
    #[error("a name without a dot is not a public host")]
    SingleLabel,
    /// A name below a top-level domain that has no public hosts.
    #[error("names in .{0} are reserved and have no public hosts")]
    Reserved(&'static str),
    /// The name's last label cannot be a top-level domain: those have at least two letters, and only letters, or begin
    /// with `xn--`.
    #[error("the name does not end in a top-level domain")]
    TopLevel,
    /// DNS allows such names, but host names do not (RFC 952, RFC 1123 section 2.1).
    #[error("names of public hosts contain no underscore")]
    Underscore,
    /// Also by RFC 952 and RFC 1123.
    #[error("no label of a public host's name begins or ends with a hyphen")]
    Hyphen,
    /// Programs disagree about which address is meant, and many treat it as a name.
    #[error("an IPv4 address has to be written as four decimal numbers")]
    NotDottedDecimal,
}

/// Top-level domains without public hosts. `localhost` is not among them: it is checked like the loopback addresses.
/// Nor are example.com, example.net and example.org, which RFC 6761 reserves too: public hosts of these names exist.
const RESERVED: &[&str] = &[
    // RFC 6761, sections 6.2, 6.4 and 6.5.
    "test", "invalid", "example",
    // RFC 6762: section 3, and the names that its appendix G found in use in private networks.
    "local", "intranet", "private", "corp", "home", "lan",
    // ICANN's board reserved `internal` for private use (resolution 2024.07.29.06). It delegates `mail` to no registry,
    // nor `corp` and `home` (2018.02.04.12).
    "internal", "mail",
    // RFC 3172: names of addresses and protocols; home.arpa of RFC 8375 and the reverse names of RFC 6761 are below it.
    "arpa", // RFC 7686 and RFC 9476: names of systems other than DNS.
    "onion", "alt",
];

/// Whether a name may be a public host. It is in lower case, without a dot at its end, and its labels already have
/// lengths that DNS allows.
///
/// # Errors
/// Returns [`NeverPublic`], which says why not.
pub(super) fn may_be_public(name: &str) -> Result<(), NeverPublic> {
    let Some((_, top)) = name.rsplit_once('.') else { return Err(NeverPublic::SingleLabel) };
    if let Some(reserved) = RESERVED.iter().find(|reserved| **reserved == top) {
        return Err(NeverPublic::Reserved(reserved));
    }
    if name.contains('_') {
        return Err(NeverPublic::Underscore);
    }
    if name.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        return Err(NeverPublic::Hyphen);
    }
    let letters = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    if letters || top.starts_with("xn--") { Ok(()) } else { Err(NeverPublic::TopLevel) }
}

/// Whether the host's text writes the address in the one form that every program reads alike.
///
/// # Errors
/// Returns [`NeverPublic::NotDottedDecimal`] if not.
pub(super) fn is_dotted_decimal(given: &str, address: Ipv4Addr) -> Result<(), NeverPublic> {
    // The standard library also rejects other forms, such as leading zeros.
    if given.parse() == Ok(address) { Ok(()) } else { Err(NeverPublic::NotDottedDecimal) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_name_that_can_never_be_public_is_refused_with_its_reason() {
        use NeverPublic::{Hyphen, Reserved, SingleLabel, TopLevel, Underscore};
        for (name, why) in [
            ("intranet", SingleLabel),
            ("com", SingleLabel),
            ("xn--p1ai", SingleLabel),
            ("printer.local", Reserved("local")),
            ("a.b.test", Reserved("test")),
            ("host.example", Reserved("example")),
            ("host.invalid", Reserved("invalid")),
            ("router.home.arpa", Reserved("arpa")),
            ("1.0.0.10.in-addr.arpa", Reserved("arpa")),
            ("vault.internal", Reserved("internal")),
            ("a_b.example.com", Underscore),
            ("-a.example.com", Hyphen),
            ("a-.example.com", Hyphen),
            ("a.-b-.com", Hyphen),
            ("host.a", TopLevel),
            ("host.x1", TopLevel),
            ("host.co-m", TopLevel),
        ] {
            assert_eq!(may_be_public(name), Err(why), "{name}");
        }
        for name in
            ["example.com", "www.example.org", "test.de", "a.local.net", "r3---sn.example.com", "a.xn--p1ai"]
        {
            assert_eq!(may_be_public(name), Ok(()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_reserved_name_is_refused_whatever_is_before_it(
            labels in "([a-z0-9]{1,10}\\.){1,4}", reserved in prop::sample::select(RESERVED),
        ) {
            prop_assert_eq!(may_be_public(&format!("{labels}{reserved}")), Err(NeverPublic::Reserved(reserved)));
            prop_assert_eq!(may_be_public(&format!("{labels}{reserved}.com")), Ok(()));
        }

        #[test]
        fn a_name_of_letters_digits_and_inner_hyphens_may_be_public(
            labels in "([a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?\\.){1,4}", top in "de|com|org|energy|xn--p1ai",
        ) {
            prop_assert_eq!(may_be_public(&format!("{labels}{top}")), Ok(()));
        }

        #[test]
        fn one_way_of_writing_an_ipv4_address_is_taken(bits in any::<u32>(), octet in 0usize..4) {
            let address = Ipv4Addr::from(bits);
            prop_assert!(is_dotted_decimal(&address.to_string(), address).is_ok());
            let mut octets = address.octets().map(|octet| octet.to_string());
            octets[octet] = format!("0{}", octets[octet]);
            for other in [bits.to_string(), format!("{bits:#x}"), format!("{address}."), octets.join(".")] {
                prop_assert!(is_dotted_decimal(&other, address).is_err(), "{}", other);
            }
        }
    }
}
