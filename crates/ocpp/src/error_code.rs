//! The codes of CALLERROR (OCPP-J 1.6, section 4.2.3), in their exact spellings. 2.x spells two of them otherwise, and chargers
//! repeat a message for ever if they do not know the code (citrineos-core#1050, ocpp-go#331).

use std::fmt;

/// Why a CALL was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 1.6 does not know the action.
    NotImplemented,
    /// The action is known, and is not for the receiver.
    NotSupported,
    /// The receiver failed.
    InternalError,
    /// The payload is incomplete.
    ProtocolError,
    /// The message is not allowed at present.
    SecurityError,
    /// The frame has too few or too many elements.
    FormationViolation,
    /// A value is too long, or is none of those allowed.
    PropertyConstraintViolation,
    /// A member is missing. The spelling is that of 1.6.
    OccurenceConstraintViolation,
    /// A member has another type.
    TypeConstraintViolation,
    /// Anything else.
    GenericError,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NotImplemented,
        Self::NotSupported,
        Self::InternalError,
        Self::ProtocolError,
        Self::SecurityError,
        Self::FormationViolation,
        Self::PropertyConstraintViolation,
        Self::OccurenceConstraintViolation,
        Self::TypeConstraintViolation,
        Self::GenericError,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::InternalError => "InternalError",
            Self::ProtocolError => "ProtocolError",
            Self::SecurityError => "SecurityError",
            Self::FormationViolation => "FormationViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::OccurenceConstraintViolation => "OccurenceConstraintViolation",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
            Self::GenericError => "GenericError",
        }
    }

    /// The code that a charger sent, in the spellings of 1.6 and of 2.x. An unknown one is a [`Self::GenericError`]: all of
    /// them mean that the charger cannot.
    pub fn received(text: &str) -> Self {
        match text {
            "FormatViolation" => Self::FormationViolation,
            "OccurrenceConstraintViolation" => Self::OccurenceConstraintViolation,
            "RpcFrameworkError" | "MessageTypeNotSupported" => Self::ProtocolError,
            text => Self::ALL.into_iter().find(|code| code.as_str() == text).unwrap_or(Self::GenericError),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_read_in_both_spellings() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::received(code.as_str()), code);
        }
        assert_eq!(ErrorCode::received("FormatViolation"), ErrorCode::FormationViolation);
        assert_eq!(
            ErrorCode::received("OccurrenceConstraintViolation"),
            ErrorCode::OccurenceConstraintViolation
        );
        assert_eq!(ErrorCode::received("Nonsense"), ErrorCode::GenericError);
    }
}
