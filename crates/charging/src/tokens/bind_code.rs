//! Codes that are printed on cards: who has the card binds it to an account. A code works once, and only its hash is
//! stored.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;

use super::names::{is_letter, letters};
use crate::db::DbError;

/// 60 bits: an online guess is hopeless at any rate that is admitted.
const LETTERS: usize = 12;
const GROUP: usize = 4;

/// A code of twelve letters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct BindCode(String);

/// The text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected twelve letters and digits, such as ABCD-EFGH-2345")]
pub struct NotBindCode;

impl BindCode {
    /// A new one.
    ///
    /// # Errors
    /// Returns an error if there are no random bytes.
    pub fn generate() -> Result<Self, DbError> {
        Ok(Self(letters(LETTERS)?))
    }

    /// The hash to store and to look up.
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// The code in groups of four, to be printed.
    pub fn reveal(&self) -> String {
        let mut text = String::new();
        for (index, one) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(one);
        }
        text
    }
}

impl FromStr for BindCode {
    type Err = NotBindCode;

    /// Case, hyphens and spaces do not matter.
    fn from_str(text: &str) -> Result<Self, NotBindCode> {
        let letters: String = text
            .chars()
            .filter(|one| *one != '-' && !one.is_whitespace())
            .map(|one| one.to_ascii_uppercase())
            .collect();
        let fits = letters.len() == LETTERS && letters.chars().all(is_letter);
        if fits { Ok(Self(letters)) } else { Err(NotBindCode) }
    }
}

impl fmt::Debug for BindCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_however_it_is_typed() {
        let code = BindCode::generate().unwrap();
        let text = code.reveal();
        assert_eq!(text.len(), 14);
        for typed in [text.clone(), text.to_lowercase(), text.replace('-', ""), format!(" {text} ")] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
        assert!(!format!("{code:?}").contains(&text[..4]));
        for bad in ["", "ABCD-EFGH", "ABCD-EFGH-234I", "ABCD-EFGH-2345-6"] {
            assert_eq!(bad.parse::<BindCode>(), Err(NotBindCode), "{bad}");
        }
    }
}
