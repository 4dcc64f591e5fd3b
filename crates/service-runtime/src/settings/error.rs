//! Errors of settings. They contain no word that may be a secret.

use crate::server_url::ServerUrlError;

/// The fault of a setting, and the expected value.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A value that cannot be used.
    #[error("setting {name}: `{value}` cannot be used; expected {expected}")]
    Bad {
        /// The setting.
        name: &'static str,
        /// Its value, masked if it is secret.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A URL that cannot be used.
    #[error("setting {name}: `{value}` cannot be used: {why}; expected {expected}")]
    Url {
        /// The setting.
        name: &'static str,
        /// Its value without a possible password.
        value: String,
        /// The URL's fault.
        why: ServerUrlError,
        /// What is expected.
        expected: &'static str,
    },
    /// The setting's value names something that cannot be used.
    #[error("setting {name}: {why}")]
    Unusable {
        /// The setting.
        name: &'static str,
        /// The thing named, and its fault.
        why: String,
    },
    /// A name in `voltgate.toml` that is not a setting.
    #[error("{file}: unknown setting `{name}`; docs/configure.md lists all settings")]
    Unknown {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// `voltgate.toml` or the environment cannot be read.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
}

impl From<config::ConfigError> for SettingError {
    /// Of a file that is not TOML only the position is named: the rest quotes the line, which may contain a password.
    fn from(error: config::ConfigError) -> Self {
        let place = error.to_string().lines().next().unwrap_or_default().to_owned();
        match error {
            config::ConfigError::FileParse { uri: Some(file), .. } => {
                Self::Unreadable(format!("{file}: {place}"))
            }
            _ => Self::Unreadable(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named_by_its_place_and_not_quoted() {
        let directory = tempfile::tempdir().unwrap();
        for text in [
            "redis_url = \"redis://:s3cret@host\n",
            "redis_url = redis://:s3cret@host",
            "s3cret",
            "a = \"s3cret\"\na = 1",
        ] {
            let file = directory.path().join("voltgate.toml");
            std::fs::write(&file, text).unwrap();
            let source = config::File::from(file).format(config::FileFormat::Toml);
            let error = config::Config::builder().add_source(source).build().unwrap_err();
            let said = SettingError::from(error).to_string();
            assert!(
                said.contains("voltgate.toml") && said.contains("line") && !said.contains("s3cret"),
                "{said}"
            );
        }
    }
}
