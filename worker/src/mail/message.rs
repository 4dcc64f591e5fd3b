//! The message as it is sent: text and HTML, with a `Message-ID` that is the same in every attempt.

use charging::notifications::{ClaimedMail, RenderedMail};
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use url::Host;

use super::SendError;

/// Machines must not answer, such as a notice of absence (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Composes the message.
pub(super) fn compose(
    from: &Mailbox,
    mail: &ClaimedMail,
    rendered: RenderedMail,
) -> Result<Message, SendError> {
    let to = recipient(&mail.to).ok_or(SendError::BadAddress)?;
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(rendered.subject)
        .message_id(Some(format!("<{}@{}>", mail.claim.id, from.email.domain())))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))?;
    Ok(message)
}

/// The address with its domain in ASCII, as every server takes it.
pub(super) fn recipient(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    if text.contains(char::is_control) {
        return None;
    }
    match Host::parse(domain).ok()? {
        Host::Domain(domain) => Address::new(local, domain).ok(),
        // Not an address of a person.
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use charging::At;
    use charging::notifications::{Claim, Language, MailKind};

    use super::*;

    fn mail(to: &str) -> ClaimedMail {
        let claim = Claim {
            id: "0190b1f0-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: 1,
            expires_at: At::now(),
        };
        let (kind, language, data) = (MailKind::VerifyEmail, Language::De, serde_json::json!({}));
        ClaimedMail { claim, kind, language, to: to.to_owned(), data }
    }

    fn composed(to: &str) -> Result<String, SendError> {
        let rendered = RenderedMail {
            subject: "Grüße".to_owned(),
            text: "Schöne Grüße\n.\n".to_owned(),
            html: "<p>Schöne Grüße</p>".to_owned(),
            link: None,
        };
        let from = "Ladestation Köln <mail@charge.example>".parse().unwrap();
        Ok(String::from_utf8(compose(&from, &mail(to), rendered)?.formatted()).unwrap())
    }

    #[test]
    fn a_message_is_ascii_with_its_own_id_and_both_texts() {
        let text = composed("anna@example.com").unwrap();
        assert!(text.is_ascii(), "{text}");
        for line in [
            "To: anna@example.com\r\n",
            "Message-ID: <0190b1f0-0000-7000-8000-000000000001@charge.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: multipart/alternative;",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "bare line ends: {text:?}");
    }

    #[test]
    fn a_domain_with_umlauts_is_sent_in_ascii() {
        assert_eq!(recipient("anna@müller.example").unwrap().as_ref() as &str, "anna@xn--mller-kva.example");
        let with_umlaut = recipient("jürgen@müller.example").unwrap();
        assert_eq!(with_umlaut.user(), "jürgen");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "anna",
            "@example.com",
            "anna@",
            "anna@example.com\r\nBcc: b@example.com",
            "anna\n@example.com",
            "an na@example.com",
            "anna@exam ple.com",
            "Anna <anna@example.com>",
            "a@example.com,b@example.com",
            "anna@127.0.0.1",
            "anna@[::1]",
            "<anna@example.com>",
            "anna@example.com\0",
        ] {
            assert!(matches!(composed(bad), Err(SendError::BadAddress)), "{bad:?}");
        }
    }
}
