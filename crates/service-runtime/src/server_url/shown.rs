//! Shows a text that may be a server's URL, well formed or not. Everything that could be a password is masked, rather
//! too much than too little.

/// The replacement for masked text.
pub(crate) const MASK: &str = "****";
/// Schemes that are shown even if the rest cannot be parsed.
const SCHEMES: [&str; 10] =
    ["amqp", "amqps", "redis", "rediss", "http", "https", "valkey", "valkeys", "smtp", "smtps"];
/// The characters that end a server's address.
const BEHIND_A_SERVER: [char; 5] = ['/', '?', '#', ';', ','];
/// Prefixes of Voltgate's own keys, and the marker of a private key in a PEM file.
const SECRETS: [&str; 4] = ["vg_", "whsec_", "whsk_", "PRIVATE KEY-----"];

/// The displayable form of a URL: `amqp://user:****@host`. For a text that is not a URL it shows at most the scheme and
/// the host after the last `@`.
pub fn without_password(text: &str) -> String {
    if text.starts_with("embedded:") && !text.contains("://") {
        return text.to_owned();
    }
    well_formed(text).unwrap_or_else(|| scheme_and_host(text))
}

/// The value of a setting that should not be a URL, masked if it looks like a URL or a secret.
pub(crate) fn unless_secret(text: &str) -> String {
    if SECRETS.iter().any(|secret| text.contains(secret)) {
        return MASK.to_owned();
    }
    let login = text.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'));
    if login || text.contains("://") { without_password(text) } else { text.to_owned() }
}

/// Whether everything but a password may be shown.
pub(super) fn is_well_formed(text: &str) -> bool {
    well_formed(text).is_some()
}

/// Returns `None` if another program may read the text differently: `@`, `;`, `,` and `#` indicate several URLs or a
/// password that was not percent-encoded. A query is not shown: some clients accept passwords there.
fn well_formed(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    if !is_scheme(scheme)
        || rest.contains(|c: char| c.is_whitespace() || c.is_control() || "#;\\".contains(c))
    {
        return None;
    }
    let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (login, server) = match authority.rsplit_once('@') {
        Some((login, server)) => (Some(login), server),
        None => (None, authority),
    };
    if behind.contains('@') || login.is_some_and(|login| login.contains('@')) || !is_server(server) {
        return None;
    }
    let login = match login.map(|login| login.split_once(':')) {
        Some(Some((user, password))) if !password.is_empty() => format!("{user}:{MASK}@"),
        // A lone value may be a password.
        Some(_) => format!("{MASK}@"),
        None => String::new(),
    };
    let (path, query) = behind.split_once('?').map_or((behind, None), |(path, query)| (path, Some(query)));
    if !super::is_escaped(&path.replace(['/', ':'], "")) {
        return None;
    }
    let query = query.map(|_| format!("?{MASK}")).unwrap_or_default();
    Some(format!("{scheme}://{login}{server}{path}{query}"))
}

fn scheme_and_host(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), text),
    };
    let host = host_behind_the_login(rest).map(|host| format!("@{host}")).unwrap_or_default();
    format!("{scheme}{MASK}{host}")
}

/// Returns `None` if the last `@` may itself belong to a secret: in a query, or after a server without a login.
fn host_behind_the_login(rest: &str) -> Option<&str> {
    let (before, behind) = rest.rsplit_once('@')?;
    let first = before.find(BEHIND_A_SERVER).map_or(before, |end| &before[..end]);
    let has_query = before.split_once('?').is_some_and(|(_, query)| query.contains('='));
    if has_query || (first.len() < before.len() && !first.contains('@') && is_server(first)) {
        return None;
    }
    let server = behind.find(BEHIND_A_SERVER).map_or(behind, |end| &behind[..end]);
    is_server(server).then_some(server)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
}

/// Whether the text is a host, which may be empty, with an optional port.
fn is_server(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or_else(
        || host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%".contains(c)),
        |address| address.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c)),
    );
    name && port
        .is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        for (url, shown) in [
            ("amqp://me:s3cret@host:5672/%2f", "amqp://me:****@host:5672/%2f"),
            ("AMQP://me:s3cret@host:5672/%2f", "AMQP://me:****@host:5672/%2f"),
            ("redis://:s3cret@host", "redis://:****@host"),
            ("redis://:s3cret@[::1]:6379/0", "redis://:****@[::1]:6379/0"),
            ("redis://s3cret@host", "redis://****@host"),
            ("redis://s3cret:@host", "redis://****@host"),
            ("amqp://me:0/s3\"cret", "amqp://****"),
            ("redis://host?password=s3cret", "redis://host?****"),
            ("redis://host?password=s3@cret", "redis://****"),
            ("amqp://me:p%40ss@host?heartbeat=5", "amqp://me:****@host?****"),
            ("amqp://me:s3@cret@host/x", "amqp://****@host"),
            ("amqp://me:s3/cr@et@host:1/x", "amqp://****@host:1"),
            ("amqp://me:p@ss/w#o?rd@host", "amqp://****@host"),
            ("amqp://me:123/s3cret@host", "amqp://****"),
            ("amqp://me:s3 cret@host", "amqp://****@host"),
            ("amqp://a:s3cret@h1;amqp://c:s4cret@h2/x", "amqp://****@h2"),
            ("amqp://h1;amqp://c:s4cret@h2", "amqp://****"),
            ("me:s3cret@host:5672", "****@host:5672"),
            ("rediss:/me:s3cret@host", "****@host"),
            ("me:s3cret", "****"),
            ("amqp://me:s3cret", "amqp://****"),
            ("redis://:s3cret", "redis://****"),
            ("s3cret", "****"),
            ("amqp://host/x", "amqp://host/x"),
            ("memcached://x", "memcached://x"),
            ("embedded:/data/a@b", "embedded:/data/a@b"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }

    #[test]
    fn a_value_is_shown_unless_it_looks_like_a_login_or_a_key() {
        for plain in ["soon", "celery@%h", "10.0.0.0/99", "info,lapin=debug", "/data/a@b"] {
            assert_eq!(unless_secret(plain), plain);
        }
        for secret in [
            "amqp://me:s3cret@host",
            "me:s3cret@host",
            "vg_me_s3cret",
            "required,vg_me_s3cret",
            "whsec_s3cret",
            "-----BEGIN PRIVATE KEY-----\ns3cret",
        ] {
            assert!(!unless_secret(secret).contains("s3cret"), "{secret}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_shown_wherever_it_stands_in_a_url_or_in_what_was_meant_to_be_one(
            secret in "\\PC{6,40}", shape in 0usize..21, all_reserved in "[a-z0-9/?#;,:@%&= \"'\\[\\]\\\\]{6,30}",
            reserved: bool,
        ) {
            let secret = if reserved { all_reserved } else { secret };
            let text = [
                "amqp://user:{}@host", "amqp://user:{}@host:5672/vhost", "amqps://user:{}@host/?heartbeat=5",
                "redis://:{}@host", "redis://user:{}@[::1]:6379/0", "REDIS://:{}@HOST", "redis://{}@host",
                "redis://host?password={}", "redis://u:p@host/0?password={}", "user:{}@host:5672", ":{}@host", "{}@host",
                "amqp://a:b@h1;amqp://c:{}@h2", "amqp://a:{}@h1;amqp://c:d@h2", "amqp://a:{}@h1,amqp://h2",
                "rediss:/user:{}@host", "redis:user:{}@host", "amqp:///user:{}@host", "http://user:{}@host/path",
                "amqp://a:b@h1;c:{}@h2/x;d:{}@h3/y", "amqp://user:{}",
            ][shape];
            prop_assume!(!text.replace("{}", "").contains(&secret) && !MASK.contains(&secret));
            // Without a host, text after an `@` looks like one, and digits before a `/` look like a port.
            let secret = if shape == 20 { secret.replace(['@', '/'], "_") } else { secret };
            let text = text.replace("{}", &secret);
            let shown = without_password(&text);
            prop_assert!(!shown.contains(&secret), "{text} is shown as {shown}");
            let shown = unless_secret(&text);
            prop_assert!(!shown.contains(&secret) || !text.contains(':'), "{text} is shown as {shown}");
        }
    }
}
