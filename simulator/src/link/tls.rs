//! Whom a charger trusts, and its own certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Why a charger cannot use TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The certificates cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Files in PEM, of all chargers of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsFiles<'a> {
    /// The authorities to trust instead of those of this machine.
    pub authorities: Option<&'a Path>,
    /// The certificate of the charger with its chain, and its key (security profile 3).
    pub identity: Option<(&'a Path, &'a Path)>,
}

/// The TLS of a charger.
///
/// # Errors
/// Returns an error if a file cannot be read, or does not hold what it should.
pub fn client(files: TlsFiles<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match files.authorities {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            config.with_root_certificates(roots)
        }
        None => config.with_platform_verifier()?,
    };
    let config = match files.identity {
        Some((certificate, key)) => {
            let own = PrivateKeyDer::from_pem_file(key).map_err(|error| no_pem(key, &error))?;
            config.with_client_auth_cert(certificates(certificate)?, own)?
        }
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all = all.map_err(|error| no_pem(path, &error))?;
    if all.is_empty() {
        return Err(no_pem(path, &"there is no certificate in it"));
    }
    Ok(all)
}

fn no_pem(path: &Path, error: &impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), error: io::Error::other(error.to_string()) }
}
