//! The texts of locations and stations.

use crate::text::text;

text! {
    /// A name or a part of an address: 1 to 255 characters.
    Label, "expected 1 to 255 characters, without control characters or spaces at its ends",
    [min_length = 1, max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"],
    |text| (1..=255).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

text! {
    /// A country: ISO 3166-1, as OCPI with three letters, or with two.
    Country, "expected a country code of ISO 3166-1 with three or two capital letters, such as DEU",
    [pattern = "^[A-Z]{2,3}$", example = "DEU"],
    |text| (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

text! {
    /// The OCPP name of a charger, the last segment of its WebSocket URL: 1 to 48 characters without `:`, compared to the
    /// letter.
    ChargerName, "expected 1 to 48 characters without `:` and control characters",
    [min_length = 1, max_length = 48, example = "BER-0001"],
    |text| (1..=48).contains(&text.chars().count())
        && !text.contains(':') && !text.chars().any(char::is_control)
}
