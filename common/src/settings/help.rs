//! What `--help` of a service says of its settings.

use super::Setting;

/// How a service is configured, and those of its settings that most installations have to decide.
pub fn help(matter_most: &[&Setting]) -> String {
    let head = "It is configured by settings: defaults, then voltgate.toml of the working directory (another file with \
                VOLTGATE_CONFIG), then the environment. `voltgate settings` prints all of them. These matter most:\n";
    matter_most.iter().fold(head.to_owned(), |text, Setting { name, default, about, .. }| {
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        format!("{text}\n  {name}\n          {about}{default}")
    })
}
