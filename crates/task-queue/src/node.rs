//! The name of a worker among workers: `name@host`.

use std::fmt;

/// The name of a worker. It must be unique among the workers that run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node(String);

/// The name of a worker that is not configured with one.
const DEFAULT_NAME: &str = "celery";

impl Node {
    /// A node name in the format of Celery's `--hostname`: `name@host` or a host alone, with `%h` for this machine,
    /// `%n` for the first part of its name, `%d` for the rest, and `%%` for a percent sign.
    pub fn named(text: &str) -> Self {
        Self::on(text, &host())
    }

    fn on(text: &str, host: &str) -> Self {
        let (short, domain) = host.split_once('.').unwrap_or((host, ""));
        let mut name = String::new();
        let mut letters = text.trim().chars();
        while let Some(letter) = letters.next() {
            match (letter, letters.as_str().chars().next()) {
                ('%', Some('h')) => name.push_str(host),
                ('%', Some('n')) => name.push_str(short),
                ('%', Some('d')) => name.push_str(domain),
                ('%', Some('%')) => name.push('%'),
                _ => {
                    name.push(letter);
                    continue;
                }
            }
            letters.next();
        }
        match name.split_once('@') {
            Some((name, rest)) if !name.is_empty() && !rest.is_empty() => Self(format!("{name}@{rest}")),
            Some((name, _)) if !name.is_empty() => Self(format!("{name}@{host}")),
            Some((_, rest)) if !rest.is_empty() => Self(format!("{DEFAULT_NAME}@{rest}")),
            None if !name.is_empty() => Self(format!("{DEFAULT_NAME}@{name}")),
            _ => Self(format!("{DEFAULT_NAME}@{host}")),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::named("")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of this machine; `localhost` if it is unknown.
pub(crate) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_as_celery_names_it() {
        for (text, name) in [
            ("", "celery@a.example.com"),
            ("w1@%h", "w1@a.example.com"),
            ("w1@%n", "w1@a"),
            ("%n-%d", "celery@a-example.com"),
            ("w%%1@b", "w%1@b"),
            ("w1@", "w1@a.example.com"),
            ("other.host", "celery@other.host"),
            ("50%", "celery@50%"),
        ] {
            assert_eq!(Node::on(text, "a.example.com").as_str(), name, "{text}");
        }
    }
}
