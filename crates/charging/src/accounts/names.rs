//! The names of accounts and people.

use unicode_normalization::UnicodeNormalization;

use crate::text::text;

text! {
    /// The name of an account: 3 to 64 visible characters without `@` and spaces. Upper and lower case are one.
    Username, "expected 3 to 64 visible characters, without `@` and spaces",
    [min_length = 3, max_length = 64, pattern = r"^[^\s@]+$", example = "ada"],
    |text| (3..=64).contains(&text.chars().count())
        && text.chars().chain(key(text).chars()).all(is_of_a_name)
        && (3..=128).contains(&key(text).chars().count())
}

text! {
    /// An address for mail.
    Email, "expected an address such as ada@example.com, of at most 254 characters",
    [min_length = 3, max_length = 254, format = "email", example = "ada@example.com"],
    |text| is_email(text)
}

text! {
    /// The name of a person or a company: 1 to 255 characters.
    PersonName, "expected 1 to 255 characters, without control characters or spaces at its ends",
    [min_length = 1, max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$", example = "Ada Lovelace"],
    |text| (1..=255).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

text! {
    /// A version of the terms of use: 1 to 64 visible characters of ASCII.
    TermsVersion, "expected 1 to 64 visible characters of ASCII",
    [min_length = 1, max_length = 64, pattern = "^[!-~]+$", example = "2027-01"],
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

text! {
    /// Why something was done, in the words of who did it: 1 to 500 characters.
    Reason, "expected 1 to 500 characters, without control characters",
    [min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "unpaid invoices"],
    |text| (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

impl Username {
    /// The name as it is compared.
    pub(crate) fn key(&self) -> String {
        key(self.as_str())
    }
}

impl Email {
    /// The address as it is compared: providers do not distinguish case.
    pub(crate) fn key(&self) -> String {
        key(self.as_str())
    }
}

/// A name or an address as it is compared, whether an account has it or not.
pub fn comparable(name: &str) -> String {
    key(name)
}

pub(super) fn key(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// A pattern for `LIKE … ESCAPE '!'`.
pub(crate) fn prefix_pattern(prefix: &str) -> String {
    let mut pattern = String::new();
    for one in key(prefix).chars().filter(|one| *one != '\0') {
        if matches!(one, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(one);
    }
    pattern.push('%');
    pattern
}

/// Characters that are not seen would make a name that looks like another's.
fn is_of_a_name(one: char) -> bool {
    let is_unseen = matches!(one, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    one != '@' && !one.is_whitespace() && !one.is_control() && !is_unseen
}

fn is_email(text: &str) -> bool {
    let is_plain = |one: char| !one.is_whitespace() && !one.is_control() && !r#"<>()[]\,;:"@"#.contains(one);
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let labels = || domain.split('.');
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && local.chars().all(is_plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && labels().all(|label| (1..=63).contains(&label.len()) && label.chars().all(is_label))
        && labels().all(|label| !label.starts_with('-') && !label.ends_with('-'))
}

fn is_label(one: char) -> bool {
    one.is_alphanumeric() || one == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_key() {
        let key = |text: &str| text.parse::<Username>().unwrap().key();
        assert_eq!(key("Ada"), key("ada"));
        assert_eq!(key("ａｄａ"), key("ada"));
        assert_ne!(key("ada"), key("adam"));
        let unseen = ["ad\u{200b}a", "\u{feff}ada", "ada\u{ad}", "ad\u{202e}a", "a\u{2060}da"];
        // Compatibility forms of `@` and of a letter with a space.
        let hidden = ["ada\u{ff20}b", "ada\u{fe6b}b", "ada\u{b4}"];
        let others = ["ad", "a b c", "a@b", "", &"a".repeat(65), "ab\u{7}c"];
        for bad in others.into_iter().chain(unseen).chain(hidden) {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_has_one_at_and_a_domain() {
        for good in ["a@b", "ada@example.com", "a+b@x-y.example", "jürgen@bücher.example"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b..c", "a@-b", "a\n@b", "<a@b>", ".a@b", "a@b."]
        {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(prefix_pattern("A%_!\0"), "a!%!_!!%");
    }
}
