//! The URL of a client's callback: a type that parses only URLs that may be called.

mod host;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Position, Url};

pub use self::host::NeverPublic;
use crate::address_guard::{AddressGuard, Refused};

/// An `http` or `https` URL without user name, password or fragment. Its host may be called, as far as that can be
/// known before the name is looked up. The dialled address is checked again at every attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl {
    url: Url,
    origin: String,
}

/// Maximum length. RFC 9110 section 4.1 asks for 8000 octets, of which Voltgate needs a part.
pub const MAX_LENGTH: usize = 2048;

/// Why a text cannot be a callback URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackUrlError {
    /// Not a URL at all, or one that browsers would repair and servers read differently.
    #[error("it is not an absolute URL such as https://example.com/callback")]
    Malformed,
    /// The URL's host or port is invalid.
    #[error("it cannot be read as a URL: {0}")]
    Unreadable(#[from] url::ParseError),
    /// A host name that DNS cannot represent.
    #[error(
        "its host is not a valid name: at most 253 characters, with dots between labels of 1 to 63 letters, digits and hyphens"
    )]
    NotAName,
    /// A space, often a plus sign that the decoding of a query or a form has replaced.
    #[error(
        "it contains a space, at character {at}: in a URL that is %20. In a query or a form `+` means a space: write a plus \
         sign as %2B there, and a percent sign as %25"
    )]
    Blank {
        /// Counted from 1.
        at: usize,
    },
    /// Another character that some programs drop or replace.
    #[error("it contains {what}, at character {at}")]
    Character {
        /// The character's name.
        what: &'static str,
        /// Counted from 1.
        at: usize,
    },
    /// Longer than [`MAX_LENGTH`].
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Another scheme.
    #[error("its scheme is not http or https")]
    Scheme,
    /// A user name or a password in it.
    #[error("it contains a user name or a password")]
    Credentials,
    /// A fragment, which is never sent.
    #[error("it contains a fragment (#)")]
    Fragment,
    /// The host or the port may not be called.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The host cannot be public, and no admitted private network could contain it.
    #[error("{0} (the operator can admit private hosts with CALLBACK_ALLOWED_NETWORKS)")]
    NeverPublic(#[from] NeverPublic),
}

impl CallbackUrl {
    /// Parses once, strictly, and checks the port, a literal address, or a name that cannot be public against the
    /// guard.
    ///
    /// # Errors
    /// Returns [`CallbackUrlError`], which names the violated rule.
    pub fn parse(text: &str, guard: &AddressGuard) -> Result<Self, CallbackUrlError> {
        if text.len() > MAX_LENGTH {
            return Err(CallbackUrlError::TooLong);
        }
        // WHATWG parsing drops tabs, newlines and outer spaces, turns `\` into `/` and accepts `http:host`. Other
        // programs do not, and guards are bypassed by two readings of one URL.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if !text.bytes().all(is_plain)
            && let Some(error) = text.chars().zip(1..).find_map(|(character, at)| misread(character, at))
        {
            return Err(error);
        }
        if !text.contains("://") {
            return Err(CallbackUrlError::Malformed);
        }
        let url = Url::parse(text)?;
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
        check_host(&url, authority(text), guard)?;
        // As `Url::origin` defines it for these schemes: the part before the path, without the scheme's default port.
        let origin = url[..Position::BeforePath].to_owned();
        Ok(Self { url, origin })
    }

    /// The parsed URL, to be dialled as it is. Its text must never be parsed a second time.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port: the part that may be logged, and that caps and breakers count by.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for CallbackUrl {
    /// Path and query may contain a client's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin())
    }
}

/// The error for a URL that contains this character, if any.
fn misread(character: char, at: usize) -> Option<CallbackUrlError> {
    let what = match character {
        ' ' => return Some(CallbackUrlError::Blank { at }),
        '\\' => "a backslash",
        '\t' => "a tab",
        '\n' | '\r' => "a line break",
        // The replacement that decoders of queries and forms insert for such bytes.
        '\u{fffd}' => "bytes that are not UTF-8",
        _ if character.is_whitespace() => "white space",
        _ if character.is_control() => "a control character",
        _ => return None,
    };
    Some(CallbackUrlError::Character { what, at })
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn check_host(url: &Url, given: &str, guard: &AddressGuard) -> Result<(), CallbackUrlError> {
    let port = url.port_or_known_default().unwrap_or(0);
    match url.host() {
        Some(Host::Ipv4(address)) => {
            guard.check_socket(address.into(), port)?;
            let host = given.split(':').next().unwrap_or(given);
            if guard.admits(address.into()) { Ok(()) } else { Ok(host::is_dotted_decimal(host, address)?) }
        }
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
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(known);
    if bare.len() > 253 || !bare.split('.').all(is_label) {
        return Err(CallbackUrlError::NotAName);
    }
    if is_localhost(bare) {
        // One permitted address is enough: the other is not dialled.
        let v4 = guard.check_socket(Ipv4Addr::LOCALHOST.into(), port);
        return Ok(
            v4.or_else(|refused| guard.check_socket(Ipv6Addr::LOCALHOST.into(), port).map_err(|_| refused))?
        );
    }
    guard.check_port(port)?;
    if guard.admits_private_names() { Ok(()) } else { Ok(host::may_be_public(bare)?) }
}

#[cfg(test)]
mod tests;
