//! Signatures of callbacks (Standard Webhooks): HMAC-SHA256 for clients that share a secret, ed25519 for all others.
//! The worker signs; public-api serves the public keys from the same settings. Several keys sign at once, so that one
//! can be replaced while clients still use the other.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::settings::{SettingError, Settings, WEBHOOK_PRIVATE_KEY, WEBHOOK_SECRET};

/// The keys in force; none if no setting names one.
#[derive(Clone, Default)]
pub struct WebhookSigner {
    secrets: Arc<[hmac::Key]>,
    keys: Arc<[Ed25519KeyPair]>,
}

impl WebhookSigner {
    /// Reads `WEBHOOK_SECRET` and `WEBHOOK_PRIVATE_KEY`.
    ///
    /// # Errors
    /// Returns an error if a setting contains an invalid key. The error does not show it.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            secrets: settings.list(&WEBHOOK_SECRET, secret)?.into(),
            keys: settings.list(&WEBHOOK_PRIVATE_KEY, key_pair)?.into(),
        })
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

fn secret(text: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    (24..=64).contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The seed alone, or followed by its public key, which must then match.
fn key_pair(text: &str) -> Option<Ed25519KeyPair> {
    let bytes = STANDARD.decode(text.strip_prefix("whsk_")?).ok()?;
    match bytes.len() {
        32 => Ed25519KeyPair::from_seed_unchecked(&bytes).ok(),
        64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const ID: &str = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    const BODY: &[u8] =
        br#"{"station_id":"123e4567-e89b-12d3-a456-426614174000","driver_token":"t","status":"allowed"}"#;

    fn signer(secrets: &str, keys: &str) -> Result<WebhookSigner, SettingError> {
        WebhookSigner::from_settings(&Settings::of([
            (&WEBHOOK_SECRET, secrets.to_owned()),
            (&WEBHOOK_PRIVATE_KEY, keys.to_owned()),
        ]))
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
    fn what_is_no_key_is_refused_by_name_and_never_shown() {
        for (secrets, keys, name) in [
            ("whsec_short", "", "WEBHOOK_SECRET"),
            (&*encoded("whsec_", 23), "", "WEBHOOK_SECRET"),
            (&*encoded("whsec_", 65), "", "WEBHOOK_SECRET"),
            ("", &*encoded("whsk_", 31), "WEBHOOK_PRIVATE_KEY"),
            ("", &*encoded("whsk_", 64), "WEBHOOK_PRIVATE_KEY"),
            ("", &*encoded("", 32), "WEBHOOK_PRIVATE_KEY"),
        ] {
            let error = signer(secrets, keys).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("****") && !error.contains("BwcH"), "{error}");
        }
    }
}
