//! Every setting, in one table: name, default, what is expected, what it does. Defaults, then `voltgate.toml`, then the
//! environment. The table in docs/configure.md is made from here, and a test compares the two.

mod given;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use table::*;
use url::Url;

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable. In `voltgate.toml` the same in lower case.
    pub name: &'static str,
    /// What holds when nothing is set; empty where nothing is meant.
    pub default: &'static str,
    /// What a good value looks like.
    pub expected: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Never print the value.
    pub secret: bool,
}

/// The settings of one process: what was set, over the defaults. Reading it has no side effects.
#[derive(Clone, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, String>,
}

/// What is wrong with a setting, and what is expected instead.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A value that cannot be used.
    #[error("setting {name}: `{value}` cannot be used; expected {expected}")]
    Bad {
        /// The setting.
        name: &'static str,
        /// Its value, masked where it is secret.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// What it names cannot be used.
    #[error("setting {name}: {why}")]
    Unusable {
        /// The setting.
        name: &'static str,
        /// What it names, and what is wrong with that.
        why: String,
    },
    /// A name in `voltgate.toml` that no setting has.
    #[error("{file}: there is no setting `{name}`; docs/configure.md has the table of settings")]
    Unknown {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// `voltgate.toml` or the environment cannot be read.
    #[error("the settings cannot be read: {0}")]
    Unreadable(#[from] config::ConfigError),
}

impl Settings {
    /// Reads `voltgate.toml` of the working directory (or the file that `VOLTGATE_CONFIG` names) and the environment.
    ///
    /// # Errors
    /// The file is not TOML, or names a setting that does not exist.
    pub fn load() -> Result<Self, SettingError> {
        let named = std::env::var_os("VOLTGATE_CONFIG").map(PathBuf::from);
        let file = named.clone().unwrap_or_else(|| PathBuf::from("voltgate.toml"));
        let from_file = config::Config::builder()
            .add_source(
                config::File::from(file.clone()).format(config::FileFormat::Toml).required(named.is_some()),
            )
            .build()?;
        let mut given = BTreeMap::new();
        for (key, value) in from_file.cache.clone().into_table()? {
            let setting = ALL.iter().find(|setting| setting.name.eq_ignore_ascii_case(&key));
            let name = setting
                .ok_or_else(|| SettingError::Unknown { file: file.display().to_string(), name: key })?
                .name;
            given.insert(name, text_of(value)?);
        }
        let from_env = config::Config::builder().add_source(environment()).build()?;
        for setting in ALL {
            if let Ok(value) = from_env.get_string(&setting.name.to_lowercase()) {
                given.insert(setting.name, value);
            }
        }
        Ok(Self { given })
    }

    /// These values and nothing else, for tests and for one process that starts several services.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a Setting, String)>) -> Self {
        Self::default().with(values)
    }

    /// The same settings with these values in the place of what was there.
    #[must_use]
    pub fn with<'a>(mut self, values: impl IntoIterator<Item = (&'a Setting, String)>) -> Self {
        self.given.extend(values.into_iter().map(|(setting, value)| (setting.name, value)));
        self
    }

    /// How to log, and otherwise the defaults: for a process that must behave the same on every machine.
    #[must_use]
    pub fn only_logging(&self) -> Self {
        let mut given = self.given.clone();
        given.retain(|name, _| [LOG_FORMAT.name, LOG_LEVEL.name].contains(name));
        Self { given }
    }

    /// Whether somebody set it; an empty value counts as not set.
    pub fn is_given(&self, setting: &Setting) -> bool {
        self.given.get(setting.name).is_some_and(|value| !value.trim().is_empty())
    }

    /// The value in force, as text.
    pub fn text(&self, setting: &Setting) -> &str {
        match self.given.get(setting.name) {
            Some(value) if !value.trim().is_empty() => value.trim(),
            _ => setting.default,
        }
    }

    /// The value in force, as whatever `parse` makes of it.
    ///
    /// # Errors
    /// `parse` gives nothing: [`SettingError::Bad`], which names the setting.
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
    /// It is none.
    pub fn number(
        &self,
        setting: &Setting,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, SettingError> {
        self.parse_with(setting, |text| text.parse().ok().filter(|number| bounds.contains(number)))
    }

    /// A span in seconds, fractions allowed, more than nothing and at most `longest` seconds.
    ///
    /// # Errors
    /// It is none.
    pub fn seconds(&self, setting: &Setting, longest: u32) -> Result<Duration, SettingError> {
        self.parse_with(setting, |text| {
            let seconds: f64 = text.parse().ok()?;
            (seconds > 0.0 && seconds <= f64::from(longest)).then(|| Duration::from_secs_f64(seconds))
        })
    }

    /// A TCP port; 0 asks for any free one.
    ///
    /// # Errors
    /// It is none.
    pub fn port(&self, setting: &Setting) -> Result<u16, SettingError> {
        self.parse_with(setting, |text| text.parse().ok())
    }

    /// Where acl-service is. A port in the URL wins over `AUTHORIZATION_SERVICE_PORT`, also one that is its scheme's own.
    ///
    /// # Errors
    /// One of the two is not what is expected.
    pub fn acl_service(&self) -> Result<Url, SettingError> {
        let port = self.port(&AUTHORIZATION_SERVICE_PORT)?;
        let given = self.is_given(&AUTHORIZATION_SERVICE_URL);
        let text = if given { self.text(&AUTHORIZATION_SERVICE_URL) } else { self.this_machine() };
        let parse = || {
            let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
            let authority = text.split_once("://")?.1.split('/').next()?;
            let names_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !names_port {
                url.set_port(Some(port)).ok()?;
            }
            Some(url)
        };
        parse().ok_or_else(|| self.bad(&AUTHORIZATION_SERVICE_URL))
    }

    /// Scheme and host of our own services on this machine. Where they have a certificate, it is one for a name.
    pub fn this_machine(&self) -> &'static str {
        if self.is_given(&TLS_CERT_FILE) { "https://localhost" } else { "http://127.0.0.1" }
    }

    /// A comma-separated list.
    ///
    /// # Errors
    /// One of its items cannot be parsed.
    pub fn list<T>(
        &self,
        setting: &Setting,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SettingError> {
        self.parse_with(setting, |text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect()
        })
    }

    /// What was set, in the order of the documentation, as anybody may see it: secrets and passwords masked.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let given = ALL.iter().filter(|setting| self.is_given(setting));
        let shown = |setting: &Setting| match setting.secret {
            true => MASK.to_owned(),
            false => without_password(self.text(setting)).replace(":****@", &format!(":{MASK}@")),
        };
        given.map(|setting| (setting.name, shown(setting))).collect()
    }

    /// The error that says this setting's value cannot be used.
    pub fn bad(&self, setting: &Setting) -> SettingError {
        let text = self.text(setting);
        let value = if setting.secret { "****".to_owned() } else { without_password(text) };
        SettingError::Bad { name: setting.name, value, expected: setting.expected }
    }
}

/// As Celery masks what it shows of its configuration.
const MASK: &str = "********";

/// Our own names only: what else is in the environment is nobody's business, and need not even be text.
fn environment() -> config::Environment {
    let named = ALL.iter().filter_map(|setting| Some((setting.name, std::env::var_os(setting.name)?)));
    let ours = named.map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()));
    config::Environment::default().source(Some(ours.collect()))
}

/// The table as docs/configure.md has it.
pub fn markdown_table() -> String {
    let cell = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let row = |setting: &Setting| {
        let Setting { name, default, expected, about, .. } = setting;
        format!("| `{name}` | {} | {expected} | {about} |\n", cell(default))
    };
    let head = "| setting | default | expected | what it does |\n| --- | --- | --- | --- |\n";
    ALL.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
}

/// A list in the file is the same as its items with commas between them.
fn text_of(value: config::Value) -> Result<String, config::ConfigError> {
    match value.kind {
        config::ValueKind::Array(items) => {
            let items: Result<Vec<_>, _> = items.into_iter().map(config::Value::into_string).collect();
            Ok(items?.join(","))
        }
        _ => value.into_string(),
    }
}

/// A URL as it may be shown: `amqp://user:****@host`. Also takes what is no URL.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    if let (Err(_), Some((_, host))) = (Url::parse(url), rest.rsplit_once('@')) {
        // Not a URL, perhaps because of what the password holds: nothing before the host is shown.
        return format!("{scheme}://****@{host}");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((login, _)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:****{}", &rest[login.len()..])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named_with_what_is_expected() {
        let settings = Settings::of([(&CALLBACK_WINDOW_SEC, "soon".to_owned())]);
        let error = settings.seconds(&CALLBACK_WINDOW_SEC, 10).unwrap_err().to_string();
        assert!(error.starts_with("setting CALLBACK_WINDOW_SEC: `soon` cannot be used; expected"), "{error}");
    }

    #[test]
    fn every_default_is_a_good_value_or_empty() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), ALL.len(), "a setting stands twice in the table");
        assert!(ALL.iter().all(|setting| !setting.expected.is_empty() && !setting.about.is_empty()));
    }

    #[test]
    fn services_of_ours_that_have_a_certificate_are_asked_by_name_unless_somebody_said_where_they_are() {
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
            let settings = Settings::of([(&CALLBACK_TIMEOUT_SEC, text.to_owned())]);
            assert!(settings.seconds(&CALLBACK_TIMEOUT_SEC, 3600).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        for (url, shown) in [
            ("amqp://me:s3cret@host:5672/%2f", "amqp://me:****@host:5672/%2f"),
            ("redis://:s3cret@host", "redis://:****@host"),
            ("amqp://me:s3@cret@host/x@y", "amqp://me:****@host/x@y"),
            ("amqp://host/x@y", "amqp://host/x@y"),
            ("amqp://me:s3/cr@et@host:1/x", "amqp://****@host:1/x"),
            ("embedded:/data", "embedded:/data"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
