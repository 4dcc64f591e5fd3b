//! Exit codes that mean something to whoever restarts the process (BSD `sysexits.h`).

use std::process::ExitCode;

/// A command was used wrongly, or a setting has a bad value. Restarting does not help.
pub const USAGE: u8 = 64;
/// What was asked of a running system was refused: the input is wrong.
pub const REFUSED: u8 = 65;
/// A dependency cannot be reached. Restarting later may help.
pub const UNAVAILABLE: u8 = 69;
/// The process could not go on, for instance because its port is taken or the broker never came back.
pub const SOFTWARE: u8 = 70;

/// Why a process ends without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting has a bad value.
    #[error(transparent)]
    Setting(#[from] crate::settings::SettingError),
    /// A dependency could not be reached at start, or was lost for good.
    #[error("{what} cannot be reached at {at}: {why}")]
    Unreachable {
        /// The dependency, as the settings table calls it.
        what: &'static str,
        /// Where it was looked for, without any password.
        at: String,
        /// The cause.
        why: String,
    },
    /// A dependency is there and is of a kind that cannot be used.
    #[error("{what} cannot be used at {at}: {why}")]
    Unusable {
        /// The dependency, as the settings table calls it.
        what: &'static str,
        /// Where it was looked for, without any password.
        at: String,
        /// The cause.
        why: String,
    },
    /// A command was used wrongly.
    #[error("{0}")]
    Usage(String),
    /// A running system refused what it was asked.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// The code to exit with.
    pub fn code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Usage(_) => USAGE,
            Self::Unreachable { .. } | Self::Unusable { .. } => UNAVAILABLE,
            Self::Refused(_) => REFUSED,
            Self::Broken(_) => SOFTWARE,
        }
    }
}

/// The last line of every `main`: says why on standard error and gives the code.
///
/// Standard error and not the log, because the log may be what could not be set up.
pub fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
