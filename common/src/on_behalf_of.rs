//! The person or program for whom a service calls another one, for the audit trail.

use std::fmt;
use std::str::FromStr;

/// The header with an [`OnBehalfOf`].
pub const HEADER: &str = "x-on-behalf-of";

const MAX: usize = 100;

/// 1 to 100 visible characters of ASCII, without spaces, such as `user:` and an id. The caller vouches for it: it grants
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalfOf(String);

/// The text is of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX} visible characters of ASCII, without spaces")]
pub struct MalformedOnBehalfOf;

impl OnBehalfOf {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OnBehalfOf {
    type Err = MalformedOnBehalfOf;

    fn from_str(text: &str) -> Result<Self, MalformedOnBehalfOf> {
        let fits = (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(MalformedOnBehalfOf) }
    }
}

impl fmt::Display for OnBehalfOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_ascii_of_at_most_a_hundred_characters_is_taken() {
        for text in ["u", "user:0190b6f4-9b1c-7e55-8a6e-2f1f6a1f9c11", &"~".repeat(100)] {
            assert_eq!(text.parse::<OnBehalfOf>().unwrap().as_str(), text);
        }
        for text in ["", " ", "a b", "a\t", "a\n", "ü", "\u{7f}", &"x".repeat(101)] {
            assert_eq!(text.parse::<OnBehalfOf>(), Err(MalformedOnBehalfOf), "{text:?}");
        }
    }
}
