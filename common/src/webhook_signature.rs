//! Signatures of callbacks (Standard Webhooks): HMAC-SHA256 for clients that share a secret, ed25519 for all others.
//! The worker signs; public-api serves the public keys from the same settings. Several keys sign at once, so that one
//! can be replaced while clients still use the other.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The keys in force; none if no setting names one.
#[derive(Clone, Default)]
pub struct WebhookSigner {
    secrets: Arc<[hmac::Key]>,
    keys: Arc<[Ed25519KeyPair]>,
}

/// A secret that is shared with clients.
pub struct WebhookSecret(hmac::Key);

/// A private key, whose public key clients have.
pub struct WebhookKey(Ed25519KeyPair);

impl WebhookSecret {
    /// `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl WebhookKey {
    /// `whsk_` and the base64 of the seed alone, or of the seed and its public key, which must then match.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsk_")?).ok()?;
        let key = match bytes.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
            64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
            _ => return None,
        };
        key.ok().map(Self)
    }
}

impl WebhookSigner {
    /// Signs with each of these.
    pub fn new(secrets: Vec<WebhookSecret>, keys: Vec<WebhookKey>) -> Self {
        Self {
            secrets: secrets.into_iter().map(|secret| secret.0).collect(),
            keys: keys.into_iter().map(|key| key.0).collect(),
        }
    }

    /// The value of `webhook-signature` for this attempt: one signature by each key, separated by spaces; `None`
    /// without keys.
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        let by_secret =
            self.secrets.iter().map(|secret| ("v1", STANDARD.encode(hmac::sign(secret, &signed))));
        let by_key = self.keys.iter().map(|key| ("v1a", STANDARD.encode(key.sign(&signed))));
        let signatures: Vec<String> =
            by_secret.chain(by_key).map(|(version, signature)| format!("{version},{signature}")).collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }

    /// The public keys that verify the `v1a` signatures, as `whpk_…`.
    pub fn public_keys(&self) -> Vec<String> {
        self.keys.iter().map(|key| format!("whpk_{}", STANDARD.encode(key.public_key()))).collect()
    }
}

impl fmt::Debug for WebhookSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSigner({} secrets, {} private keys)", self.secrets.len(), self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const ID: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    const BODY: &[u8] =
        br#"{"station_id":"123e4567-e89b-12d3-a456-426614174000","driver_token":"t","status":"allowed"}"#;

    fn signer(secrets: &str, keys: &str) -> Option<WebhookSigner> {
        let items = |text: &str| {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let secrets = items(secrets).iter().map(|item| WebhookSecret::parse(item)).collect::<Option<_>>()?;
        Some(WebhookSigner::new(
            secrets,
            items(keys).iter().map(|item| WebhookKey::parse(item)).collect::<Option<_>>()?,
        ))
    }

    fn encoded(prefix: &str, length: usize) -> String {
        format!("{prefix}{}", STANDARD.encode(vec![7; length]))
    }

    #[test]
    fn an_independent_verifier_accepts_every_secret_during_a_rotation() {
        let (old, new) = (encoded("whsec_", 24), encoded("whsec_", 64));
        let now = crate::clock::now() / 1_000_000_000;
        let signature = signer(&format!("{old}, {new}"), "").unwrap().sign(ID, now, BODY).unwrap();
        let mut headers = http::HeaderMap::new();
        for (name, value) in
            [("webhook-id", ID), ("webhook-timestamp", &now.to_string()), ("webhook-signature", &signature)]
        {
            headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        for secret in [old, new] {
            let verifier = standardwebhooks::Webhook::new(&secret).unwrap();
            verifier.verify(BODY, &headers).unwrap();
            assert!(verifier.verify(b"something else", &headers).is_err());
        }
    }

    #[test]
    fn a_public_key_verifies_what_its_private_key_signed() {
        let signer = signer("", &encoded("whsk_", 32)).unwrap();
        let signature = signer.sign(ID, 1, BODY).unwrap();
        let signature = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let [public] = &signer.public_keys()[..] else { panic!("one key") };
        let public = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
        let signed = [format!("{ID}.1.").as_bytes(), BODY].concat();
        UnparsedPublicKey::new(&ED25519, public).verify(&signed, &signature).unwrap();
    }

    #[test]
    fn without_keys_nothing_is_signed() {
        assert_eq!(signer("", "").unwrap().sign(ID, 1, BODY), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (secrets, keys) in [
            ("whsec_short", ""),
            (&*encoded("whsec_", 23), ""),
            (&*encoded("whsec_", 65), ""),
            ("", &*encoded("whsk_", 31)),
            ("", &*encoded("whsk_", 64)),
            ("", &*encoded("", 32)),
        ] {
            assert!(signer(secrets, keys).is_none(), "{secrets} {keys}");
        }
    }
}
