//! The CALLs of a charger. Their members are written in the order of the schemas, absent ones are left out.

use serde::Serialize;

/// What a charger sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are those of OCPP 1.6 and of the security paper")]
#[serde(rename_all_fields = "camelCase")]
pub enum Message {
    Authorize {
        id_tag: String,
    },
    BootNotification {
        charge_point_model: String,
        charge_point_serial_number: String,
        charge_point_vendor: String,
        firmware_version: String,
    },
    DataTransfer {
        vendor_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    DiagnosticsStatusNotification {
        status: &'static str,
    },
    FirmwareStatusNotification {
        status: &'static str,
    },
    Heartbeat {},
    LogStatusNotification {
        status: &'static str,
        request_id: i64,
    },
    MeterValues {
        connector_id: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        transaction_id: Option<i64>,
        meter_value: Vec<MeterValue>,
    },
    SecurityEventNotification {
        #[serde(rename = "type")]
        kind: String,
        timestamp: String,
    },
    SignCertificate {
        csr: String,
    },
    SignedFirmwareStatusNotification {
        status: &'static str,
        request_id: i64,
    },
    StartTransaction {
        connector_id: u32,
        id_tag: String,
        meter_start: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reservation_id: Option<i64>,
        timestamp: String,
    },
    StatusNotification {
        connector_id: u32,
        error_code: String,
        status: &'static str,
        timestamp: String,
    },
    StopTransaction {
        #[serde(skip_serializing_if = "Option::is_none")]
        id_tag: Option<String>,
        meter_stop: i64,
        timestamp: String,
        transaction_id: i64,
        reason: &'static str,
    },
}

/// Samples of one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of OCPP 1.6")]
pub struct MeterValue {
    pub timestamp: String,
    pub sampled_value: Vec<SampledValue>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are those of OCPP 1.6")]
pub struct SampledValue {
    pub value: String,
    pub context: &'static str,
    pub measurand: &'static str,
    pub unit: &'static str,
}

impl Message {
    /// The action's name on the wire.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Authorize { .. } => "Authorize",
            Self::BootNotification { .. } => "BootNotification",
            Self::DataTransfer { .. } => "DataTransfer",
            Self::DiagnosticsStatusNotification { .. } => "DiagnosticsStatusNotification",
            Self::FirmwareStatusNotification { .. } => "FirmwareStatusNotification",
            Self::Heartbeat {} => "Heartbeat",
            Self::LogStatusNotification { .. } => "LogStatusNotification",
            Self::MeterValues { .. } => "MeterValues",
            Self::SecurityEventNotification { .. } => "SecurityEventNotification",
            Self::SignCertificate { .. } => "SignCertificate",
            Self::SignedFirmwareStatusNotification { .. } => "SignedFirmwareStatusNotification",
            Self::StartTransaction { .. } => "StartTransaction",
            Self::StatusNotification { .. } => "StatusNotification",
            Self::StopTransaction { .. } => "StopTransaction",
        }
    }

    /// The payload as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers only: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl MeterValue {
    /// The register in Wh and the power in W.
    #[must_use]
    pub fn of(timestamp: String, energy_wh: i64, power_w: u32, context: &'static str) -> Self {
        let sample =
            |value: i64, measurand, unit| SampledValue { value: value.to_string(), context, measurand, unit };
        let energy = sample(energy_wh, "Energy.Active.Import.Register", "Wh");
        Self { timestamp, sampled_value: vec![energy, sample(power_w.into(), "Power.Active.Import", "W")] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_the_schema_and_absent_ones_are_left_out() {
        let stop = Message::StopTransaction {
            id_tag: None,
            meter_stop: 1500,
            timestamp: "2026-11-29T03:00:00.000Z".to_owned(),
            transaction_id: 7,
            reason: "Local",
        };
        let expected =
            r#"{"meterStop":1500,"timestamp":"2026-11-29T03:00:00.000Z","transactionId":7,"reason":"Local"}"#;
        assert_eq!(stop.to_json(), expected);
        assert_eq!(Message::Heartbeat {}.to_json(), "{}");
    }
}
