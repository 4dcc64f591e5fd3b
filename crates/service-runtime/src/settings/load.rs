//! Reads the settings: `voltgate.toml`, then the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Given, NAMES, Origin, Setting, SettingError, Settings};

impl Settings {
    /// Reads `voltgate.toml` in the working directory (or the file that `VOLTGATE_CONFIG` names) and the environment.
    ///
    /// # Errors
    /// Returns an error if the file is not TOML, or contains an unknown setting.
    pub fn load(rows: &[&[Setting]]) -> Result<Self, SettingError> {
        let row = |name: &str| rows.iter().copied().flatten().find(|row| row.name.eq_ignore_ascii_case(name));
        let named = std::env::var_os("VOLTGATE_CONFIG").map(PathBuf::from);
        let file = named.clone().unwrap_or_else(|| PathBuf::from("voltgate.toml"));
        let from_file = config::Config::builder()
            .add_source(
                config::File::from(file.clone()).format(config::FileFormat::Toml).required(named.is_some()),
            )
            .build()?;
        let mut given = BTreeMap::new();
        for (key, value) in from_file.cache.clone().into_table()? {
            match row(&key) {
                Some(row) => {
                    let origin = Origin::File(file.clone());
                    given.insert(row.name, Given { setting: *row, value: text_of(value)?, origin });
                }
                // Another service's.
                None if NAMES.iter().any(|name| name.eq_ignore_ascii_case(&key)) => {}
                None => return Err(SettingError::Unknown { file: file.display().to_string(), name: key }),
            }
        }
        let from_env = config::Config::builder().add_source(environment(rows)).build()?;
        for row in rows.iter().copied().flatten() {
            if let Ok(value) = from_env.get_string(&row.name.to_lowercase()) {
                given.insert(row.name, Given { setting: *row, value, origin: Origin::Environment });
            }
        }
        Ok(Self { given })
    }
}

/// Voltgate's own names only: other variables are unrelated and need not even be text.
fn environment(rows: &[&[Setting]]) -> config::Environment {
    let named = rows
        .iter()
        .copied()
        .flatten()
        .filter_map(|setting| Some((setting.name, std::env::var_os(setting.name)?)));
    let ours = named.map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()));
    config::Environment::default().source(Some(ours.collect()))
}

/// A list in the file equals its items joined by commas.
fn text_of(value: config::Value) -> Result<String, config::ConfigError> {
    match value.kind {
        config::ValueKind::Array(items) => {
            let items: Result<Vec<_>, _> = items.into_iter().map(config::Value::into_string).collect();
            Ok(items?.join(","))
        }
        _ => value.into_string(),
    }
}
