//! The URL that a client wants to be called back at: a type that only parses what may be called.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Position, Url};

use crate::address_guard::{AddressGuard, Refused};

/// An `http` or `https` URL without user name, password or fragment, whose host may be called as far as that is known
/// before a name is looked up. What is dialled is vetted again at every attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    url: Url,
    origin: String,
}

/// Longer ones are refused: RFC 9110 section 4.1 asks for 8000 octets, of which ours needs a part for itself.
pub const MAX_LENGTH: usize = 2048;

/// Why a text may not be called back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackUrlError {
    /// Not a URL at all, or one that browsers would repair and servers read differently.
    #[error("it is not an absolute URL such as https://example.com/callback")]
    Malformed,
    /// Longer than [`MAX_LENGTH`].
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Another scheme.
    #[error("its scheme is not http or https")]
    Scheme,
    /// A user name or a password in it.
    #[error("it holds a user name or a password")]
    Credentials,
    /// A fragment, which is never sent.
    #[error("it holds a fragment (#)")]
    Fragment,
    /// The host or the port may not be called.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl CallbackUrl {
    /// Parses once, strictly, and asks the guard about the port and a literal address.
    ///
    /// # Errors
    /// [`CallbackUrlError`] says which rule the text breaks.
    pub fn parse(text: &str, guard: &AddressGuard) -> Result<Self, CallbackUrlError> {
        if text.len() > MAX_LENGTH {
            return Err(CallbackUrlError::TooLong);
        }
        // WHATWG parsing drops tabs, newlines and outer spaces, turns `\` into `/` and accepts `http:host`.
        // Other programs do not, and two readings of one URL are how guards are passed.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') || !text.contains("://") {
            return Err(CallbackUrlError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| CallbackUrlError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CallbackUrlError::Scheme);
        }
        if !text[url.scheme().len()..].starts_with("://") || text[url.scheme().len() + 3..].starts_with('/') {
            return Err(CallbackUrlError::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(CallbackUrlError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(CallbackUrlError::Fragment);
        }
        check_host(&url, guard)?;
        // As `Url::origin` has it for these schemes: what stands before the path, without a port that goes without saying.
        let origin = url[..Position::BeforePath].to_owned();
        Ok(Self { url, origin })
    }

    /// The parsed URL, to be dialled as it is: its text must never be parsed a second time.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port: what may be logged, and what caps and breakers are counted by.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for CallbackUrl {
    /// Path and query may hold a client's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin())
    }
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn check_host(url: &Url, guard: &AddressGuard) -> Result<(), CallbackUrlError> {
    let port = url.port_or_known_default().unwrap_or(0);
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(guard.check_socket(address.into(), port)?),
        Some(Host::Ipv6(address)) => Ok(guard.check_socket(address.into(), port)?),
        Some(Host::Domain(name)) => check_name(name, port, guard),
        None => Err(CallbackUrlError::Malformed),
    }
}

/// Whether a name is loopback without being looked up (RFC 6761 section 6.3): `localhost` and all below it.
pub fn is_localhost(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    bare == "localhost" || bare.ends_with(".localhost")
}

fn check_name(name: &str, port: u16, guard: &AddressGuard) -> Result<(), CallbackUrlError> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty()
        || bare.len() > 253
        || bare.split('.').any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(CallbackUrlError::Malformed);
    }
    if is_localhost(bare) {
        // Either address will do: the other is not dialled.
        let v4 = guard.check_socket(Ipv4Addr::LOCALHOST.into(), port);
        return Ok(
            v4.or_else(|refused| guard.check_socket(Ipv6Addr::LOCALHOST.into(), port).map_err(|_| refused))?
        );
    }
    Ok(guard.check_port(port)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<CallbackUrl, CallbackUrlError> {
        CallbackUrl::parse(text, &AddressGuard::default())
    }

    #[test]
    fn a_public_address_or_name_may_be_called() {
        for text in [
            "https://example.com/callback",
            "http://example.com:8080/a?b=c&d=e",
            "https://bücher.example/x",
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
    fn what_two_programs_would_read_differently_is_malformed() {
        for text in [
            "",
            "example.com",
            "//example.com/",
            "http:example.com",
            "http:/example.com",
            "http:///example.com",
            "http://",
            "http://exa mple.com/",
            "http://example.com/\t",
            " http://example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://example..com/",
            "http://.example.com/",
            "http://[::1",
            "http://example.com:99999/",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
        ] {
            assert_eq!(parse(text), Err(CallbackUrlError::Malformed), "{text}");
        }
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
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("http://{text}"));
        }

        #[test]
        fn a_literal_address_is_judged_as_the_guard_does(bits in any::<u32>()) {
            let address = std::net::Ipv4Addr::from(bits);
            let allowed = AddressGuard::default().check(address.into()).is_ok();
            prop_assert_eq!(parse(&format!("http://{address}/")).is_ok(), allowed);
            prop_assert_eq!(parse(&format!("http://{bits}/")).is_ok(), allowed);
        }
    }
}
