//! Texts with limits.

/// A text that is parsed by `$parse`, kept as text in JSON and in the database.
macro_rules! text {
    ($(#[$attribute:meta])* $name:ident, $error:literal, [$($schema:tt)*], |$text:ident| $good:expr) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, $($schema)*)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let $text = text;
                if $good { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text! {
    /// A name or a part of an address: 1 to 255 characters.
    Label, "expected 1 to 255 characters, without control characters or spaces at its ends",
    [min_length = 1, max_length = 255, pattern = r"^\S(.*\S)?$"],
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
