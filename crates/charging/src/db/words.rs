//! Enums that are a word in JSON, in the documents and in the database.

/// An enum whose variants are written as these words everywhere.
macro_rules! words {
    ($(#[$attribute:meta])* $visibility:vis enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:tt,)* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        $visibility enum $name { $($(#[$about])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|word| word.as_str() == text);
                found.ok_or_else(|| format!("expected one of {}", [$($word),*].join(", ")))
            }
        }

        impl<D: sqlx::Database> sqlx::Type<D> for $name where str: sqlx::Type<D> {
            fn type_info() -> D::TypeInfo {
                <str as sqlx::Type<D>>::type_info()
            }

            fn compatible(other: &D::TypeInfo) -> bool {
                <str as sqlx::Type<D>>::compatible(other)
            }
        }

        impl<'q, D: sqlx::Database> sqlx::Encode<'q, D> for $name where &'static str: sqlx::Encode<'q, D> {
            fn encode_by_ref(
                &self,
                buffer: &mut <D as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&'static str as sqlx::Encode<'q, D>>::encode_by_ref(&self.as_str(), buffer)
            }
        }

        impl<'r, D: sqlx::Database> sqlx::Decode<'r, D> for $name where &'r str: sqlx::Decode<'r, D> {
            fn decode(value: <D as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(<&'r str as sqlx::Decode<'r, D>>::decode(value)?.parse()?)
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::PartialSchema;

    use crate::stations::connectors::Access;

    #[test]
    fn the_schema_has_the_words_that_json_has() {
        let schema = serde_json::to_value(Access::schema()).unwrap();
        assert_eq!(schema["enum"], json!(["public", "list"]));
        assert_eq!(json!(Access::ALL), schema["enum"]);
    }
}
