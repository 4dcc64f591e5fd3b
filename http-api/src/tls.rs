//! TLS by two files. They are looked at again and again, so that a certificate that was replaced is served without a
//! restart; a pair that cannot be used leaves the one before in place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use common::exit::Failure;
use common::settings::{SettingError, Settings, TLS_CERT_FILE, TLS_KEY_FILE};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// The pair in force.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    held: RwLock<Arc<CertifiedKey>>,
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{setting}: {file} cannot be read as PEM: {why}")]
    Unreadable { setting: &'static str, file: PathBuf, why: String },
    #[error("{setting}: {file} holds no certificate")]
    Empty { setting: &'static str, file: PathBuf },
    #[error("TLS_KEY_FILE: {file} is not the key of the certificate in TLS_CERT_FILE: {why}")]
    Mismatch { file: PathBuf, why: String },
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl TlsFiles {
    /// Nothing where no file is named.
    pub(crate) fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
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

    fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let unreadable = |setting: &'static str, file: &Path, why: rustls::pki_types::pem::Error| {
            TlsError::Unreadable { setting, file: file.to_owned(), why: why.to_string() }
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(TLS_CERT_FILE.name, &self.certificate, error))?;
        if chain.is_empty() {
            let file = self.certificate.clone();
            return Err(TlsError::Empty { setting: TLS_CERT_FILE.name, file });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable(TLS_KEY_FILE.name, &self.key, error))?;
        let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let mismatch =
            |error: rustls::Error| TlsError::Mismatch { file: self.key.clone(), why: error.to_string() };
        pair.map(Arc::new).map_err(mismatch)
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| file.metadata().and_then(|data| data.modified()).ok())
    }
}

impl Certificate {
    pub(crate) fn load(files: TlsFiles) -> Result<Arc<Self>, Failure> {
        let held = files.load().map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Arc::new(Self { files, held: RwLock::new(held) }))
    }

    /// What a listener is given.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, Failure> {
        let broken = |error: rustls::Error| Failure::Broken(TlsError::from(error).to_string());
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(broken)?;
        let certificate: Arc<dyn ResolvesServerCert> = self.clone();
        Ok(builder.with_no_client_auth().with_cert_resolver(certificate))
    }

    /// Looks for new files, until dropped.
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
                    tracing::info!(file = %self.files.certificate.display(), "a new certificate is served");
                    seen = modified;
                }
                // Perhaps one of the two is still to come.
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one is served");
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.held.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
