//! The settings of mail.

use std::path::{Path, PathBuf};

use charging::notifications::Templates;
use charging::{DatabaseConfig, PublicUrl};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;
use percent_encoding::percent_decode_str;
use service_runtime::server_url::{Allowed, ServerUrl};
use service_runtime::settings::{Setting, SettingError, Settings, TLS_CA_FILE};
use url::{Host, Url};

use super::folder::{Announce, Folder};
use super::smtp::{Security, SmtpServer, tls};
use crate::settings::{MAIL_FOLDER, MAIL_FROM, MAIL_TEMPLATES, SMTP_URL};

/// The folder of mails within the directory of an embedded database.
const FOLDER: &str = "mail";
const ALLOWED: Allowed = Allowed {
    schemes: &["smtp", "smtps"],
    parameters: &[("tls", |text| ["required", "off"].contains(&text))],
    ipv6: true,
};
/// Submission, RFC 6409 and RFC 8314.
const PORT: u16 = 587;
const PORT_WITH_TLS: u16 = 465;

/// How mails are written, and where they go.
#[derive(Debug, Clone)]
pub struct MailConfig {
    pub(super) from: Mailbox,
    pub(super) templates: Templates,
    pub(super) delivery: Delivery,
}

/// Where mails go.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// To a mail server.
    Smtp(SmtpServer),
    /// Into a folder.
    Folder(Folder),
    /// They stay queued.
    Nowhere,
}

impl MailConfig {
    /// Reads the settings. Without a mail server, mails go into a folder; an embedded database has one beside it.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value, or a template cannot be used.
    pub fn from_settings(
        settings: &Settings,
        database: Option<&DatabaseConfig>,
    ) -> Result<Self, SettingError> {
        let templates = settings.is_given(&MAIL_TEMPLATES).then(|| settings.text(&MAIL_TEMPLATES));
        let templates = Templates::new(PublicUrl::from_settings(settings)?, templates.map(Path::new));
        let folder = settings.is_given(&MAIL_FOLDER).then(|| PathBuf::from(settings.text(&MAIL_FOLDER)));
        let beside = || Some(database?.directory()?.join(FOLDER));
        let delivery = match (server(settings)?, folder.or_else(beside)) {
            (Some(server), _) => Delivery::Smtp(server),
            (None, Some(folder)) => Delivery::Folder(Folder::new(folder)),
            (None, None) => Delivery::Nowhere,
        };
        Ok(Self {
            from: settings.parse_with(&MAIL_FROM, sender)?,
            templates: templates.map_err(|error| unusable(&MAIL_TEMPLATES, &error))?,
            delivery,
        })
    }

    /// Announces each mail that is written to a folder, to a person at a terminal.
    #[must_use]
    pub fn announcing(self, announce: Announce) -> Self {
        let delivery = match self.delivery {
            Delivery::Folder(folder) => Delivery::Folder(folder.announcing(announce)),
            other => other,
        };
        Self { delivery, ..self }
    }
}

fn server(settings: &Settings) -> Result<Option<SmtpServer>, SettingError> {
    if !settings.is_given(&SMTP_URL) {
        return Ok(None);
    }
    let url = settings.server_url(&SMTP_URL, &ALLOWED)?;
    let parts = parts(&url).ok_or_else(|| settings.bad(&SMTP_URL))?;
    let authorities = settings.file(&TLS_CA_FILE)?;
    let authorities = authorities.map(|pem| Certificate::from_pem(&pem)).transpose();
    let authorities = authorities.map_err(|error| unusable(&TLS_CA_FILE, &error))?;
    let tls = || tls(&parts.host, authorities).map_err(|error| unusable(&SMTP_URL, &error));
    let security = match (parts.is_wrapped, parts.tls.as_deref()) {
        (true, _) => Security::Always(tls()?),
        (false, Some("required")) => Security::StartTls(tls()?),
        (false, Some("off")) => Security::Off,
        (false, _) => Security::IfOffered(tls()?),
    };
    let Parts { host, port, login, .. } = parts;
    Ok(Some(SmtpServer { host, port, security, login }))
}

struct Parts {
    host: String,
    port: u16,
    is_wrapped: bool,
    tls: Option<String>,
    login: Option<Credentials>,
}

fn parts(url: &ServerUrl) -> Option<Parts> {
    let url = Url::parse(url.expose()).ok()?;
    let is_wrapped = url.scheme() == "smtps";
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    // `embedded:DIR`, which a server's URL may be elsewhere, and parts that would be ignored.
    let is_place = url.path().trim_matches('/').is_empty() && !(is_wrapped && tls.is_some());
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => {
            Some(Credentials::new(decoded(user)?, decoded(password)?))
        }
        _ => return None,
    };
    let host = match url.host().filter(|_| is_place)? {
        // Its name is not looked up with the brackets.
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    let port = url.port().unwrap_or(if is_wrapped { PORT_WITH_TLS } else { PORT });
    Some(Parts { host, port, is_wrapped, tls, login })
}

/// `Name <address>` or an address, which is ASCII, because not every server takes another one.
fn sender(text: &str) -> Option<Mailbox> {
    let mailbox: Mailbox = text.parse().ok()?;
    (mailbox.email.as_ref() as &str).is_ascii().then_some(mailbox)
}

fn unusable(setting: &Setting, error: &dyn std::error::Error) -> SettingError {
    SettingError::Unusable { name: setting.name, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&Setting, &str)]) -> Result<MailConfig, SettingError> {
        let values = values.iter().map(|(setting, value)| (*setting, (*value).to_owned()));
        let settings = Settings::of(values);
        let database = DatabaseConfig::from_settings(&settings)?;
        MailConfig::from_settings(&settings, database.as_ref())
    }

    fn smtp(url: &str) -> Option<SmtpServer> {
        match read(&[(&SMTP_URL, url)]).ok()?.delivery {
            Delivery::Smtp(server) => Some(server),
            _ => None,
        }
    }

    #[test]
    fn a_server_has_its_port_and_its_kind_of_encryption() {
        for (url, host, port) in [
            ("smtp://mail.example", "mail.example", 587),
            ("smtps://mail.example/", "mail.example", 465),
            ("smtp://mail.example:25?tls=off", "mail.example", 25),
            ("smtp://me%40mail.example:p%40ss@[::1]:2525?tls=required", "::1", 2525),
        ] {
            let server = smtp(url).unwrap();
            assert_eq!((&*server.host, server.port), (host, port), "{url}");
            assert!(!format!("{server:?}").contains("p@ss"));
        }
        assert!(matches!(smtp("smtp://h").unwrap().security, Security::IfOffered(_)));
        assert!(matches!(smtp("smtp://h?tls=required").unwrap().security, Security::StartTls(_)));
        assert!(matches!(smtp("smtp://h?tls=off").unwrap().security, Security::Off));
        assert!(matches!(smtp("smtps://h").unwrap().security, Security::Always(_)));
        assert!(smtp("smtps://h").unwrap().login.is_none() && smtp("smtps://u:p@h").unwrap().login.is_some());
    }

    #[test]
    fn a_bad_value_is_named_without_a_password() {
        for (setting, bad) in [
            (&SMTP_URL, "mail.example"),
            (&SMTP_URL, "http://mail.example"),
            (&SMTP_URL, "embedded:/mail"),
            (&SMTP_URL, "smtp://me:s3cret@host/path"),
            (&SMTP_URL, "smtp://me:s3cret@"),
            (&SMTP_URL, "smtp://s3cret@host"),
            (&SMTP_URL, "smtp://:s3cret@host"),
            (&SMTP_URL, "smtp://me:s3@cret@host"),
            (&SMTP_URL, "smtp://me:s3cret@host?tls=maybe"),
            (&SMTP_URL, "smtps://me:s3cret@host?tls=off"),
            (&MAIL_FROM, "no address"),
            (&MAIL_FROM, "jürgen@example.com"),
            (&MAIL_FROM, "Voltgate <a@example.com>\r\nBcc: b@example.com"),
            (&MAIL_TEMPLATES, "/nowhere"),
            (&charging::settings::PUBLIC_URL, "charge.example"),
        ] {
            let error = read(&[(setting, bad)]).map(drop).unwrap_err().to_string();
            assert!(error.contains(setting.name) && !error.contains("s3cret"), "{bad}: {error}");
        }
    }

    #[test]
    fn without_a_server_mails_go_into_a_folder_if_there_is_one() {
        use charging::settings::DATABASE_URL;
        let of = |values: &[(&Setting, &str)]| format!("{:?}", read(values).unwrap().delivery);
        assert_eq!(of(&[]), "Nowhere");
        assert_eq!(of(&[(&DATABASE_URL, "postgres://host/x")]), "Nowhere");
        assert!(of(&[(&DATABASE_URL, "embedded:/data")]).contains("\"/data/mail\""));
        assert!(of(&[(&DATABASE_URL, "embedded:/data"), (&MAIL_FOLDER, "/out")]).contains("\"/out\""));
        assert!(of(&[(&MAIL_FOLDER, "/out"), (&SMTP_URL, "smtp://host")]).contains("SmtpServer"));
    }
}
