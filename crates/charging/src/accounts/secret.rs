//! Secrets that are random, such as refresh tokens and codes. They are stored as a hash only: 256 random bits cannot be
//! guessed, so the hash need not be slow.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const BYTES: usize = 32;

/// 256 random bits, as 43 characters that may stand in a URL. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; BYTES]);

/// The text is not a secret of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 43 characters of A-Z a-z 0-9 - _")]
pub struct NotSecret;

/// The operating system returned no random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system returned no random bytes")]
pub struct NoRandomness;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The secret that follows this one under a key. Always the same, and unknown without the key.
    pub(crate) fn successor(&self, key: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &self.0);
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(tag.as_ref());
        Self(bytes)
    }

    /// The hash to store and to look up.
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, for its owner.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for Secret {
    type Err = NotSecret;

    fn from_str(text: &str) -> Result<Self, NotSecret> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotSecret)?;
        bytes.try_into().map(Self).map_err(|_| NotSecret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_never_shown() {
        let secret = Secret::generate().unwrap();
        let text = secret.reveal();
        assert_eq!((text.len(), text.parse::<Secret>()), (43, Ok(secret.clone())));
        assert!(!format!("{secret:?}").contains(&text));
        for bad in ["", "a", &"a".repeat(44), &"?".repeat(43)] {
            assert_eq!(bad.parse::<Secret>(), Err(NotSecret), "{bad}");
        }
    }

    #[test]
    fn a_successor_depends_on_the_secret_and_on_the_key() {
        let (secret, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(secret.successor(b"key"), secret.successor(b"key"));
        assert_ne!(secret.successor(b"key"), secret.successor(b"another"));
        assert_ne!(secret.successor(b"key"), other.successor(b"key"));
    }
}
