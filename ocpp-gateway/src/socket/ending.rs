//! Why a socket ends.

use actix_ws::CloseCode;

/// Why a socket ends. The words are those of metrics and of the charger's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    Lost,
    Silent,
    Superseded,
    Slow,
    Nonsense,
    TooLarge,
    /// Too many large frames arrive at once.
    NoRoom,
    NotText,
    Stopping,
    Removed,
}

impl Ending {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Superseded => "superseded",
            Self::Slow => "slow",
            Self::Nonsense => "nonsense",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::NotText => "not_text",
            Self::Stopping => "stopping",
            Self::Removed => "removed",
        }
    }

    /// The code to close with; `None` if the charger is not there to read it.
    pub(super) fn code(self) -> Option<CloseCode> {
        match self {
            Self::Lost | Self::Silent | Self::Slow => None,
            Self::Closed => Some(CloseCode::Normal),
            Self::Superseded | Self::Nonsense | Self::Removed => Some(CloseCode::Policy),
            Self::TooLarge => Some(CloseCode::Size),
            Self::NoRoom => Some(CloseCode::Again),
            Self::NotText => Some(CloseCode::Invalid),
            Self::Stopping => Some(CloseCode::Away),
        }
    }
}
