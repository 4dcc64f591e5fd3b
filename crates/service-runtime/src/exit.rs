//! Exit codes for the supervisor that restarts the process (BSD `sysexits.h`).

use std::process::ExitCode;

use common::error_chain::{BoxError, chain};

use crate::metrics::InstallError;

/// A command was used wrongly, or a setting has a bad value. Restarting does not help.
pub const USAGE: u8 = 64;
/// A running system refused the request: the input is wrong.
pub const REFUSED: u8 = 65;
/// A dependency cannot be reached. Restarting later may help.
pub const UNAVAILABLE: u8 = 69;
/// The process could not continue, for instance because its port is taken or the broker never came back.
pub const SOFTWARE: u8 = 70;

/// Why a process ends on its own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting has a bad value.
    #[error(transparent)]
    Setting(#[from] crate::settings::SettingError),
    /// A dependency could not be reached at start, or was lost for good.
    #[error("{what} cannot be reached at {at}: {why}")]
    Unreachable {
        /// The dependency, as named in the settings table.
        what: &'static str,
        /// Its address, without any password.
        at: String,
        /// The cause.
        why: String,
    },
    /// A dependency is reachable but of a kind that cannot be used.
    #[error("{what} cannot be used at {at}: {why}")]
    Unusable {
        /// The dependency, as named in the settings table.
        what: &'static str,
        /// Its address, without any password.
        at: String,
        /// The cause.
        why: String,
    },
    /// A command was used wrongly.
    #[error("{0}")]
    Usage(String),
    /// A running system refused the request.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error(transparent)]
    Broken(BoxError),
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::broken(format!("the metrics cannot be set up: {error}"))
    }
}

impl Failure {
    /// Any other failure, with its cause.
    pub fn broken(why: impl Into<BoxError>) -> Self {
        Self::Broken(why.into())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Usage(_) => USAGE,
            Self::Unreachable { .. } | Self::Unusable { .. } => UNAVAILABLE,
            Self::Refused(_) => REFUSED,
            Self::Broken(_) => SOFTWARE,
        }
    }
}

/// The last line of every `main`: prints the reason to standard error and returns the code.
///
/// It does not use the log, because the log itself may have failed to start.
pub fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", chain(&failure));
            ExitCode::from(failure.code())
        }
    }
}
