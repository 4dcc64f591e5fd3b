//! Passwords, hashed by argon2id with its defaults, which are OWASP's: 19 MiB, two passes, one lane. A hash takes tens of
//! milliseconds of one core, so callers bound how many run at once.

use std::fmt;
use std::str::FromStr;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Deserializer};

/// A hash that no password has, of the same cost. Who tries a name that does not exist waits as long as for one that does.
const OF_NO_ACCOUNT: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dm9sdGdhdGUtbm8tbmFtZQ$Zm9yIG5hbWVzIHRoYXQgZG8gbm90IGV4aXN0ISEhISE";

/// A password, as it is typed: 8 to 256 characters. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The hash of a password, in the PHC string format. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The password could not be hashed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct NotHashed;

impl Password {
    /// Hashes it, with a new salt. Takes tens of milliseconds.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes, or too little memory.
    pub fn hash(&self) -> Result<PasswordHash, NotHashed> {
        let hash = Argon2::default().hash_password(self.0.as_bytes()).map_err(|_| NotHashed)?;
        Ok(PasswordHash(hash.to_string()))
    }
}

impl PasswordHash {
    /// The hash to compare with where there is no account.
    pub fn of_no_account() -> Self {
        Self(OF_NO_ACCOUNT.to_owned())
    }

    /// Whether this is the password, of any length. Takes tens of milliseconds, whatever the answer.
    pub fn verify(&self, presented: &str) -> bool {
        let Ok(hash) = phc::PasswordHash::new(&self.0) else { return false };
        Argon2::default().verify_password(presented.as_bytes(), &hash).is_ok()
    }
}

impl FromStr for Password {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.chars().count() {
            8..=256 => Ok(Self(text.to_owned())),
            _ => Err("expected 8 to 256 characters"),
        }
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(8)).max_length(Some(256));
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).write_only(true).build().into()
    }
}

impl utoipa::ToSchema for Password {}

impl<D: sqlx::Database> sqlx::Type<D> for PasswordHash
where
    String: sqlx::Type<D>,
{
    fn type_info() -> D::TypeInfo {
        <String as sqlx::Type<D>>::type_info()
    }

    fn compatible(other: &D::TypeInfo) -> bool {
        <String as sqlx::Type<D>>::compatible(other)
    }
}

impl<'q, D: sqlx::Database> sqlx::Encode<'q, D> for PasswordHash
where
    String: sqlx::Encode<'q, D>,
{
    fn encode_by_ref(
        &self,
        buffer: &mut <D as sqlx::Database>::ArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        self.0.encode_by_ref(buffer)
    }
}

impl<'r, D: sqlx::Database> sqlx::Decode<'r, D> for PasswordHash
where
    String: sqlx::Decode<'r, D>,
{
    fn decode(value: <D as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Self(String::decode(value)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_and_never_shown() {
        let password: Password = "correct horse".parse().unwrap();
        let hash = password.hash().unwrap();
        assert!(hash.verify("correct horse") && !hash.verify("correct Horse") && !hash.verify(""));
        assert!(!format!("{password:?} {hash:?}").contains("horse"));
        assert!(!format!("{hash:?}").contains("argon2"));
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "the cost is that of the hash for no account"
        );
    }

    #[test]
    fn the_hash_of_no_account_is_well_formed_and_has_no_password() {
        assert!(phc::PasswordHash::new(OF_NO_ACCOUNT).is_ok());
        assert!(!PasswordHash::of_no_account().verify("password"));
    }
}
