//! Charging profiles, certificates, firmware, logs: answered as a charger answers them, with nothing behind the answer.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::answers::{connector, status, text};
use super::{Station, Timer};
use crate::message::Message;

/// Between two reports of progress.
const STEP: Duration = Duration::from_secs(1);
/// The most charging profiles, as `MaxChargingProfilesInstalled` says.
const MAX_PROFILES: usize = 20;
/// The most certificates.
const MAX_CERTIFICATES: usize = 20;

/// A charging profile with its connector.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    connector: u32,
    profile: Value,
}

/// An installed certificate.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    kind: String,
    data: HashData,
}

/// How OCPP names a certificate. A real charger takes these from inside the certificate; here they are digests of its
/// text, which serve the same purpose.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct HashData {
    hash_algorithm: &'static str,
    issuer_name_hash: String,
    issuer_key_hash: String,
    serial_number: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Schedule<'a> {
    status: &'static str,
    connector_id: u32,
    schedule_start: String,
    charging_schedule: ChargingSchedule<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargingSchedule<'a> {
    duration: i64,
    charging_rate_unit: &'a str,
    charging_schedule_period: Vec<Period>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Period {
    start_period: i64,
    limit: f64,
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Station {
    pub(super) fn set_profile(&mut self, payload: &Value) -> &'static str {
        let number = connector(payload);
        let profile = &payload["csChargingProfiles"];
        let purpose = text(profile, "chargingProfilePurpose");
        let running = self.connector(number).is_ok_and(|each| each.running.is_some());
        if number > self.model.connectors
            || (purpose == "ChargePointMaxProfile" && number != 0)
            || (purpose == "TxProfile" && !running)
        {
            return "Rejected";
        }
        if self.add_profile(number, profile.clone()) { "Accepted" } else { "Rejected" }
    }

    /// Adds a profile; it replaces one of the same id, or of the same level and purpose on the same connector.
    pub(super) fn add_profile(&mut self, connector: u32, profile: Value) -> bool {
        let same = |other: &Profile, member: &str| other.profile[member] == profile[member];
        self.profiles.retain(|other| {
            let replaced = same(other, "stackLevel") && same(other, "chargingProfilePurpose");
            !(same(other, "chargingProfileId") || (replaced && other.connector == connector))
        });
        let room = self.profiles.len() < MAX_PROFILES;
        if room {
            self.profiles.push(Profile { connector, profile });
        }
        room
    }

    pub(super) fn clear_profiles(&mut self, payload: &Value) -> &'static str {
        let before = self.profiles.len();
        let matches = |asked: &str, value: &Value| payload.get(asked).is_none_or(|asked| asked == value);
        self.profiles.retain(|each| {
            let member = |name: &str| &each.profile[name];
            !(matches("id", member("chargingProfileId"))
                && matches("connectorId", &each.connector.into())
                && matches("chargingProfilePurpose", member("chargingProfilePurpose"))
                && matches("stackLevel", member("stackLevel")))
        });
        if self.profiles.len() < before { "Accepted" } else { "Unknown" }
    }

    /// The profile of the highest level that is for this connector or for the charger; else its whole power.
    pub(super) fn composite_schedule(&mut self, payload: &Value, now: Instant) -> String {
        let number = connector(payload);
        if number > self.model.connectors {
            return status("Rejected");
        }
        let duration = payload["duration"].as_i64().unwrap_or_default();
        let valid = self.profiles.iter().filter(|each| each.connector == number || each.connector == 0);
        let highest = valid.max_by_key(|each| each.profile["stackLevel"].as_i64());
        let schedule = highest.map(|each| &each.profile["chargingSchedule"]);
        let periods = schedule.and_then(|schedule| schedule["chargingSchedulePeriod"].as_array());
        let periods = periods.into_iter().flatten().map(|period| Period {
            start_period: period["startPeriod"].as_i64().unwrap_or_default(),
            limit: period["limit"].as_f64().unwrap_or_default(),
        });
        let mut periods: Vec<Period> = periods.filter(|period| period.start_period < duration).collect();
        let unit = schedule.and_then(|schedule| schedule["chargingRateUnit"].as_str()).unwrap_or("W");
        if periods.is_empty() {
            periods.push(Period { start_period: 0, limit: self.model.power_w.into() });
        }
        let answer = Schedule {
            status: "Accepted",
            connector_id: number,
            schedule_start: self.clock.text(now),
            charging_schedule: ChargingSchedule {
                duration,
                charging_rate_unit: unit,
                charging_schedule_period: periods,
            },
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }

    pub(super) fn certificate_signed(&mut self, payload: &Value) -> &'static str {
        let pem = text(payload, "certificateChain").contains("-----BEGIN CERTIFICATE-----");
        if pem { "Accepted" } else { "Rejected" }
    }

    /// What SignCertificate carries. It is no real request: a charger that has a key sends its own.
    pub(super) fn csr(&self) -> String {
        "-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----\n".to_owned()
    }

    pub(super) fn install_certificate(&mut self, payload: &Value) -> &'static str {
        let pem = text(payload, "certificate");
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return "Rejected";
        }
        if self.certificates.len() >= MAX_CERTIFICATES {
            return "Failed";
        }
        let (name, key) = (digest(pem), digest(&format!("key of {pem}")));
        let serial_number = name[..16].to_owned();
        let data = HashData {
            hash_algorithm: "SHA256",
            issuer_name_hash: name,
            issuer_key_hash: key,
            serial_number,
        };
        let certificate = Certificate { kind: text(payload, "certificateType").to_owned(), data };
        self.certificates.retain(|other| other.data != certificate.data);
        self.certificates.push(certificate);
        "Accepted"
    }

    pub(super) fn delete_certificate(&mut self, payload: &Value) -> &'static str {
        let asked = &payload["certificateHashData"];
        let before = self.certificates.len();
        self.certificates.retain(|each| {
            text(asked, "serialNumber") != each.data.serial_number
                || text(asked, "issuerNameHash") != each.data.issuer_name_hash
        });
        if self.certificates.len() < before { "Accepted" } else { "NotFound" }
    }

    pub(super) fn certificate_ids(&self, payload: &Value) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Ids<'a> {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            certificate_hash_data: Vec<&'a HashData>,
            status: &'static str,
        }
        let asked = text(payload, "certificateType");
        let found = self.certificates.iter().filter(|each| each.kind == asked).map(|each| &each.data);
        let certificate_hash_data: Vec<_> = found.collect();
        let status = if certificate_hash_data.is_empty() { "NotFound" } else { "Accepted" };
        serde_json::to_string(&Ids { certificate_hash_data, status }).unwrap_or_default()
    }

    /// Reports each of these messages a step after the one before.
    fn report_in_steps(&mut self, messages: impl IntoIterator<Item = Message>, now: Instant) -> Instant {
        let mut at = now;
        for message in messages {
            at += STEP;
            self.at(at, Timer::Report(message));
        }
        at
    }

    pub(super) fn diagnostics(&mut self, now: Instant) -> String {
        let steps = ["Uploading", "Uploaded"].map(|status| Message::DiagnosticsStatusNotification { status });
        self.report_in_steps(steps, now);
        json!({ "fileName": "diagnostics.log" }).to_string()
    }

    pub(super) fn log(&mut self, payload: &Value, now: Instant) -> String {
        #[derive(Serialize)]
        struct Log {
            status: &'static str,
            filename: &'static str,
        }
        let request_id = payload["requestId"].as_i64().unwrap_or_default();
        let steps =
            ["Uploading", "Uploaded"].map(|status| Message::LogStatusNotification { status, request_id });
        self.report_in_steps(steps, now);
        serde_json::to_string(&Log { status: "Accepted", filename: "security.log" }).unwrap_or_default()
    }

    pub(super) fn update_firmware(&mut self, now: Instant) {
        let steps = ["Downloading", "Downloaded", "Installing", "Installed"];
        let end =
            self.report_in_steps(steps.map(|status| Message::FirmwareStatusNotification { status }), now);
        self.at(end + STEP, Timer::Restart);
    }

    pub(super) fn signed_update(&mut self, payload: &Value, now: Instant) -> &'static str {
        let firmware = &payload["firmware"];
        if !text(firmware, "signingCertificate").contains("-----BEGIN CERTIFICATE-----") {
            return "InvalidCertificate";
        }
        let request_id = payload["requestId"].as_i64().unwrap_or_default();
        let steps = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"];
        let steps = steps.map(|status| Message::SignedFirmwareStatusNotification { status, request_id });
        let end = self.report_in_steps(steps, now);
        self.at(end + STEP, Timer::Restart);
        "Accepted"
    }
}
