//! Security events that chargers report (security paper, section 3). They stand in the audit trail.

use serde_json::json;
use uuid::Uuid;

use super::happened;
use crate::accounts::audit::{self, Act};
use crate::db::{DbError, Tx};
use crate::stations::charging_stations;

/// The events that the security paper calls critical (section 3, table 11).
const CRITICAL: &[&str] = &[
    "FirmwareUpdated",
    "SettingSystemTime",
    "StartupOfTheDevice",
    "ResetOrReboot",
    "SecurityLogWasCleared",
    "MemoryExhaustion",
    "TamperDetectionActivated",
    "InvalidFirmwareSignature",
    "InvalidFirmwareSigningCertificate",
    "InvalidCentralSystemCertificate",
    "InvalidChargePointCertificate",
];

/// Records an event. Types that the paper does not list are taken too.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(tx: &mut Tx, station: Uuid, kind: &str, detail: Option<&str>) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    let is_critical = CRITICAL.contains(&kind);
    let plain = |text: &str| text.replace('\0', "");
    let data = json!({"type": plain(kind), "detail": detail.map(plain), "critical": is_critical});
    let act = Act {
        actor: "charger",
        action: "charger.security_event",
        subject: "station",
        subject_id: station,
        reason: None,
        data: data.clone(),
    };
    audit::write(tx, &act).await?;
    let more = json!({"security_event": data["type"], "critical": is_critical});
    happened(tx, "charger.security_event", station, location, more).await
}
