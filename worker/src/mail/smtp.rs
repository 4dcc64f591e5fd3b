//! A mail server. Each mail has a connection of its own: one that was abandoned in the middle of a mail must not be used for
//! another. Only what the server refuses of this mail is final; what it refuses of us (the login, the sender) is tried again.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, Message};
use tokio::time::timeout;

use super::SendError;

/// The time limit of one mail, from the look-up of the server to its last answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The server ends the connection, takes no mail at all, or asks for a login, whatever the mail is: none is lost by it.
const OF_NO_MAIL: [u16; 6] = [421, 521, 530, 534, 535, 538];
/// The mail is sent by then.
const QUIT_LIMIT: Duration = Duration::from_secs(1);

/// Where the server is, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) login: Option<Credentials>,
}

/// Whether the connection is encrypted.
#[derive(Clone)]
pub(super) enum Security {
    /// From its first byte on.
    Always(TlsParameters),
    /// By STARTTLS, without which no mail is sent.
    StartTls(TlsParameters),
    /// By STARTTLS if the server offers it.
    IfOffered(TlsParameters),
    /// Never.
    Off,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpServer({}:{})", self.host, self.port)
    }
}

/// The parameters of TLS with a server of this name, whose certificate one of these authorities may have signed, too.
pub(super) fn tls(host: &str, authorities: Option<Certificate>) -> Result<TlsParameters, Error> {
    let builder = TlsParameters::builder(host.to_owned());
    match authorities {
        Some(authorities) => builder.add_root_certificate(authorities).build(),
        None => builder.build(),
    }
}

impl SmtpServer {
    /// Sends a mail.
    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        let sending = async {
            let mut connection = self.connect().await?;
            submit(&mut connection, message).await?;
            Ok::<_, SendError>(connection)
        };
        let mut connection = timeout(LIMIT, sending).await.map_err(|_| SendError::Slow)??;
        // The server has the mail, also if it does not take leave.
        let _ = timeout(QUIT_LIMIT, connection.quit()).await;
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let (server, hello) = ((self.host.as_str(), self.port), ClientId::default());
        let wrapped = match &self.security {
            Security::Always(tls) => Some(tls.clone()),
            _ => None,
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(LIMIT), &hello, wrapped, None);
        let mut connection = connecting.await.map_err(|error| of_server("the connection", &error))?;
        let upgrade = match &self.security {
            Security::StartTls(tls) => Some(tls),
            Security::IfOffered(tls) if connection.can_starttls() => Some(tls),
            _ => None,
        };
        if let Some(tls) = upgrade {
            let upgraded = connection.starttls(tls.clone(), &hello).await;
            upgraded.map_err(|error| of_server("STARTTLS", &error))?;
        }
        if let Some(login) = &self.login {
            self.log_in(&mut connection, login).await?;
        }
        Ok(connection)
    }

    async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        login: &Credentials,
    ) -> Result<(), SendError> {
        if !connection.is_encrypted() && !is_this_machine(&self.host) {
            return Err(SendError::NoTls);
        }
        match connection.auth(DEFAULT_MECHANISMS, login).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_client() => Err(SendError::NoLogin),
            Err(error) => Err(of_server("the login", &error)),
        }
    }
}

/// Whether what is sent there stays on this machine.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn submit(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), SendError> {
    let envelope = message.envelope();
    let mut parameters = Vec::new();
    let is_ascii = |address: &Address| (address.as_ref() as &str).is_ascii();
    if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SendError::NeedsUtf8);
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let sender = connection.command(Mail::new(envelope.from().cloned(), parameters)).await;
    sender.map_err(|error| of_server("the sender", &error))?;
    for to in envelope.to() {
        let recipient = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
        recipient.map_err(|error| of_mail("the recipient", &error))?;
    }
    let begun = connection.command(Data).await;
    begun.map_err(|error| of_mail("the beginning of the message", &error))?;
    let taken = connection.message(&message.formatted()).await;
    taken.map_err(|error| of_mail("the message", &error))?;
    Ok(())
}

/// An error that has nothing to do with the mail.
fn of_server(what: &'static str, error: &Error) -> SendError {
    match error.status() {
        Some(code) => SendError::NotFromUs { what, code: code.into() },
        None => SendError::Connection { what, why: cause(error) },
    }
}

/// An error about this mail: it is final if the server says so.
fn of_mail(what: &'static str, error: &Error) -> SendError {
    match error.status().map(u16::from) {
        Some(code) if OF_NO_MAIL.contains(&code) => of_server(what, error),
        Some(code) if error.is_permanent() => SendError::Refused { what, code },
        Some(code) => SendError::PutOff { what, code },
        None => of_server(what, error),
    }
}

/// The kind of the cause. Its text may quote an answer of the server, and that the address.
fn cause(error: &Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.to_string();
        }
        source = error.source();
    }
    let kind = if error.is_tls() {
        "TLS"
    } else if error.is_response() {
        "malformed answer"
    } else {
        "broken"
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["mail.example", "10.0.0.1", "2001:db8::1", "localhost.example", "127.0.0.1.example"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
