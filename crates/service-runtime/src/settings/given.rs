//! Optional settings.

use super::{Setting, SettingError, Settings};

impl Settings {
    /// The parsed value; `None` if the setting is not set.
    ///
    /// # Errors
    /// Returns an error if the value cannot be parsed.
    pub fn optional<T: std::str::FromStr>(&self, setting: &Setting) -> Result<Option<T>, SettingError> {
        let given = self.is_given(setting).then(|| self.parse_with(setting, |text| text.parse().ok()));
        given.transpose()
    }

    /// The content of the file that the setting names; `None` if the setting is not set.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn file(&self, setting: &Setting) -> Result<Option<Vec<u8>>, SettingError> {
        let read = |text: &str| std::fs::read(text).ok();
        self.is_given(setting).then(|| self.parse_with(setting, read)).transpose()
    }
}
