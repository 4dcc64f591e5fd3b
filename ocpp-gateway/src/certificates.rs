//! Certificates for chargers (security paper, section 5.2): checks what a charger wants to have signed, and signs it where there
//! is an authority to sign with.

use std::time::{Duration, SystemTime};

use ocpp::v16::to_charger::CertificateSigned;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SubjectPublicKeyInfo,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::AttributeTypeAndValue;

/// The shortest keys that the security paper allows (section 3, table 4), in bits.
const SHORTEST_RSA: usize = 2048;
const SHORTEST_EC: usize = 224;
/// A charger's clock may be behind.
const VALID_BEFORE: Duration = Duration::from_secs(3600);

/// Why a request is not signed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unsigned {
    #[error("the request is no PKCS #10 in PEM")]
    Malformed,
    #[error("the request has neither a common name nor an organization")]
    Nameless,
    #[error("the key is too short, or of a kind that is not known")]
    Weak,
    #[error("the signature of the request is not that of its key")]
    Forged,
    #[error("the certificate and its chain are longer than 10,000 characters")]
    TooLong,
    #[error("the authority cannot sign: {0}")]
    Authority(rcgen::Error),
}

/// A request that was checked.
pub(crate) struct Checked {
    organization: Option<String>,
    key: SubjectPublicKeyInfo,
}

/// An authority that signs the certificates of chargers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, and those up to the root.
    chain: String,
    valid_for: Duration,
}

/// Checks a request: its form, who it names, its key, and that its sender has that key.
pub(crate) fn check(csr: &str) -> Result<Checked, Unsigned> {
    let pem = Pem::iter_from_buffer(csr.as_bytes()).next().and_then(Result::ok).ok_or(Unsigned::Malformed)?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|_| Unsigned::Malformed)?;
    let info = &request.certification_request_info;
    let organization = first(info.subject.iter_organization());
    if organization.is_none() && first(info.subject.iter_common_name()).is_none() {
        return Err(Unsigned::Nameless);
    }
    let is_strong = match info.subject_pki.parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() >= SHORTEST_RSA,
        Ok(PublicKey::EC(key)) => key.key_size() >= SHORTEST_EC,
        _ => false,
    };
    if !is_strong {
        return Err(Unsigned::Weak);
    }
    request.verify_signature().map_err(|_| Unsigned::Forged)?;
    let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| Unsigned::Weak)?;
    Ok(Checked { organization, key })
}

fn first<'a>(mut names: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<String> {
    names.next()?.as_str().ok().filter(|name| !name.is_empty()).map(ToOwned::to_owned)
}

impl Authority {
    /// The authority with this certificate, which its chain may follow, and this key.
    ///
    /// # Errors
    /// Returns an error if either is malformed.
    pub fn new(certificates: &str, key: &str, valid_for: Duration) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(certificates, KeyPair::from_pem(key)?)?;
        Ok(Self { issuer, chain: certificates.to_owned(), valid_for })
    }

    /// The certificate of a charger: its common name is the charger's, whatever was requested.
    pub(crate) fn sign(&self, charger: &str, checked: &Checked) -> Result<CertificateSigned, Unsigned> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, charger);
        if let Some(organization) = &checked.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now();
        params.not_before = (now - VALID_BEFORE).into();
        params.not_after = (now + self.valid_for).into();
        let certificate = params.signed_by(&checked.key, &self.issuer).map_err(Unsigned::Authority)?;
        CertificateSigned::new(&format!("{}{}", certificate.pem(), self.chain)).ok_or(Unsigned::TooLong)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("valid_for", &self.valid_for).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateSigningRequest, IsCa};

    fn request(names: &[(DnType, &str)]) -> CertificateSigningRequest {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap()
    }

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority::new(&certificate.pem(), &key.serialize_pem(), Duration::from_secs(86_400)).unwrap()
    }

    #[test]
    fn a_certificate_names_the_charger_whatever_was_requested() {
        let csr = request(&[(DnType::CommonName, "OTHER"), (DnType::OrganizationName, "Operator")]);
        let checked = check(&csr.pem().unwrap()).unwrap();
        let signed = authority().sign("BER-1", &checked).unwrap();
        let text = serde_json::to_value(&signed).unwrap()["certificateChain"].as_str().unwrap().to_owned();
        let chain: Vec<Pem> = Pem::iter_from_buffer(text.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(chain.len(), 2);
        let (leaf, root) = (chain[0].parse_x509().unwrap(), chain[1].parse_x509().unwrap());
        assert_eq!(first(leaf.subject().iter_common_name()).as_deref(), Some("BER-1"));
        assert_eq!(first(leaf.subject().iter_organization()).as_deref(), Some("Operator"));
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert!(!leaf.is_ca() && leaf.validity().is_valid());
    }

    #[test]
    fn a_request_that_proves_nothing_is_refused() {
        let refused = |csr: &str| check(csr).err();
        assert_eq!(refused("-----BEGIN"), Some(Unsigned::Malformed));
        assert_eq!(refused(&request(&[]).pem().unwrap()), Some(Unsigned::Nameless));
        let good = request(&[(DnType::CommonName, "BER-1")]);
        assert_eq!(refused(&good.pem().unwrap()), None);
        // The last byte belongs to the signature.
        let mut der = good.der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        let forged = pem(&der);
        assert!(matches!(refused(&forged), Some(Unsigned::Forged | Unsigned::Malformed)));
    }

    fn pem(der: &[u8]) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            lines.join("\n")
        )
    }
}
