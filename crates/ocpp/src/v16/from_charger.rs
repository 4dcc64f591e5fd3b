//! The requests of a charger. StartTransaction and StopTransaction are never refused for what is wrong within them: a charger
//! repeats what is refused for ever, and blocks its queue behind it.

use serde_json::{Map, Value};

use super::metering::{MeterValue, meter_values};
use super::reader::Reader;
use super::words::{
    ChargePointStatus, DiagnosticsStatus, FirmwareStatus, LogStatus, SignedFirmwareStatus, StopReason,
};
use super::{IdTag, OURS};
use crate::call::Refusal;
use crate::{ErrorCode, Leniencies, Timestamp};

/// How long a CSR may be (security paper, section 5.15).
const MAX_CSR: usize = 5500;

/// A request of a charger.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The charger has started.
    BootNotification(Boot),
    /// The charger is alive.
    Heartbeat,
    /// May this driver charge?
    Authorize(IdTag),
    /// A transaction has begun.
    StartTransaction(Start),
    /// A transaction has ended.
    StopTransaction(Stop),
    /// The meter was read.
    MeterValues(Metering),
    /// The status of a connector, or of the charger.
    StatusNotification(Status),
    /// Something between a vendor and an operator.
    DataTransfer(VendorData),
    /// How an upload of diagnostics goes.
    DiagnosticsStatusNotification(DiagnosticsStatus),
    /// How an update of the firmware goes.
    FirmwareStatusNotification(FirmwareStatus),
    /// Something about security has happened.
    SecurityEventNotification(SecurityEvent),
    /// The charger asks for a certificate.
    SignCertificate(String),
    /// How an upload of a log goes, and of which request.
    LogStatusNotification(LogStatus, Option<i32>),
    /// How a signed update of the firmware goes, and of which request.
    SignedFirmwareStatusNotification(SignedFirmwareStatus, Option<i32>),
}

/// What a charger says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the members are those of OCPP 1.6, section 6.7")]
pub struct Boot {
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub charge_point_serial: Option<String>,
    pub charge_box_serial: Option<String>,
    pub firmware: Option<String>,
    pub iccid: Option<String>,
    pub imsi: Option<String>,
    pub meter_type: Option<String>,
    pub meter_serial: Option<String>,
}

/// The start of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// The connector.
    pub connector: Option<i64>,
    /// Who started it.
    pub id_tag: Option<IdTag>,
    /// The register at the start, in Wh.
    pub meter_start: Option<i32>,
    /// The reservation that it uses up.
    pub reservation_id: Option<i32>,
    /// When it began, by the charger's clock.
    pub at: Option<Timestamp>,
    /// What could not be understood. The start is stored all the same, and answered `Invalid`.
    pub faults: Vec<Refusal>,
}

/// The end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stop {
    /// The id that we gave it; -1 or garbage where the answer to the start was lost.
    pub transaction_id: Option<i32>,
    /// Who stopped it.
    pub id_tag: Option<IdTag>,
    /// The register at the end, in Wh.
    pub meter_stop: Option<i32>,
    /// When it ended, by the charger's clock.
    pub at: Option<Timestamp>,
    /// Why it ended; `Local` where the charger does not say.
    pub reason: Option<StopReason>,
    /// A reason that is none of the standard's.
    pub other_reason: Option<String>,
    /// Readings of the transaction.
    pub readings: Vec<MeterValue>,
    /// What could not be understood. The stop is stored all the same.
    pub faults: Vec<Refusal>,
}

/// Readings of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metering {
    /// The connector; 0 is the charger's own meter.
    pub connector: i64,
    /// The transaction that they belong to.
    pub transaction_id: Option<i32>,
    /// The readings.
    pub values: Vec<MeterValue>,
}

/// The status of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The connector; 0 is the charger.
    pub connector: i64,
    /// The status.
    pub status: ChargePointStatus,
    /// The error, in the standard's words or the charger's; `None` for `NoError`.
    pub error_code: Option<String>,
    /// What the charger adds.
    pub info: Option<String>,
    /// When it was so, by the charger's clock.
    pub at: Option<Timestamp>,
    /// The vendor that the next one is of.
    pub vendor_id: Option<String>,
    /// The vendor's own error.
    pub vendor_error_code: Option<String>,
}

/// Data of a vendor. It is carried as a text, as clients rewrite the names of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorData {
    /// The vendor.
    pub vendor_id: String,
    /// The kind of message.
    pub message_id: Option<String>,
    /// The data.
    pub data: Option<String>,
}

/// Something about security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// What happened; types that the standard does not list are taken.
    pub kind: String,
    /// When, by the charger's clock.
    pub at: Option<Timestamp>,
    /// What the charger adds.
    pub detail: Option<String>,
}

impl Request {
    /// Reads a request. `clock_offset_minutes` is how far a charger is ahead of UTC that sends times without an offset.
    ///
    /// # Errors
    /// Returns the refusal to answer with if it cannot be understood.
    pub fn read(
        action: &str,
        payload: Map<String, Value>,
        clock_offset_minutes: i64,
    ) -> Result<(Self, Leniencies), Refusal> {
        let mut reader = Reader::new(payload, clock_offset_minutes);
        let request = Self::of_action(action, &mut reader)?;
        Ok((request, reader.finish()))
    }

    fn of_action(action: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        Ok(match action {
            "BootNotification" => Self::BootNotification(boot(reader)?),
            "Heartbeat" => Self::Heartbeat,
            "Authorize" => {
                let tag = reader.id_tag("idTag")?;
                Self::Authorize(reader.required("idTag", tag)?)
            }
            "StartTransaction" => Self::StartTransaction(start(reader)),
            "StopTransaction" => Self::StopTransaction(stop(reader)),
            "MeterValues" => {
                let connector = reader.connector("connectorId")?;
                Self::MeterValues(Metering {
                    connector: reader.required("connectorId", connector)?,
                    transaction_id: reader.id("transactionId")?,
                    values: meter_values(reader, "meterValue")?,
                })
            }
            "StatusNotification" => Self::StatusNotification(status(reader)?),
            "DataTransfer" => {
                let vendor_id = reader.text("vendorId", 255)?;
                Self::DataTransfer(VendorData {
                    vendor_id: reader.required("vendorId", vendor_id)?,
                    message_id: reader.text("messageId", 50)?,
                    data: reader.any("data"),
                })
            }
            "DiagnosticsStatusNotification" => {
                let status = reader.known_word("status", DiagnosticsStatus::read)?;
                Self::DiagnosticsStatusNotification(reader.required("status", status)?)
            }
            "FirmwareStatusNotification" => {
                let status = reader.known_word("status", FirmwareStatus::read)?;
                Self::FirmwareStatusNotification(reader.required("status", status)?)
            }
            "SecurityEventNotification" => {
                let kind = reader.text("type", 50)?;
                Self::SecurityEventNotification(SecurityEvent {
                    kind: reader.required("type", kind)?,
                    at: reader.timestamp("timestamp")?,
                    detail: reader.text("techInfo", 255)?,
                })
            }
            "SignCertificate" => {
                let csr = reader.text("csr", MAX_CSR)?;
                Self::SignCertificate(reader.required("csr", csr)?)
            }
            "LogStatusNotification" => {
                let status = reader.known_word("status", LogStatus::read)?;
                Self::LogStatusNotification(reader.required("status", status)?, reader.integer("requestId")?)
            }
            "SignedFirmwareStatusNotification" => {
                let status = reader.known_word("status", SignedFirmwareStatus::read)?;
                let status = reader.required("status", status)?;
                Self::SignedFirmwareStatusNotification(status, reader.integer("requestId")?)
            }
            action if OURS.contains(&action) => {
                return Err(Refusal::new(ErrorCode::NotSupported, "this action is for chargers"));
            }
            _ => return Err(Refusal::new(ErrorCode::NotImplemented, "1.6 has no such action")),
        })
    }
}

fn boot(reader: &mut Reader) -> Result<Boot, Refusal> {
    Ok(Boot {
        vendor: reader.text("chargePointVendor", 20)?,
        model: reader.text("chargePointModel", 20)?,
        charge_point_serial: reader.text("chargePointSerialNumber", 25)?,
        charge_box_serial: reader.text("chargeBoxSerialNumber", 25)?,
        firmware: reader.text("firmwareVersion", 50)?,
        iccid: reader.text("iccid", 20)?,
        imsi: reader.text("imsi", 20)?,
        meter_type: reader.text("meterType", 25)?,
        meter_serial: reader.text("meterSerialNumber", 25)?,
    })
}

/// Reads members one by one: one that is at fault leaves the others.
fn start(reader: &mut Reader) -> Start {
    let mut faults = Vec::new();
    let connector = noted(&mut faults, present(reader, "connectorId", Reader::connector));
    let id_tag = noted(&mut faults, present(reader, "idTag", Reader::id_tag));
    let meter_start = noted(&mut faults, present(reader, "meterStart", Reader::integer));
    let at = noted(&mut faults, present(reader, "timestamp", Reader::timestamp));
    let reservation_id = noted(&mut faults, reader.id("reservationId"));
    Start { connector, id_tag, meter_start, reservation_id, at, faults }
}

fn stop(reader: &mut Reader) -> Stop {
    let mut faults = Vec::new();
    let transaction_id = noted(&mut faults, present(reader, "transactionId", Reader::integer));
    let id_tag = noted(&mut faults, reader.id_tag("idTag"));
    let meter_stop = noted(&mut faults, present(reader, "meterStop", Reader::integer));
    let at = noted(&mut faults, present(reader, "timestamp", Reader::timestamp));
    let (reason, other_reason) = match noted(&mut faults, reader.word("reason", StopReason::read)) {
        Some(Ok(reason)) => (Some(reason), None),
        Some(Err(text)) => (Some(StopReason::Other), Some(text)),
        None => (None, None),
    };
    let readings = match meter_values(reader, "transactionData") {
        Ok(readings) => readings,
        Err(fault) => {
            faults.push(fault);
            Vec::new()
        }
    };
    Stop { transaction_id, id_tag, meter_stop, at, reason, other_reason, readings, faults }
}

fn status(reader: &mut Reader) -> Result<Status, Refusal> {
    let connector = reader.connector("connectorId")?;
    let status = reader.known_word("status", ChargePointStatus::read)?;
    let (connector, status) =
        (reader.required("connectorId", connector)?, reader.required("status", status)?);
    Ok(Status {
        connector,
        status,
        error_code: reader.text("errorCode", 50)?.filter(|code| code != "NoError"),
        info: reader.text("info", 50)?,
        at: reader.timestamp("timestamp")?,
        vendor_id: reader.text("vendorId", 255)?,
        vendor_error_code: reader.text("vendorErrorCode", 50)?,
    })
}

fn present<T>(
    reader: &mut Reader,
    name: &str,
    read: impl Fn(&mut Reader, &str) -> Result<Option<T>, Refusal>,
) -> Result<Option<T>, Refusal> {
    let value = read(reader, name)?;
    reader.required(name, value).map(Some)
}

fn noted<T>(faults: &mut Vec<Refusal>, read: Result<Option<T>, Refusal>) -> Option<T> {
    read.unwrap_or_else(|fault| {
        faults.push(fault);
        None
    })
}

#[cfg(test)]
mod tests;
