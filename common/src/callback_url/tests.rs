//! Which URLs may be called back, and the reason of each refusal.

use proptest::prelude::*;

use super::*;
use crate::address_guard::AllowedNetwork;

fn parse(text: &str) -> Result<CallbackUrl, CallbackUrlError> {
    CallbackUrl::parse(text, &AddressGuard::default())
}

#[test]
fn a_public_address_or_name_may_be_called() {
    for text in [
        "https://example.com/callback",
        "http://example.com:8080/a?b=c&d=e",
        "https://bücher.example.com/x",
        "http://93.184.216.34/cb",
        "http://[2606:2800:220:1:248:1893:25c8:1946]/cb",
        "https://example.com./cb",
        "HTTPS://EXAMPLE.COM",
        "http://example.com/@user",
    ] {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn every_spelling_of_a_private_address_is_refused() {
    for text in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://168.63.129.16/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://sub.localhost:8080/",
    ] {
        assert!(
            matches!(parse(text), Err(CallbackUrlError::Refused(Refused::Address { .. }))),
            "{text}: {:?}",
            parse(text)
        );
    }
}

#[test]
fn what_is_no_absolute_url_is_malformed_and_a_host_that_is_none_is_named() {
    use url::ParseError::{EmptyHost, InvalidIpv4Address, InvalidIpv6Address, InvalidPort};
    for text in
        ["", "example.com", "//example.com/", "http:example.com", "http:/example.com", "http:///example.com"]
    {
        assert_eq!(parse(text), Err(CallbackUrlError::Malformed), "{text}");
    }
    for (text, why) in [
        ("http://", EmptyHost),
        ("http://[::1", InvalidIpv6Address),
        ("http://example.com:99999/", InvalidPort),
        ("http://1.2.3.4.5/", InvalidIpv4Address),
        ("http://256.1.1.1/", InvalidIpv4Address),
        ("http://093.184.216.34/", InvalidIpv4Address),
    ] {
        assert_eq!(parse(text), Err(CallbackUrlError::Unreadable(why)), "{text}");
    }
    let (label, name) = ("a".repeat(64), format!("{}com", "a234567890.".repeat(23)));
    for host in ["example..com", ".example.com", "a$b.example.com", "a,b.com", &format!("{label}.com"), &name]
    {
        assert_eq!(parse(&format!("http://{host}/")), Err(CallbackUrlError::NotAName), "{host}");
    }
    assert!(
        parse(&format!("http://{}.com/", &label[1..])).is_ok()
            && parse(&format!("http://{}/", &name[6..])).is_ok()
    );
}

#[test]
fn a_blank_and_what_programs_drop_or_replace_is_refused_by_its_place() {
    for (text, at) in
        [("http://exa mple.com/", 11), (" http://example.com/", 1), ("http://example.com/?q=a b", 24)]
    {
        assert_eq!(parse(text), Err(CallbackUrlError::Blank { at }), "{text}");
        assert!(parse(text).unwrap_err().to_string().contains("a space, at character"));
    }
    for (text, what) in [
        ("http://example.com/\t", "a tab"),
        ("http://exam\nple.com/", "a line break"),
        ("http://example.com/\u{a0}", "white space"),
        ("http://example.com/\0", "a control character"),
        ("http://example.com/\u{fffd}", "bytes that are not UTF-8"),
        ("http://example.com\\@127.0.0.1/", "a backslash"),
    ] {
        assert!(
            matches!(parse(text), Err(CallbackUrlError::Character { what: named, .. }) if named == what),
            "{text}: {:?}",
            parse(text)
        );
    }
}

/// Texts for a host that can never be public, each for a different reason.
const NEVER_PUBLIC: &[&str] = &[
    "intranet",
    "intranet.",
    "PRINTER.LOCAL",
    "shop.test",
    "x.invalid.",
    "bücher.example",
    "router.home.arpa",
    "1.0.0.10.in-addr.arpa",
    "vault.internal",
    "abc.onion",
    "abc.alt",
    "nas.lan",
    "a_b.example.com",
    "-a.example.com",
    "a-.example.com",
    "host.x1",
    "1572395042",
    "0x5db8d822",
    "93.12113954",
    "0135.184.216.34",
    "93.184.216.34.",
    "９３.184.216.34",
    "%39%33.184.216.34",
];

#[test]
fn a_host_that_can_never_be_public_is_refused_at_once_unless_networks_are_admitted() {
    let guard = |networks: &str| {
        let networks = networks.split(',').map(|item| AllowedNetwork::parse(item.trim()).unwrap());
        AddressGuard::new(networks.collect(), Vec::new(), None)
    };
    let (none, localhost) = (AddressGuard::default(), guard("localhost"));
    let admitting = guard("10.0.0.0/8, 93.184.216.0/24");
    for host in NEVER_PUBLIC {
        let text = format!("http://{host}:9000/cb");
        for strict in [&none, &localhost] {
            let refused = CallbackUrl::parse(&text, strict).unwrap_err();
            assert!(matches!(refused, CallbackUrlError::NeverPublic(_)), "{text}: {refused:?}");
            assert!(refused.to_string().contains("CALLBACK_ALLOWED_NETWORKS"), "{refused}");
        }
        assert!(CallbackUrl::parse(&text, &admitting).is_ok(), "{text}");
    }
    let refused = CallbackUrl::parse("http://10.1/", &guard("192.168.0.0/16")).unwrap_err();
    assert!(matches!(refused, CallbackUrlError::Refused(Refused::Address { .. })), "{refused:?}");
    let refused = CallbackUrl::parse("http://8.526344/", &admitting).unwrap_err();
    assert_eq!(
        refused,
        CallbackUrlError::NeverPublic(NeverPublic::NotDottedDecimal),
        "in none of the networks"
    );
    assert!(CallbackUrl::parse("http://127.1:9/", &localhost).is_ok());
    assert!(CallbackUrl::parse("http://api.localhost:9/", &localhost).is_ok());
}

#[test]
fn schemes_credentials_fragments_ports_and_length_are_bounded() {
    for (text, error) in [
        ("ftp://example.com/", CallbackUrlError::Scheme),
        ("file:///etc/passwd", CallbackUrlError::Scheme),
        ("javascript://x/", CallbackUrlError::Scheme),
        ("http://user@example.com/", CallbackUrlError::Credentials),
        ("http://user:pw@example.com/", CallbackUrlError::Credentials),
        ("http://@example.com/", CallbackUrlError::Credentials),
        ("http://example.com/#x", CallbackUrlError::Fragment),
        ("http://example.com:22/", CallbackUrlError::Refused(Refused::Port { port: 22 })),
        ("http://example.com:0/", CallbackUrlError::Refused(Refused::Port { port: 0 })),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    let long = format!("http://example.com/{}", "a".repeat(MAX_LENGTH));
    assert_eq!(parse(&long), Err(CallbackUrlError::TooLong));
}

#[test]
fn a_log_shows_the_origin_only() {
    let url = parse("https://example.com/secret?token=1").unwrap();
    assert_eq!(format!("{url:?}"), "https://example.com/…");
}

proptest! {
    #[test]
    fn its_origin_is_the_one_that_the_url_has(
        https: bool,
        host in "[a-zA-Z0-9.ßé-]{1,20}|[0-9]{1,10}|\\[[0-9a-f:]{2,20}\\]",
        port in prop::option::of(0u16..),
        rest in "(/[a-z?=&@:]{0,20})?",
    ) {
        let (scheme, port) = (if https { "https" } else { "http" }, port.map_or(String::new(), |port| format!(":{port}")));
        if let Ok(url) = parse(&format!("{scheme}://{host}{port}{rest}")) {
            prop_assert_eq!(url.origin(), url.url().origin().ascii_serialization());
        }
    }

    #[test]
    fn a_host_that_is_taken_has_a_name_with_dots_or_an_address_in_its_usual_form(host in "[a-zA-Z0-9._ß-]{1,30}") {
        if let Ok(url) = parse(&format!("http://{host}/")) {
            let (given, taken) = (host.to_ascii_lowercase(), url.url().host_str().unwrap());
            prop_assert!(taken.contains('.') && !taken.contains('_'), "{}", taken);
            if url.url().domain().is_none() {
                prop_assert_eq!(given, taken);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = parse(&text);
        let _ = parse(&format!("http://{text}"));
    }

    #[test]
    fn a_literal_address_is_judged_as_the_guard_does(bits in any::<u32>()) {
        let address = std::net::Ipv4Addr::from(bits);
        let allowed = AddressGuard::default().check(address.into()).is_ok();
        prop_assert_eq!(parse(&format!("http://{address}/")).is_ok(), allowed);
        let number = parse(&format!("http://{bits}/"));
        prop_assert!(number.is_err());
    }
}
