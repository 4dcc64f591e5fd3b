//! The settings part of a service's `--help`.

use super::Setting;

/// How a service is configured, and the settings that most installations have to decide.
pub fn help(matter_most: &[&Setting]) -> String {
    let head = "Settings come from the defaults, then voltgate.toml in the working directory (or the file named by \
                VOLTGATE_CONFIG), then the environment. `voltgate settings` prints all of them. These matter most:\n";
    matter_most.iter().fold(head.to_owned(), |text, Setting { name, default, about, .. }| {
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        format!("{text}\n  {name}\n          {about}{default}")
    })
}
