//! Access tokens: JWTs signed with Ed25519 (RFC 8037). They carry ids and nothing personal. What an account may do is not in
//! them: it is looked up at each request.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::signing_keys::SigningKey;
use crate::db::At;

/// The audience of access tokens.
pub const AUDIENCE: &str = "voltgate-platform";
/// How much the clocks of two replicas may differ.
const LEEWAY: Duration = Duration::from_secs(5);
const MAX_LENGTH: usize = 4096;

/// Issues and verifies access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    keys: Vec<Key>,
    issuer: String,
    lifetime: Duration,
    validation: Validation,
}

struct Key {
    id: String,
    public: [u8; 32],
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The account.
    pub sub: Uuid,
    /// The sign-in.
    pub sid: Uuid,
    exp: i64,
    iat: i64,
}

/// The token is malformed, of another issuer, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not valid")]
pub struct NotValid;

/// The token cannot be signed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the access token cannot be signed")]
pub struct NotSigned;

impl AccessTokens {
    /// The first key signs, and all verify.
    pub fn new(keys: &[SigningKey], issuer: &str, lifetime: Duration) -> Self {
        // One algorithm, fixed here and never read from a token.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY.as_secs();
        let key = |key: &SigningKey| Key {
            id: key.id().to_owned(),
            public: *key.public(),
            encoding: EncodingKey::from_ed_der(key.pkcs8()),
            decoding: DecodingKey::from_ed_der(key.public()),
        };
        Self { keys: keys.iter().map(key).collect(), issuer: issuer.to_owned(), lifetime, validation }
    }

    /// A token for a sign-in.
    ///
    /// # Errors
    /// Returns an error if the key cannot sign.
    pub fn issue(&self, account: Uuid, sign_in: Uuid) -> Result<String, NotSigned> {
        let key = self.keys.first().ok_or(NotSigned)?;
        let iat = At::now().millis() / 1000;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            sid: sign_in,
            exp: iat.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX)),
            iat,
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|_| NotSigned)
    }

    /// Verifies a token: its signature by the key that it names, its issuer, its audience and its end.
    ///
    /// # Errors
    /// Returns an error if it is not valid.
    pub fn verify(&self, token: &str) -> Result<Claims, NotValid> {
        if token.len() > MAX_LENGTH {
            return Err(NotValid);
        }
        let kid = jsonwebtoken::decode_header(token).map_err(|_| NotValid)?.kid.ok_or(NotValid)?;
        let key = self.keys.iter().find(|key| key.id == kid).ok_or(NotValid)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation);
        Ok(decoded.map_err(|_| NotValid)?.claims)
    }

    /// The public keys, as a JWK set (RFC 7517).
    pub fn public_keys(&self) -> Value {
        let key = |key: &Key| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id,
                "x": URL_SAFE_NO_PAD.encode(key.public),
            })
        };
        json!({"keys": self.keys.iter().map(key).collect::<Vec<_>>()})
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(keys: &[&SigningKey], issuer: &str, seconds: u64) -> AccessTokens {
        let keys: Vec<SigningKey> = keys.iter().map(|key| (*key).clone()).collect();
        AccessTokens::new(&keys, issuer, Duration::from_secs(seconds))
    }

    #[test]
    fn a_token_is_verified_by_every_replica_with_the_key() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (account, sign_in) = (Uuid::now_v7(), Uuid::now_v7());
        let token = tokens(&[&old], "http://a", 60).issue(account, sign_in).unwrap();
        let claims = tokens(&[&new, &old], "http://a", 60).verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid), (account, sign_in));
        assert_eq!(tokens(&[&new], "http://a", 60).verify(&token), Err(NotValid), "the key is gone");
        assert_eq!(tokens(&[&old], "http://b", 60).verify(&token), Err(NotValid), "another issuer");
        assert_eq!(tokens(&[&old], "http://a", 60).verify(&token[..token.len() - 4]), Err(NotValid));
    }

    #[test]
    fn a_token_of_another_algorithm_audience_or_time_is_not_valid() {
        let key = SigningKey::generate().unwrap();
        let ours = tokens(&[&key], "http://a", 60);
        let now = At::now().millis() / 1000;
        let good = Claims {
            iss: "http://a".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Uuid::now_v7(),
            sid: Uuid::now_v7(),
            exp: now + 60,
            iat: now,
        };
        let header = |algorithm| Header { kid: Some(key.id().to_owned()), ..Header::new(algorithm) };
        let signed = |claims: &Claims| {
            let encoding = EncodingKey::from_ed_der(key.pkcs8());
            jsonwebtoken::encode(&header(Algorithm::EdDSA), claims, &encoding).unwrap()
        };
        assert_eq!(ours.verify(&signed(&good)), Ok(good.clone()));
        assert_eq!(ours.verify(&signed(&Claims { exp: now - 6, ..good.clone() })), Err(NotValid));
        assert_eq!(
            ours.verify(&signed(&Claims { aud: "another".to_owned(), ..good.clone() })),
            Err(NotValid)
        );
        // The public key as the secret of another algorithm.
        let confused =
            jsonwebtoken::encode(&header(Algorithm::HS256), &good, &EncodingKey::from_secret(key.public()));
        assert_eq!(ours.verify(&confused.unwrap()), Err(NotValid));
    }

    #[test]
    fn a_token_carries_ids_and_times_only() {
        let key = SigningKey::generate().unwrap();
        let token = tokens(&[&key], "http://a", 60).issue(Uuid::now_v7(), Uuid::now_v7()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Map<String, Value> = serde_json::from_slice(&claims).unwrap();
        let names: std::collections::BTreeSet<&str> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "sid", "sub"].into());
    }
}
