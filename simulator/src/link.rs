//! The connection of one charger: TCP from a chosen address, TLS where the URL says so, the WebSocket's handshake.

pub mod tls;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use self::tls::{TlsError, TlsFiles};
pub use self::wire::Wire;

/// The subprotocol of OCPP 1.6J.
const SUBPROTOCOL: &str = "ocpp1.6";
/// Time limit of everything up to the answered handshake. A storm waits in the accept queue.
const LIMIT: Duration = Duration::from_secs(30);
/// With the default of 128 KiB, a thousand sockets are slower and ten thousand need gigabytes.
const BUFFER: usize = 4096;
/// The largest message that a charger of this simulator takes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// An open WebSocket.
pub type Link = WebSocketStream<Wire>;

/// Where and as whom a charger connects.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The URL without the charger's name, such as `ws://127.0.0.1:9000/ocpp`.
    pub url: Url,
    /// The charger's name.
    pub charger: String,
    /// The password of Basic authentication, in bytes.
    pub password: Option<Vec<u8>>,
    /// The own address to connect from.
    pub source: Option<IpAddr>,
    /// For `wss://`; without it, the authorities of this machine are trusted.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The URL cannot be used.
    #[error("`{0}` is no ws:// or wss:// URL with a host")]
    Url(String),
    /// The network, or TLS.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The certificates that this machine trusts cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server refused the upgrade.
    #[error("refused with {status}{}", if body.is_empty() { String::new() } else { format!(": {body}") })]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// The handshake broke a rule of WebSockets, as an answer without the subprotocol does.
    #[error("{0}")]
    Handshake(#[source] Box<WebSocketError>),
    /// The handshake did not end in time.
    #[error("no answer to the handshake within {LIMIT:?}")]
    Late,
}

impl LinkError {
    /// A short word for counting.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Url(_) => "url".to_owned(),
            Self::Io(error) => format!("connect: {}", error.kind()),
            Self::Tls(_) => "tls".to_owned(),
            Self::Refused { status, .. } => format!("refused {status}"),
            Self::Handshake(_) => "handshake".to_owned(),
            Self::Late => "handshake late".to_owned(),
        }
    }
}

impl Dial {
    /// Connects.
    ///
    /// # Errors
    /// Returns an error if the handshake did not end in an open WebSocket within 30 seconds.
    pub async fn connect(&self) -> Result<Link, LinkError> {
        tokio::time::timeout(LIMIT, self.try_connect()).await.unwrap_or(Err(LinkError::Late))
    }

    async fn try_connect(&self) -> Result<Link, LinkError> {
        let bad = || LinkError::Url(self.url.to_string());
        let host = self.url.host_str().ok_or_else(bad)?;
        let tls = match self.url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(bad()),
        };
        let port = self.url.port().unwrap_or(if tls { 443 } else { 80 });
        let tcp = self.tcp(host.trim_matches(['[', ']']), port).await?;
        let wire = if tls { self.encrypted(tcp, host).await? } else { Wire::plain(tcp) };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let request = self.request().ok_or_else(bad)?;
        match tokio_tungstenite::client_async_with_config(request, wire, Some(config)).await {
            Ok((link, _)) => Ok(link),
            Err(WebSocketError::Io(error)) => Err(LinkError::Io(error)),
            Err(WebSocketError::Http(answer)) => {
                let body = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let body = body.trim().chars().take(200).collect();
                Err(LinkError::Refused { status: answer.status().as_u16(), body })
            }
            Err(other) => Err(LinkError::Handshake(Box::new(other))),
        }
    }

    fn request(&self) -> Option<ClientRequestBuilder> {
        let name = utf8_percent_encode(&self.charger, NON_ALPHANUMERIC).to_string();
        // What need not be escaped is left readable.
        let name = name.replace("%2D", "-").replace("%5F", "_").replace("%2E", ".");
        let uri: Uri = format!("{}/{name}", self.url.as_str().trim_end_matches('/')).parse().ok()?;
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
        request =
            request.with_header("user-agent", concat!("voltgate-simulator/", env!("CARGO_PKG_VERSION")));
        if let Some(password) = &self.password {
            let pair = [self.charger.as_bytes(), b":", password].concat();
            request = request.with_header("authorization", format!("Basic {}", STANDARD.encode(pair)));
        }
        Some(request)
    }

    async fn encrypted(&self, tcp: TcpStream, host: &str) -> Result<Wire, LinkError> {
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => tls::client(TlsFiles::default())?,
        };
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| LinkError::Url(host.to_owned()))?;
        Ok(Wire::encrypted(TlsConnector::from(config).connect(name, tcp).await?))
    }

    async fn tcp(&self, host: &str, port: u16) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
        for address in tokio::net::lookup_host((host, port)).await? {
            match self.tcp_to(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn tcp_to(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    use super::*;

    #[test]
    fn the_name_is_escaped_and_the_password_is_bytes() {
        let dial = Dial {
            url: "ws://127.0.0.1:9000/ocpp/".parse().unwrap(),
            charger: "CP 1/ä-2".to_owned(),
            password: Some(vec![0xff, 0x00]),
            source: None,
            tls: None,
        };
        let request = dial.request().unwrap().into_client_request().unwrap();
        assert_eq!(request.uri().path(), "/ocpp/CP%201%2F%C3%A4-2");
        let sent =
            request.headers()["authorization"].to_str().unwrap().trim_start_matches("Basic ").to_owned();
        assert_eq!(STANDARD.decode(sent).unwrap(), [dial.charger.as_bytes(), &[b':', 0xff, 0x00]].concat());
    }
}
