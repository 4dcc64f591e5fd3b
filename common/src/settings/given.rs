//! Values that need not be set.

use super::{Setting, SettingError, Settings};

impl Settings {
    /// The value as whatever it parses into; nothing where nothing is set.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn optional<T: std::str::FromStr>(&self, setting: &Setting) -> Result<Option<T>, SettingError> {
        let given = self.is_given(setting).then(|| self.parse_with(setting, |text| text.parse().ok()));
        given.transpose()
    }

    /// What is in the file that the setting names; nothing where none is set.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&self, setting: &Setting) -> Result<Option<Vec<u8>>, SettingError> {
        let read = |text: &str| std::fs::read(text).ok();
        self.is_given(setting).then(|| self.parse_with(setting, read)).transpose()
    }
}
