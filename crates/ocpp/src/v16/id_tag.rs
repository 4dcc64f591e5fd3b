//! Id tags: what a driver presents to a charger. They are personal data, and are masked wherever they are shown.

use std::fmt;

/// The longest id tag (OCPP 1.6, section 7.27).
const MAX: usize = 20;
/// How much of a masked text is shown, if it is long enough.
const SHOWN: usize = 4;
const SHORT: usize = 12;

/// An id tag: 1 to 20 characters, compared without case. `Debug` masks it.
#[derive(Clone)]
pub struct IdTag(String);

impl IdTag {
    /// The tag with this text; `None` if it is empty or too long.
    pub fn new(text: &str) -> Option<Self> {
        (1..=MAX).contains(&text.chars().count()).then(|| Self(text.to_owned()))
    }

    /// The text, as it was presented first.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The tag as it is stored and compared.
    pub fn key(&self) -> String {
        self.0.to_uppercase()
    }

    /// The tag as it may be shown: its first four characters, or none of a short one.
    pub fn masked(&self) -> String {
        masked(&self.0)
    }
}

/// A secret text as it may be shown: its first four characters, or none of a short one.
pub fn masked(text: &str) -> String {
    match text.chars().count() {
        count if count < SHORT => "…".to_owned(),
        _ => text.chars().take(SHOWN).chain(['…']).collect(),
    }
}

impl PartialEq for IdTag {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for IdTag {}

impl fmt::Debug for IdTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdTag({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_case_and_masked() {
        let tag = |text: &str| IdTag::new(text).unwrap();
        assert_eq!(tag("04a2b3c4"), tag("04A2B3C4"));
        assert_eq!(format!("{:?}", tag("04A2B3C4")), "IdTag(…)");
        assert_eq!(tag("04A2B3C4D5E6F7").masked(), "04A2…");
        assert!(IdTag::new("").is_none() && IdTag::new(&"a".repeat(21)).is_none());
        assert!(IdTag::new(&"ä".repeat(20)).is_some());
    }
}
