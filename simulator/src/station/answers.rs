//! How a charger answers the CALLs of the central system, of OCPP 1.6 and of the security paper.

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::sessions::Reservation;
use super::{Answer, Reset, Station};
use crate::event::Event;
use crate::message::Message;
use crate::shape;

/// What a central system may not ask of a charger, although OCPP knows it.
const OF_CHARGERS: &[&str] = &[
    "Authorize",
    "BootNotification",
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

pub(super) fn status(word: &str) -> String {
    json!({ "status": word }).to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KnownKeys<'a> {
    configuration_key: Vec<KnownKey<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_key: Vec<&'a str>,
}

#[derive(Serialize)]
struct KnownKey<'a> {
    key: &'a str,
    readonly: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl Station {
    /// Answers a CALL. One that departs from its schema is recorded, and refused with the error code of OCPP.
    pub fn answer(&mut self, action: &str, payload: &Value, now: Instant) -> Answer {
        if let Err(violation) = shape::check_call(action, payload) {
            let code = if OF_CHARGERS.contains(&action) { "NotSupported" } else { violation.code() };
            self.note(Event::Violation { action: action.to_owned(), what: violation.to_string() });
            return Err((code, violation.to_string()));
        }
        Ok(match action {
            "CancelReservation" => status(self.cancel_reservation(payload, now)),
            "CertificateSigned" => status(self.certificate_signed(payload)),
            "ChangeAvailability" => status(self.change_availability(payload, now)),
            "ChangeConfiguration" => status(self.change_configuration(payload, now)),
            "ClearCache" => {
                self.cache.clear();
                status("Accepted")
            }
            "ClearChargingProfile" => status(self.clear_profiles(payload)),
            "DataTransfer" => status("UnknownVendorId"),
            "DeleteCertificate" => status(self.delete_certificate(payload)),
            "TriggerMessage" | "ExtendedTriggerMessage" => status(self.trigger(payload, now)),
            "GetCompositeSchedule" => self.composite_schedule(payload, now),
            "GetConfiguration" => self.known_keys(payload),
            "GetDiagnostics" => self.diagnostics(now),
            "GetInstalledCertificateIds" => self.certificate_ids(payload),
            "GetLocalListVersion" => json!({ "listVersion": self.local_list.version() }).to_string(),
            "GetLog" => self.log(payload, now),
            "InstallCertificate" => status(self.install_certificate(payload)),
            "RemoteStartTransaction" => status(self.remote_start(payload, now)),
            "RemoteStopTransaction" => status(self.remote_stop(payload, now)),
            "ReserveNow" => status(self.reserve(payload, now)),
            "Reset" => status(self.accept_reset(payload, now)),
            "SendLocalList" => status(self.local_list.change(payload)),
            "SetChargingProfile" => status(self.set_profile(payload)),
            "SignedUpdateFirmware" => status(self.signed_update(payload, now)),
            "UnlockConnector" => status(self.unlock(payload, now)),
            "UpdateFirmware" => {
                self.update_firmware(now);
                "{}".to_owned()
            }
            _ => return Err(("NotImplemented", format!("there is no action {action}"))),
        })
    }

    fn known_keys(&self, payload: &Value) -> String {
        let keys: Vec<&str> =
            payload["key"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (rows, unknown_key) = self.configuration.rows(&keys);
        let configuration_key =
            rows.into_iter().map(|(key, readonly, value)| KnownKey { key, readonly, value });
        let known = KnownKeys { configuration_key: configuration_key.collect(), unknown_key };
        serde_json::to_string(&known).unwrap_or_default()
    }

    fn change_configuration(&mut self, payload: &Value, now: Instant) -> &'static str {
        let (key, value) = (text(payload, "key"), text(payload, "value"));
        let change = self.configuration.change(key, value);
        if key.eq_ignore_ascii_case("HeartbeatInterval") {
            self.pace_heartbeats(now);
        }
        change.word()
    }

    fn change_availability(&mut self, payload: &Value, now: Instant) -> &'static str {
        let operative = text(payload, "type") == "Operative";
        let number = connector(payload);
        let numbers = if number == 0 { 1..=self.model.connectors } else { number..=number };
        let mut answer = "Accepted";
        for number in numbers {
            let Ok(connector) = self.connector(number) else { return "Rejected" };
            connector.operative = operative;
            if connector.running.is_some() {
                answer = if operative { answer } else { "Scheduled" };
            } else {
                self.rest(number, now);
            }
        }
        answer
    }

    fn remote_start(&mut self, payload: &Value, now: Instant) -> &'static str {
        let id_tag = text(payload, "idTag").to_owned();
        let asked = payload.get("connectorId").map(|_| connector(payload));
        let free = (1..=self.model.connectors).find(|number| {
            asked.is_none_or(|asked| asked == *number)
                && self.connector(*number).is_ok_and(|each| {
                    each.running.is_none()
                        && each.operative
                        && each.error == "NoError"
                        && each.authorized.is_none()
                })
        });
        let Some(number) = free else { return "Rejected" };
        let held = self.connector(number).ok().and_then(|each| each.reservation.clone());
        if held.is_some_and(|held| !held.id_tag.eq_ignore_ascii_case(&id_tag)) {
            return "Rejected";
        }
        if let Some(profile) = payload.get("chargingProfile") {
            self.add_profile(number, profile.clone());
        }
        if self.configuration.flag("AuthorizeRemoteTxRequests") {
            let _ = self.tap(number, &id_tag, now);
        } else {
            self.admit(number, id_tag, now);
        }
        "Accepted"
    }

    fn remote_stop(&mut self, payload: &Value, now: Instant) -> &'static str {
        let id = payload["transactionId"].as_i64();
        let outbox = &self.outbox;
        let mut running =
            self.connectors.iter().filter_map(|each| Some((each.number, each.running.as_ref()?)));
        let found = running.find(|(_, running)| id.is_some() && outbox.id_of(running.key) == id);
        let Some((number, _)) = found else { return "Rejected" };
        self.stop(number, "Remote", None, now);
        "Accepted"
    }

    fn unlock(&mut self, payload: &Value, now: Instant) -> &'static str {
        let number = connector(payload);
        if self.connector(number).is_err() {
            return "NotSupported";
        }
        self.stop(number, "UnlockCommand", None, now);
        "Unlocked"
    }

    fn accept_reset(&mut self, payload: &Value, now: Instant) -> &'static str {
        let hard = text(payload, "type") == "Hard";
        self.stop_all(if hard { "HardReset" } else { "SoftReset" }, now);
        self.reset = Some(if hard { Reset::Hard } else { Reset::Soft });
        "Accepted"
    }

    fn reserve(&mut self, payload: &Value, now: Instant) -> &'static str {
        let (number, id) = (connector(payload), payload["reservationId"].as_i64().unwrap_or_default());
        let number = if number == 0 { 1 } else { number };
        let Some(until) = super::date(&payload["expiryDate"]) else { return "Rejected" };
        let Ok(connector) = self.connector(number) else { return "Rejected" };
        if connector.error != "NoError" {
            return "Faulted";
        }
        if !connector.operative {
            return "Unavailable";
        }
        let another = connector.reservation.as_ref().is_some_and(|held| held.id != id);
        if connector.running.is_some() || connector.plugged || another {
            return "Occupied";
        }
        connector.reservation = Some(Reservation { id, id_tag: text(payload, "idTag").to_owned() });
        self.rest(number, now);
        let wait = until - self.clock.time(now);
        let wait = wait.try_into().unwrap_or_default();
        if let Some(end) = now.checked_add(wait) {
            self.at(end, super::Timer::ReservationEnd { id });
        }
        "Accepted"
    }

    fn cancel_reservation(&mut self, payload: &Value, now: Instant) -> &'static str {
        let ended = self.end_reservation(payload["reservationId"].as_i64().unwrap_or_default(), now);
        if ended { "Accepted" } else { "Rejected" }
    }

    /// Ends a reservation; whether there was one.
    pub(super) fn end_reservation(&mut self, id: i64, now: Instant) -> bool {
        let found = self.connectors.iter_mut().find_map(|each| {
            each.reservation.take_if(|held| held.id == id).map(|_| (each.number, each.running.is_none()))
        });
        if let Some((number, true)) = found {
            self.rest(number, now);
        }
        found.is_some()
    }

    fn trigger(&mut self, payload: &Value, now: Instant) -> &'static str {
        let number = payload.get("connectorId").map(|_| connector(payload));
        if number.is_some_and(|number| number > self.model.connectors) {
            return "Rejected";
        }
        let numbers = number.map_or(0..=self.model.connectors, |number| number..=number);
        match text(payload, "requestedMessage") {
            "BootNotification" => self.boot(),
            "Heartbeat" => self.send(Message::Heartbeat {}),
            "StatusNotification" => numbers.for_each(|number| self.report_status(number, now)),
            "MeterValues" => {
                numbers
                    .filter(|number| *number > 0)
                    .for_each(|number| self.report_meter(number, "Trigger", now));
            }
            "DiagnosticsStatusNotification" => {
                self.send(Message::DiagnosticsStatusNotification { status: "Idle" });
            }
            "FirmwareStatusNotification" => {
                self.send(Message::FirmwareStatusNotification { status: "Idle" });
            }
            "LogStatusNotification" => {
                self.send(Message::LogStatusNotification { status: "Idle", request_id: 0 });
            }
            "SignChargePointCertificate" => self.send(Message::SignCertificate { csr: self.csr() }),
            _ => return "NotImplemented",
        }
        "Accepted"
    }
}

pub(super) fn text<'a>(payload: &'a Value, member: &str) -> &'a str {
    payload[member].as_str().unwrap_or_default()
}

/// The connector of a CALL; one that cannot be is none of ours.
pub(super) fn connector(payload: &Value) -> u32 {
    payload["connectorId"].as_i64().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)
}
