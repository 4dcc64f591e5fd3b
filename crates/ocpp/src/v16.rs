//! OCPP 1.6 (edition 2) with the security paper (edition 3): what chargers send, and how they are answered.

pub mod answers;
pub mod from_charger;
mod id_tag;
pub mod metering;
mod reader;
pub mod to_charger;
mod words;

pub use self::from_charger::Request;
pub use self::id_tag::{IdTag, masked};
pub use self::words::{
    ChargePointStatus, Context, DiagnosticsStatus, FirmwareStatus, LogStatus, Phase, SignedFirmwareStatus,
    StopReason,
};

/// The actions that 1.6 knows and a charger may not send, as they are ours.
pub const OURS: &[&str] = &[
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "InstallCertificate",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "SignedUpdateFirmware",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
];

/// The actions of a charger.
pub const THEIRS: &[&str] = &[
    "Authorize",
    "BootNotification",
    "DataTransfer",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
];

/// Whether 1.6 knows this action.
pub fn is_known(action: &str) -> bool {
    THEIRS.contains(&action) || OURS.contains(&action)
}
