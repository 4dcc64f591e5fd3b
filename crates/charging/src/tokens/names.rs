//! The names of tokens. A token has three, each with its own alphabet: what one of them takes is not accepted as another.
//! They are personal data, so `Debug` does not show them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use common::ids::DriverToken;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::db::DbError;

/// Without I and O, which look like 1 and 0, and without these two: 32 letters, so each has five bits.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// The length of random driver tokens: 160 bits.
const DRIVER_TOKEN: usize = 32;
/// The length of random uids: 160 bits.
const UID: usize = 32;

macro_rules! name {
    ($(#[$attribute:meta])* $name:ident, $max:literal, [$($schema:tt)*]) => {
        $(#[$attribute])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, min_length = 1, pattern = "^[!-~]+$", $($schema)*)]
        pub struct $name(String);

        impl $name {
            /// The longest one.
            pub const MAX: usize = $max;

            /// The text, as it was first written.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// The name as it is compared and stored: case does not distinguish.
            pub fn key(&self) -> String {
                self.0.to_ascii_uppercase()
            }

            /// Whether both are the same name.
            pub fn is_same(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let fits = (1..=$max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
                let expected = concat!("expected 1 to ", $max, " visible characters of ASCII, without spaces");
                if fits { Ok(Self(text.to_owned())) } else { Err(expected) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(****)"))
            }
        }
    };
}

name! {
    /// The name of a token in OCPI: of an RFID card, its serial number. 1 to 36 characters, compared without case.
    TokenUid, 36, [max_length = 36, example = "04A2B9C2D35E80"]
}

name! {
    /// The name of a token in OCPP 1.6, and that of a group: 1 to 20 characters, compared without case.
    IdTag, 20, [max_length = 20, example = "04A2B9C2"]
}

impl TokenUid {
    /// A random one.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn random() -> Result<Self, DbError> {
        Ok(Self(letters(UID)?))
    }
}

impl IdTag {
    /// A random one of 100 bits.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn random() -> Result<Self, DbError> {
        Ok(Self(letters(Self::MAX)?))
    }
}

/// A random driver token.
///
/// # Errors
/// Returns an error if there are no random bytes.
pub fn random_driver_token() -> Result<DriverToken, DbError> {
    let text = letters(DRIVER_TOKEN)?.to_ascii_lowercase();
    DriverToken::parse(&text).map_err(|_| DbError::Away)
}

/// Random letters of five bits each.
pub(super) fn letters(count: usize) -> Result<String, DbError> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).map_err(|_| DbError::Away)?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// Whether this is one of the letters.
pub(super) fn is_letter(one: char) -> bool {
    u8::try_from(one).is_ok_and(|byte| LETTERS.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_have_the_lengths_and_letters_of_their_kind() {
        let (uid, tag, token) =
            (TokenUid::random().unwrap(), IdTag::random().unwrap(), random_driver_token().unwrap());
        assert_eq!((uid.expose().len(), tag.expose().len(), token.expose().len()), (32, 20, 32));
        assert!(tag.expose().chars().all(is_letter));
        assert_ne!(tag, IdTag::random().unwrap());
        assert!(!format!("{uid:?} {tag:?}").contains(tag.expose()));
    }

    #[test]
    fn a_tag_is_compared_without_case_and_shown_as_written() {
        let tag: IdTag = "04aBc".parse().unwrap();
        assert_eq!((tag.expose(), tag.key()), ("04aBc", "04ABC".to_owned()));
        assert!(tag.is_same(&"04ABC".parse().unwrap()));
        for bad in ["", "a b", "é", "\u{7f}", &"a".repeat(21)] {
            assert!(bad.parse::<IdTag>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(36).parse::<TokenUid>().is_ok() && "a".repeat(37).parse::<TokenUid>().is_err());
    }
}
