//! API keys: the presented key, its stored hash, and its scopes.
//!
//! A key is `vg_<id>_<secret>`. The secret itself is never stored, only its SHA-256. A slow hash such as argon2
//! protects secrets that people choose, by making each guess expensive. 192 random bits cannot be guessed, and the slow
//! hash would run at each request that is not cached, which strangers could use to overload the service.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest, rand};

/// 192 bits, as 48 hexadecimal digits.
const SECRET_BYTES: usize = 24;
const ID_BYTES: usize = 8;
/// Minimum length of a secret generated elsewhere: 160 bits if its characters are hexadecimal digits.
const MIN_SECRET: usize = 40;
const MAX_SECRET: usize = 128;
const MAX_ID: usize = 32;

/// A key as presented. `Debug` shows its id only.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    secret: String,
}

/// The part of a key that may be shown. It names the key in lists, logs and audit trails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

/// The stored hash of a key's secret.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

/// A permission of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Request a decision.
    Authorize,
    /// Read requests, decisions and access lists.
    Read,
    /// Change access lists.
    Acl,
    /// Everything, except in the platform.
    Admin,
    /// Read everything of the platform.
    PlatformRead,
    /// Read and change what operators of the platform work with.
    PlatformOperate,
    /// Everything of the platform.
    PlatformAdmin,
}

/// A key's permissions: at least one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

/// The text is not a key. It is not shown, because it may be almost a valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected vg_<id>_<secret>, with a secret of at least {MIN_SECRET} letters and digits")]
pub struct NotKey;

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one or more of authorize, read, acl, admin, platform:read, platform:operate, platform:admin, separated by commas"
)]
pub struct NotScope;

/// The operating system returned no random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system returned no random bytes")]
pub struct NoRandomness;

impl ApiKey {
    /// A new key, from the generator that the operating system seeds.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        let (id, secret) = bytes.split_at(ID_BYTES);
        Ok(Self { id: KeyId(hex(id)), secret: hex(secret) })
    }

    /// The part that may be shown.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The hash to store.
    pub fn hash(&self) -> SecretHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.secret.as_bytes()).as_ref());
        SecretHash(hash)
    }

    /// The whole key, to be shown to its owner once.
    pub fn reveal(&self) -> String {
        format!("vg_{}_{}", self.id.0, self.secret)
    }
}

impl FromStr for ApiKey {
    type Err = NotKey;

    fn from_str(text: &str) -> Result<Self, NotKey> {
        let (id, secret) = text.strip_prefix("vg_").and_then(|rest| rest.split_once('_')).ok_or(NotKey)?;
        let lengths = MIN_SECRET..=MAX_SECRET;
        if !lengths.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(NotKey);
        }
        Ok(Self { id: id.parse()?, secret: secret.to_owned() })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

impl KeyId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = NotKey;

    fn from_str(text: &str) -> Result<Self, NotKey> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain);
        if good { Ok(Self(text.to_owned())) } else { Err(NotKey) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretHash {
    /// The stored form: 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// The reverse.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

/// Compares in constant time: the duration does not reveal where two hashes differ.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

impl Scope {
    const ALL: [Self; 7] = [
        Self::Authorize,
        Self::Read,
        Self::Acl,
        Self::Admin,
        Self::PlatformRead,
        Self::PlatformOperate,
        Self::PlatformAdmin,
    ];

    /// The scope's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Read => "read",
            Self::Acl => "acl",
            Self::Admin => "admin",
            Self::PlatformRead => "platform:read",
            Self::PlatformOperate => "platform:operate",
            Self::PlatformAdmin => "platform:admin",
        }
    }

    /// The scopes of the core open nothing in the platform, and the platform's open nothing in the core.
    pub const fn is_of_platform(self) -> bool {
        matches!(self, Self::PlatformRead | Self::PlatformOperate | Self::PlatformAdmin)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Scopes {
    /// One scope.
    pub fn one(scope: Scope) -> Self {
        Self(BTreeSet::from([scope]))
    }

    /// Everything, in the core and in the platform.
    pub fn everything() -> Self {
        Self(BTreeSet::from([Scope::Admin, Scope::PlatformAdmin]))
    }

    /// Whether one of `sufficient` is among them. `admin` implies all scopes of the core, and `platform:admin` all of the
    /// platform.
    pub fn admit(&self, sufficient: &[Scope]) -> bool {
        sufficient.iter().any(|scope| {
            let admin = if scope.is_of_platform() { Scope::PlatformAdmin } else { Scope::Admin };
            self.0.contains(scope) || self.0.contains(&admin)
        })
    }
}

impl FromStr for Scopes {
    type Err = NotScope;

    fn from_str(text: &str) -> Result<Self, NotScope> {
        let scope = |word: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == word.trim());
        text.split(',').map(scope).collect::<Option<_>>().map(Self).ok_or(NotScope)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_and_has_160_bits_at_least() {
        let (key, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        let read: ApiKey = key.reveal().parse().unwrap();
        assert_eq!((read.id(), read.hash()), (key.id(), key.hash()));
        assert!(key.secret.len() * 4 >= 160 && key.id() != other.id() && key.hash() != other.hash());
        assert_eq!(SecretHash::from_hex(&key.hash().to_hex()), Some(key.hash()));
    }

    #[test]
    fn a_key_that_could_be_guessed_is_none() {
        let good = "a".repeat(MIN_SECRET);
        assert!(format!("vg_bootstrap_{good}").parse::<ApiKey>().is_ok());
        for bad in [
            String::new(),
            "vg_".to_owned(),
            format!("vg__{good}"),
            format!("vg_ID_{good}"),
            format!("xx_id_{good}"),
            "vg_admin_SECRET".to_owned(),
            format!("vg_id_{}", "a".repeat(MIN_SECRET - 1)),
            format!("vg_id_{}", "a".repeat(MAX_SECRET + 1)),
            format!("vg_id_{good}-"),
            format!("vg_id_{good}_x"),
        ] {
            assert!(bad.parse::<ApiKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let key = ApiKey::generate().unwrap();
        let shown = format!("{key:?} {:?}", key.hash());
        assert!(!shown.contains(&key.secret) && !shown.contains(&key.hash().to_hex()), "{shown}");
    }

    #[test]
    fn admin_implies_every_scope_and_no_other_does() {
        let admits = |held: &str, wanted: Scope| held.parse::<Scopes>().unwrap().admit(&[wanted]);
        for scope in Scope::ALL {
            assert!(admits(if scope.is_of_platform() { "platform:admin" } else { "admin" }, scope));
            assert!(admits(scope.as_str(), scope));
            assert!(!admits(if scope.is_of_platform() { "admin" } else { "platform:admin" }, scope));
        }
        assert!(!admits("authorize,read", Scope::Acl) && !admits("authorize,read,acl", Scope::Admin));
        assert!("".parse::<Scopes>().is_err() && "read,write".parse::<Scopes>().is_err());
    }
}
