//! The URL of a broker or a store: a type that parses only URLs that every program reads alike, and that is shown
//! without its password.

mod shown;

use std::fmt;

use url::Url;

pub use shown::without_password;
pub(crate) use shown::{MASK, unless_secret};

/// A server's address and login, or `embedded:DIR`. It is never shown with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// The name of a query parameter, and the check of its value.
pub type Parameter = (&'static str, fn(&str) -> bool);

/// The permitted parts of a URL.
#[derive(Debug)]
pub struct Allowed {
    /// Such as `amqp`.
    pub schemes: &'static [&'static str],
    /// The parameters that the client reads. It silently ignores others, so they are rejected.
    pub parameters: &'static [Parameter],
    /// Whether the client can dial `[::1]`.
    pub ipv6: bool,
}

/// Why a text is not a server's URL. The error contains nothing that may be a part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// The `://` is missing or misplaced.
    #[error("it does not begin with a scheme and `://`")]
    NoScheme,
    /// The scheme is another one, or not in lower case.
    #[error("it begins with another scheme")]
    Scheme,
    /// Several URLs, which Celery and kombu would use in turn.
    #[error(
        "it names several servers; name one, and percent-encode `;` (%3B) where it belongs to a password"
    )]
    List,
    /// A character with a special meaning in a URL, where it cannot have that meaning.
    #[error(
        "a user name, a password or what follows the host holds a character that has to be percent-encoded, as \
         `@` (%40), `/` (%2F), `?` (%3F), `#` (%23), `:` (%3A), `;` (%3B), `%` (%25), a space (%20)"
    )]
    Unescaped,
    /// The host or the port is invalid.
    #[error("its host or its port cannot be read")]
    Server,
    /// An IPv6 address, which the client cannot dial.
    #[error("its host is an IPv6 address, which cannot be used here; use a host name")]
    Ipv6,
    /// Parameters that the client would ignore.
    #[error("its query has unknown parameters{}", named(.0))]
    Parameters(Vec<String>),
    /// A known parameter with a bad value, or one that occurs twice.
    #[error("the parameter `{0}` of its query has a bad value or occurs twice")]
    Value(&'static str),
}

impl ServerUrl {
    /// Parses the URL.
    ///
    /// # Errors
    /// Returns an error if the text is not such a URL, or two programs could read it differently.
    pub fn parse(text: &str, allowed: &Allowed) -> Result<Self, ServerUrlError> {
        if text.starts_with("embedded:") && !text.contains("://") {
            return Ok(Self(text.to_owned()));
        }
        let (scheme, rest) = text.split_once("://").ok_or(ServerUrlError::NoScheme)?;
        if !allowed.schemes.contains(&scheme) {
            let is_word = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return Err(if is_word { ServerUrlError::Scheme } else { ServerUrlError::NoScheme });
        }
        if [";", ","].iter().any(|separator| rest.contains(&format!("{separator}{scheme}://"))) {
            return Err(ServerUrlError::List);
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, server) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let path = behind.split('?').next().unwrap_or(behind).replace(['/', ':', ';'], "");
        if behind.contains(['@', '#'])
            || rest.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control())
            || ![user, password, &path].into_iter().all(is_escaped)
        {
            return Err(ServerUrlError::Unescaped);
        }
        if server.contains([',', ';']) || behind.contains(';') {
            return Err(ServerUrlError::List);
        }
        let url = Url::parse(text).map_err(|_| ServerUrlError::Server)?;
        if !allowed.ipv6 && server.starts_with('[') {
            return Err(ServerUrlError::Ipv6);
        }
        check_parameters(&url, allowed)?;
        Ok(Self(text.to_owned()))
    }

    /// The whole URL, for the client that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Parses an `http` or `https` URL that every program reads alike.
pub fn http(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    shown::is_well_formed(text).then_some(url)
}

/// Whether a user name or a password contains only what RFC 3986 section 3.2.1 allows. The `;` that separates URLs for
/// Celery and the `:` between user name and password are excluded.
fn is_escaped(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let good = match byte {
            b'%' => hex(bytes.next()) && hex(bytes.next()),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}

fn check_parameters(url: &Url, allowed: &Allowed) -> Result<(), ServerUrlError> {
    let (mut seen, mut unknown) = (Vec::new(), Vec::new());
    for (name, value) in url.query_pairs() {
        match allowed.parameters.iter().find(|(known, _)| *known == name) {
            // A name without a value is rather what follows the `&` of a password.
            None if value.is_empty() => unknown.push(String::new()),
            None => unknown.push(name.into_owned()),
            Some((name, is_good)) if !is_good(&value) || seen.contains(name) => {
                return Err(ServerUrlError::Value(name));
            }
            Some((name, _)) => seen.push(*name),
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(ServerUrlError::Parameters(unknown)) }
}

/// The parameters that look like names. Others are omitted, as they may be a part of a password.
fn named(parameters: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = |name: &&String| (1..=32).contains(&name.len()) && name.bytes().all(plain);
    let names: Vec<String> = parameters.iter().filter(is_name).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AMQP: Allowed = Allowed {
        schemes: &["amqp", "amqps"],
        parameters: &[("heartbeat", |text| text == "5")],
        ipv6: false,
    };
    const REDIS: Allowed = Allowed { schemes: &["redis"], parameters: &[], ipv6: true };

    #[test]
    fn a_url_that_every_program_reads_alike_is_taken_as_it_is() {
        for text in [
            "amqp://guest:guest@127.0.0.1:5672/%2f",
            "amqp://guest:guest@host//",
            "amqps://user:p%40ss%3Bword@host.example/v%40host?heartbeat=5",
            "amqp://user:a!b$c&d'e(f)*g+h,i=j~@host",
            "amqp://",
            "amqp:///vhost",
            "embedded:/data/a@b;c",
        ] {
            assert_eq!(ServerUrl::parse(text, &AMQP).unwrap().expose(), text);
        }
        for text in ["redis://:s3cret@[::1]:6379/0", "redis://host"] {
            assert_eq!(ServerUrl::parse(text, &REDIS).unwrap().expose(), text);
        }
    }

    #[test]
    fn what_two_programs_would_read_differently_is_refused_with_what_is_wrong() {
        use ServerUrlError::{Ipv6, List, NoScheme, Parameters, Scheme, Server, Unescaped, Value};
        for (text, error) in [
            ("user:pass@host:5672", NoScheme),
            ("user:pa://ss@host:5672", NoScheme),
            ("amqp:/user:pass@host", NoScheme),
            ("localhost", NoScheme),
            ("AMQP://user:pass@host", Scheme),
            ("http://host", Scheme),
            ("amqp://a:b@h1;amqp://c:d@h2", List),
            ("amqp://h1;h2", List),
            ("amqp://h1,h2/x", List),
            ("amqp://host/x;y", List),
            ("amqp://user:p@ss@host", Unescaped),
            ("amqp://user:p/ss@host", Unescaped),
            ("amqp://user:12/ss@host", Unescaped),
            ("amqp://user:p?ss@host", Unescaped),
            ("amqp://user:p#ss@host", Unescaped),
            ("amqp://user:p;ss@host", Unescaped),
            ("amqp://user:p:ss@host", Unescaped),
            ("amqp://user:p ss@host", Unescaped),
            ("amqp://user:p\"ss@host", Unescaped),
            ("amqp://user:p[s]s@host", Unescaped),
            ("amqp://user:50%off@host", Unescaped),
            ("amqp://user:pässe@host", Unescaped),
            ("amqp://us/er:pass@host", Unescaped),
            ("amqp://user:p@ss/w#o?rd@host", Unescaped),
            ("amqp://host/x#y", Unescaped),
            ("amqp://host/x@y", Unescaped),
            ("amqp://host/ä", Unescaped),
            ("amqp://user:pass", Server),
            ("amqp://host:99999", Server),
            ("amqp://[::1]:5672", Ipv6),
            (
                "amqp://host?user=a&heartbeat=5&password=x",
                Parameters(vec!["user".to_owned(), "password".to_owned()]),
            ),
            ("amqp://host?heartbeat=0", Value("heartbeat")),
            ("amqp://host?heartbeat=5&heartbeat=5", Value("heartbeat")),
        ] {
            assert_eq!(ServerUrl::parse(text, &AMQP), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_refusal_and_what_is_taken_show_no_secret(
            secret in "[a-z0-9/?#;,:@%&= \"'\\[\\]\\\\ä]{8,30}", shape in 0usize..8,
        ) {
            let text = [
                "amqp://user:{}@host/x", "amqp://{}@host", "user:{}@host", "amqp://host?password={}", "amqp://host?{}",
                "amqp://a:b@h1;amqp://c:{}@h2", "amqp:/user:{}@host", "amqp://user:{}",
            ][shape];
            // Without a host, digits before a `/` look like a port.
            let secret = if shape == 7 { secret.replace('/', "_") } else { secret };
            let text = text.replace("{}", &secret);
            let said = match ServerUrl::parse(&text, &AMQP) {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => error.to_string(),
            };
            // A word of 8 letters may be a parameter's name.
            let is_name = shape == 4 && !secret.contains(|c: char| !c.is_ascii_lowercase());
            prop_assert!(!said.contains(&secret) || is_name, "{text}: {said}");
        }
    }
}
