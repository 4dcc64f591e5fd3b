//! Settings: name, default, what is expected, what it does. Defaults, then `voltgate.toml`, then the environment. Each crate
//! owns the rows that it reads (`settings.rs` beside its `config.rs`); `voltgate settings` prints all of them.

mod effective;
mod error;
mod given;
mod help;
mod load;
mod names;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

pub use effective::{Effective, Origin};
pub use error::SettingError;
pub use help::help;
pub use names::NAMES;
pub use rows::*;
use url::Url;

pub use crate::server_url::without_password;
use crate::server_url::{self, Allowed, ServerUrl};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable. `voltgate.toml` uses the same name in lower case.
    pub name: &'static str,
    /// The value if the setting is not set; empty for none.
    pub default: &'static str,
    /// The expected values.
    pub expected: &'static str,
    /// The effect.
    pub about: &'static str,
    /// How much of the value may be shown.
    pub shown: Shown,
}

/// Constants for the rows of one crate, and the list `ALL` of them.
#[macro_export]
macro_rules! settings {
    (@) => { $crate::settings::Shown::Plain };
    (@ url) => { $crate::settings::Shown::Url };
    (@ host) => { $crate::settings::Shown::Host };
    (@ secret) => { $crate::settings::Shown::Secret };
    ($($name:ident = $default:literal, $expected:literal, $about:literal $(, $shown:ident)?;)*) => {
        $(
            #[doc = $about]
            pub const $name: $crate::settings::Setting = $crate::settings::Setting {
                name: stringify!($name),
                default: $default,
                expected: $expected,
                about: $about,
                shown: $crate::settings!(@ $($shown)?),
            };
        )*
        /// Every setting of this crate.
        pub const ALL: &[$crate::settings::Setting] = &[$($name),*];
    };
}

/// How much of a setting's value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The whole value, unless it looks like another setting's secret or URL.
    Plain,
    /// A URL, which may contain a password.
    Url,
    /// A host, which may by mistake be preceded by a login.
    Host,
    /// Nothing.
    Secret,
}

/// The settings of one process: the values set, over the defaults. Reading them has no side effects.
#[derive(Clone, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, Given>,
}

/// A value that was set.
#[derive(Clone)]
struct Given {
    setting: Setting,
    value: String,
    origin: Origin,
}

impl Settings {
    /// Only these values, for tests and for one process that starts several services.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a Setting, String)>) -> Self {
        Self::default().with(values)
    }

    /// The same settings with these values replaced.
    #[must_use]
    pub fn with<'a>(mut self, values: impl IntoIterator<Item = (&'a Setting, String)>) -> Self {
        self.replace(values, &Origin::CommandLine);
        self
    }

    /// The same settings with these values in the place of the defaults.
    #[must_use]
    pub fn with_defaults<'a>(mut self, values: impl IntoIterator<Item = (&'a Setting, String)>) -> Self {
        self.replace(values, &Origin::Default);
        self
    }

    fn replace<'a>(&mut self, values: impl IntoIterator<Item = (&'a Setting, String)>, origin: &Origin) {
        let given = |(setting, value): (&'a Setting, String)| Given {
            setting: *setting,
            value,
            origin: origin.clone(),
        };
        self.given.extend(values.into_iter().map(given).map(|given| (given.setting.name, given)));
    }

    /// The log settings only, otherwise the defaults: for a process that must behave the same on every machine.
    #[must_use]
    pub fn only_logging(&self) -> Self {
        let mut given = self.given.clone();
        given.retain(|name, _| [LOG_FORMAT.name, LOG_LEVEL.name].contains(name));
        Self { given }
    }

    /// Whether the setting is set; an empty value counts as not set.
    pub fn is_given(&self, setting: &Setting) -> bool {
        self.given.get(setting.name).is_some_and(|given| !given.value.trim().is_empty())
    }

    /// The value in force, as text.
    pub fn text(&self, setting: &Setting) -> &str {
        match self.given.get(setting.name) {
            Some(Given { value, .. }) if !value.trim().is_empty() => value.trim(),
            _ => setting.default,
        }
    }

    /// The value in force, parsed by `parse`.
    ///
    /// # Errors
    /// Returns [`SettingError::Bad`], which names the setting, if `parse` returns `None`.
    pub fn parse_with<T>(
        &self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingError> {
        parse(self.text(setting)).ok_or_else(|| self.bad(setting))
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// Returns an error if the value is not such a number.
    pub fn number(
        &self,
        setting: &Setting,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, SettingError> {
        self.parse_with(setting, |text| text.parse().ok().filter(|number| bounds.contains(number)))
    }

    /// A duration in seconds, with fractions: more than 0 and at most `longest` seconds.
    ///
    /// # Errors
    /// Returns an error if the value is not such a duration.
    pub fn seconds(&self, setting: &Setting, longest: u32) -> Result<Duration, SettingError> {
        self.parse_with(setting, |text| {
            let seconds: f64 = text.parse().ok()?;
            (seconds > 0.0 && seconds <= f64::from(longest)).then(|| Duration::from_secs_f64(seconds))
        })
    }

    /// A TCP port; 0 asks for any free one.
    ///
    /// # Errors
    /// Returns an error if the value is not a port.
    pub fn port(&self, setting: &Setting) -> Result<u16, SettingError> {
        self.parse_with(setting, |text| text.parse().ok())
    }

    /// The URL of acl-service. A port in the URL takes precedence over `AUTHORIZATION_SERVICE_PORT`, even if it is the
    /// scheme's default.
    ///
    /// # Errors
    /// Returns an error if one of the two settings has a bad value.
    pub fn acl_service(&self) -> Result<Url, SettingError> {
        let port = self.port(&AUTHORIZATION_SERVICE_PORT)?;
        let given = self.is_given(&AUTHORIZATION_SERVICE_URL);
        let text = if given { self.text(&AUTHORIZATION_SERVICE_URL) } else { self.this_machine() };
        let parse = || {
            let mut url = server_url::http(text)?;
            let authority = text.split_once("://")?.1.split('/').next()?;
            let names_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !names_port {
                url.set_port(Some(port)).ok()?;
            }
            Some(url)
        };
        parse().ok_or_else(|| self.bad(&AUTHORIZATION_SERVICE_URL))
    }

    /// Scheme and host of Voltgate's services on this machine. A certificate, if they have one, is for a name.
    pub fn this_machine(&self) -> &'static str {
        if self.is_given(&TLS_CERT_FILE) { "https://localhost" } else { "http://127.0.0.1" }
    }

    /// A comma-separated list.
    ///
    /// # Errors
    /// Returns an error if an item cannot be parsed.
    pub fn list<T>(
        &self,
        setting: &Setting,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SettingError> {
        self.parse_with(setting, |text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect()
        })
    }

    /// The URL of a broker or a store.
    ///
    /// # Errors
    /// Returns an error if the value is not a URL that every program reads alike.
    pub fn server_url(&self, setting: &Setting, allowed: &Allowed) -> Result<ServerUrl, SettingError> {
        ServerUrl::parse(self.text(setting), allowed).map_err(|why| SettingError::Url {
            name: setting.name,
            value: self.masked(setting),
            why,
            expected: setting.expected,
        })
    }

    /// The values set, in the order of their names, safe to show: secrets and passwords are masked as Celery
    /// masks them in its configuration.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let given = self.given.values().map(|given| &given.setting).filter(|setting| self.is_given(setting));
        let shown = |setting: &Setting| self.masked(setting).replace(server_url::MASK, "********");
        given.map(|setting| (setting.name, shown(setting))).collect()
    }

    /// The value in force, safe to show.
    pub fn masked(&self, setting: &Setting) -> String {
        let text = self.text(setting);
        match setting.shown {
            Shown::Plain => server_url::unless_secret(text),
            Shown::Host if !text.contains('@') => server_url::unless_secret(text),
            Shown::Url | Shown::Host => without_password(text),
            Shown::Secret => server_url::MASK.to_owned(),
        }
    }

    /// The error for a bad value of this setting.
    pub fn bad(&self, setting: &Setting) -> SettingError {
        SettingError::Bad { name: setting.name, value: self.masked(setting), expected: setting.expected }
    }
}

/// The table for docs/configure.md, from the rows of all crates.
pub fn markdown_table(rows: &[&[Setting]]) -> String {
    let cell = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let row = |setting: &Setting| {
        let Setting { name, default, expected, about, .. } = setting;
        format!("| `{name}` | {} | {expected} | {about} |\n", cell(default))
    };
    let head = "| setting | default | expected | what it does |\n| --- | --- | --- | --- |\n";
    let named = |name: &&str| rows.iter().copied().flatten().find(|row| row.name == *name);
    NAMES.iter().filter_map(named).map(row).fold(head.to_owned(), |table, row| table + &row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of each kind, as other crates have them.
    #[expect(dead_code, unreachable_pub, reason = "the macro is meant for a crate's rows")]
    mod rows {
        crate::settings! {
            BROKER_URL = "amqp://guest:guest@127.0.0.1:5672/%2f", "amqp://…", "The broker", url;
            TASK_QUEUE = "celery", "a queue name", "The queue";
            REDIS_HOST = "127.0.0.1", "a host", "The host of Redis", host;
            CALLBACK_WINDOW_SEC = "60", "seconds", "The window";
            WEBHOOK_SECRET = "", "whsec_…", "Signs callbacks", secret;
        }
    }
    use rows::{BROKER_URL, CALLBACK_WINDOW_SEC, REDIS_HOST, TASK_QUEUE, WEBHOOK_SECRET};

    #[test]
    fn a_bad_value_is_named_with_what_is_expected() {
        let settings = Settings::of([(&CALLBACK_WINDOW_SEC, "soon".to_owned())]);
        let error = settings.seconds(&CALLBACK_WINDOW_SEC, 10).unwrap_err().to_string();
        assert!(error.starts_with("setting CALLBACK_WINDOW_SEC: `soon` cannot be used; expected"), "{error}");
    }

    #[test]
    fn services_with_a_certificate_are_called_by_name() {
        let with_tls = Settings::of([(&TLS_CERT_FILE, "cert.pem".to_owned())]);
        assert_eq!(with_tls.acl_service().unwrap().as_str(), "https://localhost:5000/");
        let elsewhere = with_tls.with([(&AUTHORIZATION_SERVICE_URL, "http://acl".to_owned())]);
        assert_eq!(elsewhere.acl_service().unwrap().as_str(), "http://acl:5000/");
        assert_eq!(Settings::default().acl_service().unwrap().as_str(), "http://127.0.0.1:5000/");
    }

    #[test]
    fn an_empty_value_means_the_default() {
        let settings = Settings::of([(&TASK_QUEUE, " ".to_owned())]);
        assert_eq!((settings.text(&TASK_QUEUE), settings.is_given(&TASK_QUEUE)), ("celery", false));
    }

    #[test]
    fn a_port_in_the_url_wins_over_the_port_setting() {
        for (url, base) in [
            ("http://acl-service", "http://acl-service:5001/"),
            ("http://acl-service/", "http://acl-service:5001/"),
            ("http://acl-service:80", "http://acl-service/"),
            ("http://10.0.0.1:7000", "http://10.0.0.1:7000/"),
            ("http://[::1]", "http://[::1]:5001/"),
            ("https://acl.example/base", "https://acl.example:5001/base"),
        ] {
            let settings = Settings::of([
                (&AUTHORIZATION_SERVICE_URL, url.to_owned()),
                (&AUTHORIZATION_SERVICE_PORT, "5001".to_owned()),
            ]);
            assert_eq!(settings.acl_service().unwrap().as_str(), base);
        }
        let settings = Settings::of([(&AUTHORIZATION_SERVICE_URL, "acl-service".to_owned())]);
        assert!(settings.acl_service().unwrap_err().to_string().contains("AUTHORIZATION_SERVICE_URL"));
    }

    #[test]
    fn what_is_shown_of_the_settings_holds_no_secret() {
        let settings = Settings::of([
            (&BROKER_URL, "amqp://me:s3cret@host".to_owned()),
            (&WEBHOOK_SECRET, "whsec_s3cret".to_owned()),
            (&TASK_QUEUE, "q".to_owned()),
        ]);
        let shown =
            [("BROKER_URL", "amqp://me:********@host"), ("TASK_QUEUE", "q"), ("WEBHOOK_SECRET", "********")];
        assert_eq!(settings.shown(), shown.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn nan_negative_and_endless_spans_are_refused() {
        for text in ["NaN", "-1", "inf", "0", "1e30"] {
            let settings = Settings::of([(&CALLBACK_WINDOW_SEC, text.to_owned())]);
            assert!(settings.seconds(&CALLBACK_WINDOW_SEC, 3600).is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_of_a_server_is_shown() {
        let settings = Settings::of([(&REDIS_HOST, "redis.example".to_owned())]);
        assert_eq!(settings.masked(&REDIS_HOST), "redis.example");
    }

    #[test]
    fn a_secret_that_was_put_into_the_wrong_setting_is_not_shown() {
        let key = format!("vg_admin_{}", "s3cret".repeat(8));
        for (setting, text) in [
            (&TASK_QUEUE, &*key),
            (&TASK_QUEUE, "amqp://me:s3cret@host"),
            (&REDIS_HOST, "me:s3cret@host"),
            (&REDIS_HOST, "s3cret@host"),
            (&TLS_KEY_FILE, "-----BEGIN PRIVATE KEY-----s3cret"),
            (&AUTHORIZATION_SERVICE_URL, "http://me:s3/cret@host"),
            (&OTLP_ENDPOINT, "https://collector?api-key=s3cret"),
            (&BROKER_URL, "me:s3cret@host"),
        ] {
            let settings = Settings::of([(setting, text.to_owned())]);
            let said = format!("{} {:?}", settings.bad(setting), settings.shown());
            assert!(said.contains(setting.name) && !said.contains("s3cret"), "{said}");
        }
    }
}
