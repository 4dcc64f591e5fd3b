//! The settings in force, each with where its value came from.

use std::fmt;
use std::path::PathBuf;

use super::{Setting, Settings};

/// Where a value came from. A later one in this list takes precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing sets it.
    Default,
    /// `voltgate.toml`, or the file that `VOLTGATE_CONFIG` names.
    File(PathBuf),
    /// An environment variable of the setting's name.
    Environment,
    /// An option of the command, such as `--data`.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its name.
    pub name: &'static str,
    /// Its value, with secrets and passwords masked; empty if it has none.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl Settings {
    /// This setting as it is in force. An empty value counts as not set.
    pub fn effective(&self, setting: &Setting) -> Effective {
        let given = self.given.get(setting.name).filter(|_| self.is_given(setting));
        let origin = given.map_or(Origin::Default, |given| given.origin.clone());
        let value = if self.text(setting).is_empty() { String::new() } else { self.masked(setting) };
        Effective { name: setting.name, value, origin }
    }
}
