//! TLS from two files. They are checked periodically, so a replaced certificate is served without a restart. If the new
//! pair cannot be used, the previous pair stays in use.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use service_runtime::exit::Failure;
use service_runtime::settings::{Setting, SettingError, Settings, TLS_CERT_FILE, TLS_KEY_FILE};

/// Who may sign the certificates of clients. A client without one is let in all the same; the handler decides.
#[derive(Debug, Clone, Default)]
pub struct ClientAuthorities {
    /// Certificates of authorities, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// Lists of revoked certificates, as PEM.
    pub revoked: Option<Vec<u8>>,
}

/// What is known of a TLS connection, as `HttpRequest::conn_data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// The common name in the client's certificate, which an authority has signed; `None` without a certificate.
    pub common_name: Option<String>,
}

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The paths of the certificate and its key.
#[derive(Debug)]
struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// The pair in use.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    held: RwLock<Arc<CertifiedKey>>,
}

impl TlsFiles {
    /// Returns `None` if no file is named.
    fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        match (settings.is_given(&TLS_CERT_FILE), settings.is_given(&TLS_KEY_FILE)) {
            (false, false) => Ok(None),
            (true, true) => Ok(Some(Self {
                certificate: settings.text(&TLS_CERT_FILE).into(),
                key: settings.text(&TLS_KEY_FILE).into(),
            })),
            (true, false) => Err(settings.bad(&TLS_KEY_FILE)),
            (false, true) => Err(settings.bad(&TLS_CERT_FILE)),
        }
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, SettingError> {
        let unusable = |setting: &Setting, file: &Path, why: String| SettingError::Unusable {
            name: setting.name,
            why: format!("{} {why}", file.display()),
        };
        let no_pem = |error: Error| format!("cannot be read as PEM: {error}");
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(&TLS_CERT_FILE, &self.certificate, no_pem(error)))?;
        if chain.is_empty() {
            return Err(unusable(&TLS_CERT_FILE, &self.certificate, "holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unusable(&TLS_KEY_FILE, &self.key, no_pem(error)))?;
        let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let mismatch = |error| format!("is not the key of the certificate in TLS_CERT_FILE: {error}");
        pair.map(Arc::new).map_err(|error| unusable(&TLS_KEY_FILE, &self.key, mismatch(error)))
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| file.metadata().and_then(|data| data.modified()).ok())
    }
}

impl Certificate {
    /// Reads the files at start-up, so that a bad one is found at once; `None` if no file is named.
    pub(crate) fn from_settings(settings: &Settings) -> Result<Option<Arc<Self>>, SettingError> {
        let load = |files: TlsFiles| {
            let held = RwLock::new(files.load()?);
            Ok(Arc::new(Self { files, held }))
        };
        TlsFiles::from_settings(settings)?.map(load).transpose()
    }

    /// The TLS configuration of a listener.
    pub(crate) fn server_config(
        self: &Arc<Self>,
        clients: Option<&ClientAuthorities>,
    ) -> Result<ServerConfig, Failure> {
        let broken = |error: rustls::Error| Failure::broken(format!("TLS cannot be set up: {error}"));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(broken)?;
        let certificate: Arc<dyn ResolvesServerCert> = self.clone();
        let verifier = clients.map(|clients| clients.verifier(provider)).transpose()?.flatten();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        Ok(builder.with_cert_resolver(certificate))
    }

    /// Checks for new files, until dropped.
    pub(crate) async fn renew(&self) {
        let mut seen = self.files.modified();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let modified = self.files.modified();
            if modified == seen {
                continue;
            }
            match self.files.load() {
                Ok(pair) => {
                    *self.held.write().unwrap_or_else(PoisonError::into_inner) = pair;
                    tracing::info!(file = %self.files.certificate.display(), "serving a new certificate");
                    seen = modified;
                }
                // Perhaps one of the two files has not been replaced yet.
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; still serving the old one");
                }
            }
        }
    }
}

impl ClientAuthorities {
    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, Failure> {
        let Some(pem) = &self.authorities else { return Ok(None) };
        let unusable =
            |what: &str, why: String| Failure::broken(format!("the {what} of clients cannot be used: {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable("authorities", error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable("authorities", error.to_string()))?;
        }
        let revoked = self.revoked.as_deref().map(CertificateRevocationListDer::pem_slice_iter);
        let revoked: Result<Vec<_>, _> = revoked.into_iter().flatten().collect();
        let revoked = revoked.map_err(|error| unusable("revoked certificates", error.to_string()))?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = builder.with_crls(revoked).allow_unknown_revocation_status().allow_unauthenticated();
        builder.build().map(Some).map_err(|error| unusable("authorities", error.to_string()))
    }
}

/// Notes what is known of a connection, if it is one over TLS.
pub(crate) fn note_peer(connection: &dyn Any, noted: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let certificates = stream.get_ref().1.peer_certificates();
    let first = certificates.and_then(|chain| chain.first());
    noted.insert(PeerTls { common_name: first.and_then(|certificate| common_name(certificate)) });
}

/// The common name of the subject, if there is exactly one.
fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.held.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
