//! The keys that sign access tokens (Ed25519). They come from a file that all replicas share, or else from the database. The
//! first signs, and all verify, so that a key can be replaced while tokens of the former one are in use.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::locks::{self, Lock};
use crate::db::{At, Db, DbError, Tx, on, statements};

statements! {
    NEWEST_FIRST = "SELECT pkcs8 FROM signing_keys ORDER BY created_at DESC, id";
    INSERT = "INSERT INTO signing_keys (id, pkcs8, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// One key.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    pkcs8: Vec<u8>,
    public: [u8; 32],
}

/// The text or the bytes are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected Ed25519 keys in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes them")]
pub struct NotSigningKey;

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn generate() -> Result<Self, NotSigningKey> {
        let pair = Ed25519KeyPair::generate().map_err(|_| NotSigningKey)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| NotSigningKey)?;
        Self::from_pkcs8(pkcs8.as_ref().to_vec())
    }

    /// A key in PKCS #8, with or without its public half.
    ///
    /// # Errors
    /// Returns an error if it is another one.
    pub fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, NotSigningKey> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).map_err(|_| NotSigningKey)?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| NotSigningKey)?;
        // RFC 7638: the members of the public key in the order of their names.
        let thumbprint =
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
        let id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, thumbprint.as_bytes()));
        Ok(Self { id, pkcs8, public })
    }

    /// The keys in a PEM file, at least one.
    ///
    /// # Errors
    /// Returns an error if there are none, or one of them is another kind of key.
    pub fn all_from_pem(pem: &str) -> Result<Vec<Self>, NotSigningKey> {
        let mut keys = Vec::new();
        for part in pem.split(BEGIN).skip(1) {
            let (body, _) = part.split_once(END).ok_or(NotSigningKey)?;
            let body: String = body.split_whitespace().collect();
            keys.push(Self::from_pkcs8(STANDARD.decode(body).map_err(|_| NotSigningKey)?)?);
        }
        if keys.is_empty() { Err(NotSigningKey) } else { Ok(keys) }
    }

    /// Its `kid`: the thumbprint of RFC 7638.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// The keys of the database, of which it gets one if it has none.
///
/// # Errors
/// Returns an error if the database cannot be used, or a stored key is malformed.
pub async fn stored(db: &Db) -> Result<Vec<SigningKey>, DbError> {
    let keys = db.read(async |tx| all(tx).await).await?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    db.write(async |tx| {
        // Replicas that start together agree on one key.
        locks::hold(tx, Lock::SigningKeys).await?;
        let keys = all(tx).await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        let key = SigningKey::generate().map_err(|_| DbError::Away)?;
        on!(tx, |c| {
            let query = sqlx::query(INSERT).bind(key.id()).bind(key.pkcs8()).bind(At::now());
            query.execute(c).await.map(drop)
        })?;
        Ok::<_, DbError>(vec![key])
    })
    .await
}

async fn all(tx: &mut Tx) -> Result<Vec<SigningKey>, DbError> {
    let rows: Vec<(Vec<u8>,)> = on!(tx, |c| sqlx::query_as(NEWEST_FIRST).fetch_all(c).await)?;
    let key = |(pkcs8,)| SigningKey::from_pkcs8(pkcs8);
    let keys: Result<Vec<SigningKey>, NotSigningKey> = rows.into_iter().map(key).collect();
    keys.map_err(|error| DbError::Defect(sqlx::Error::Decode(error.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.1 and A.3.
    const OF_THE_RFC: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    #[test]
    fn a_key_of_openssl_is_read_and_named_by_its_thumbprint() {
        let seed = URL_SAFE_NO_PAD.decode(OF_THE_RFC).unwrap();
        let der =
            [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed].concat();
        let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der));
        let keys = SigningKey::all_from_pem(&format!("{pem}{pem}")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(URL_SAFE_NO_PAD.encode(keys[0].public()), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert!(SigningKey::all_from_pem(bad).is_err(), "{bad:?}");
        }
    }
}
