//! The texts of mails: built-in templates, any of which an operator may replace by a file. All of them are tried at the start.

use std::path::{Path, PathBuf};

use minijinja::value::{Serde, Value as Text};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{ClaimedMail, Language, MailKind};
use crate::config::PublicUrl;
use crate::db::At;

const ENGLISH: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
const GERMAN: &[BorrowedFormatItem<'_>] =
    format_description!("[day].[month].[year], [hour]:[minute] Uhr (UTC)");
const ENDINGS: [&str; 2] = ["txt", "html"];

/// The templates of every mail.
#[derive(Debug, Clone)]
pub struct Templates {
    environment: Environment<'static>,
    public_url: PublicUrl,
}

/// A mail's texts.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedMail {
    /// One line: the first of the text template.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Its link, with the code.
    pub link: Option<String>,
}

/// Why a mail has no text.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A template that cannot be used.
    #[error("the mail template {name} cannot be used: {why}")]
    Template {
        /// Its name, such as `en/verify_email.txt`.
        name: String,
        /// Its fault, and the line.
        why: minijinja::Error,
    },
    /// The first line is the subject.
    #[error("the mail template {0} begins with an empty line, and not with the subject")]
    NoSubject(String),
    /// A file that replaces no template.
    #[error("{0} replaces no mail template: their names are LANGUAGE/KIND.txt and LANGUAGE/KIND.html")]
    Unknown(PathBuf),
    /// A file or the folder cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
}

impl Templates {
    /// The built-in templates, except for those that are in this folder.
    ///
    /// # Errors
    /// Returns an error that names the file if one cannot be read, replaces no template, or cannot be used.
    pub fn new(public_url: PublicUrl, folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut templates = Self { environment, public_url };
        for (kind, language) in all() {
            for (ending, text) in ENDINGS.into_iter().zip(kind.built_in(language)) {
                templates.add(name(kind, language, ending), text.to_owned())?;
            }
        }
        if let Some(folder) = folder {
            templates.replace(folder)?;
        }
        for (kind, language) in all() {
            templates.texts(kind, language, At::now(), &kind.example())?;
        }
        Ok(templates)
    }

    fn add(&mut self, name: String, text: String) -> Result<(), TemplateError> {
        let added = self.environment.add_template_owned(name.clone(), text);
        added.map_err(|why| TemplateError::Template { name, why })
    }

    fn replace(&mut self, folder: &Path) -> Result<(), TemplateError> {
        for directory in entries(folder)? {
            for file in entries(&directory)? {
                let ending = file.strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or_default();
                let known =
                    all().flat_map(|(kind, language)| ENDINGS.map(|ending| name(kind, language, ending)));
                let Some(name) = known.into_iter().find(|name| name == ending) else {
                    return Err(TemplateError::Unknown(file));
                };
                let text = std::fs::read_to_string(&file);
                self.add(name, text.map_err(|error| TemplateError::Unreadable(file, error))?)?;
            }
        }
        Ok(())
    }

    /// The texts of a mail.
    ///
    /// # Errors
    /// Returns an error if the mail has not the data that its template needs.
    pub fn render(&self, mail: &ClaimedMail) -> Result<RenderedMail, TemplateError> {
        self.texts(mail.kind, mail.language, mail.claim.expires_at, &mail.data)
    }

    fn texts(
        &self,
        kind: MailKind,
        language: Language,
        expires_at: At,
        data: &Value,
    ) -> Result<RenderedMail, TemplateError> {
        let link =
            kind.page().zip(data["code"].as_str()).map(|(page, code)| self.public_url.page(page, code));
        // Null counts as missing: it would be printed as `none`.
        let given = data.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let given = given.map(|(name, value)| (name.clone(), Text::from(Serde(value))));
        let ours = [
            ("public_url", Some(self.public_url.to_string())),
            ("expires", Some(shown(expires_at, language))),
            ("link", link.clone()),
        ];
        let ours = ours.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Text::from(text?))));
        let values = Text::from_pairs(given.chain(ours));
        let render = |ending| {
            let name = name(kind, language, ending);
            let rendered = self.environment.get_template(&name).and_then(|template| template.render(&values));
            rendered.map_err(|why| TemplateError::Template { name, why })
        };
        let (text, html) = (render("txt")?, render("html")?);
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        let subject: String = subject.chars().filter(|c| !c.is_control()).collect();
        if subject.trim().is_empty() {
            return Err(TemplateError::NoSubject(name(kind, language, "txt")));
        }
        let text = format!("{}\n", text.trim());
        Ok(RenderedMail { subject: subject.trim().to_owned(), text, html, link })
    }
}

fn all() -> impl Iterator<Item = (MailKind, Language)> {
    MailKind::ALL.iter().flat_map(|kind| Language::ALL.iter().map(|language| (*kind, *language)))
}

fn name(kind: MailKind, language: Language, ending: &str) -> String {
    format!("{language}/{kind}.{ending}")
}

/// What is in a folder, without hidden files.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable = |error| TemplateError::Unreadable(folder.to_owned(), error);
    let found: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?.into_iter();
    let visible = found.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    Ok(visible.map(|entry| entry.path()).collect())
}

fn shown(at: At, language: Language) -> String {
    let format = match language {
        Language::En => ENGLISH,
        Language::De => GERMAN,
    };
    at.time().format(format).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use service_runtime::settings::Settings;

    use super::*;

    fn public_url() -> PublicUrl {
        PublicUrl::from_settings(&Settings::default()).unwrap()
    }

    /// The texts of a mail with these templates in an operator's folder.
    fn with(files: &[(&str, &str)], data: &Value) -> Result<RenderedMail, TemplateError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let templates = Templates::new(public_url(), Some(folder.path()))?;
        templates.texts(MailKind::ResetPassword, Language::De, At::now(), data)
    }

    #[test]
    fn an_operator_replaces_a_template_and_the_others_stay() {
        let file = ("de/reset_password.txt", "Hallo\n{{ username }}: {{ public_url }}/x?c={{ code }}");
        let mail = with(&[file, ("..data", "")], &MailKind::ResetPassword.example()).unwrap();
        assert_eq!((&*mail.subject, &*mail.text), ("Hallo", "anna: http://127.0.0.1:8000/x?c=K7QX-3MNP\n"));
        assert!(mail.html.contains("neues Passwort"), "{}", mail.html);
    }

    #[test]
    fn a_template_that_cannot_be_used_is_named() {
        for (name, text, named) in [
            ("en/verify_email.txt", "Hi\n{{ usrname }}", "en/verify_email.txt"),
            ("de/email_taken.html", "{{ code }}", "de/email_taken.html"),
            ("en/account_erased.html", "{% if %}", "en/account_erased.html"),
            ("de/password_changed.html", "{{ username|nothing }}", "de/password_changed.html"),
            ("en/verify_email.txt", "\nHi", "en/verify_email.txt begins with an empty line"),
            ("en/verify_mail.txt", "Hi", "en/verify_mail.txt replaces no mail template"),
            ("fr/verify_email.txt", "Salut", "fr/verify_email.txt replaces no mail template"),
            ("en/verify_email.md", "Hi", "en/verify_email.md replaces no mail template"),
        ] {
            let error = with(&[(name, text)], &json!({})).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(named)), "{name}: {error:?}");
        }
    }

    #[test]
    fn a_mail_without_the_data_of_its_template_is_refused() {
        for data in [json!({"username": "anna"}), json!({"username": null, "code": "1"}), json!(null)] {
            assert!(matches!(with(&[], &data), Err(TemplateError::Template { .. })), "{data}");
        }
    }

    #[test]
    fn data_can_add_no_line_to_the_subject_and_no_element_to_the_html() {
        let hostile = "<b>x</b>\r\nBcc: all@example.com";
        let data = json!({"username": hostile, "fleet": hostile, "code": hostile});
        let templates = Templates::new(public_url(), None).unwrap();
        for (kind, language) in all() {
            let mail = templates.texts(kind, language, At::now(), &data).unwrap();
            assert!(!mail.subject.contains(char::is_control), "{}", mail.subject);
            assert!(!mail.html.contains("<b>"), "{}", mail.html);
            assert!(mail.link.is_none_or(|link| !link.contains(char::is_whitespace)));
        }
    }
}
