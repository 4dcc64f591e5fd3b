//! What people do at a charger: plug, tap, unplug; and the transactions that follow.

use tokio::time::Instant;

use serde_json::Value;

use super::{Station, Timer};
use crate::clock::Meter;
use crate::event::Event;
use crate::message::{Message, MeterValue};
use crate::misbehaviour::Misbehaviour;
use crate::outbox::{Entry, Key, Purpose};

/// The CALLs of a flood.
const FLOOD: usize = 64;

/// A transaction that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) key: Key,
    pub(super) id_tag: String,
}

/// A reservation of a connector.
#[derive(Debug, Clone)]
pub(super) struct Reservation {
    pub(super) id: i64,
    pub(super) id_tag: String,
}

/// A connector.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) number: u32,
    pub(super) status: &'static str,
    pub(super) error: String,
    pub(super) plugged: bool,
    /// A tag that was accepted before the cable was plugged in.
    pub(super) authorized: Option<String>,
    pub(super) running: Option<Running>,
    pub(super) operative: bool,
    pub(super) reservation: Option<Reservation>,
    pub(super) meter: Meter,
}

impl Connector {
    pub(super) fn new(number: u32, now: Instant, wh: u32, speed: u32) -> Self {
        Self {
            number,
            status: "Available",
            error: "NoError".to_owned(),
            plugged: false,
            authorized: None,
            running: None,
            operative: true,
            reservation: None,
            meter: Meter::at(now, wh, speed),
        }
    }

    /// The status without a transaction.
    fn resting(&self) -> &'static str {
        match () {
            () if self.error != "NoError" => "Faulted",
            () if !self.operative => "Unavailable",
            () if self.plugged || self.authorized.is_some() => "Preparing",
            () if self.reservation.is_some() => "Reserved",
            () => "Available",
        }
    }
}

/// Why something cannot be done at a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPossible {
    /// There is no such connector.
    #[error("there is no such connector")]
    NoConnector,
    /// A car is plugged in already.
    #[error("a car is plugged in already")]
    PluggedIn,
    /// No car is plugged in.
    #[error("no car is plugged in")]
    NotPluggedIn,
    /// Another driver charges here.
    #[error("another driver charges here")]
    Occupied,
    /// It is faulted or out of service.
    #[error("it is faulted or out of service")]
    OutOfService,
}

impl Station {
    pub(super) fn connector(&mut self, number: u32) -> Result<&mut Connector, NotPossible> {
        let index = (number as usize).checked_sub(1).ok_or(NotPossible::NoConnector)?;
        self.connectors.get_mut(index).ok_or(NotPossible::NoConnector)
    }

    /// Plugs a car in.
    ///
    /// # Errors
    /// Returns an error where a car is plugged in already.
    pub fn plug(&mut self, number: u32, now: Instant) -> Result<(), NotPossible> {
        let connector = self.connector(number)?;
        if std::mem::replace(&mut connector.plugged, true) {
            return Err(NotPossible::PluggedIn);
        }
        let status = connector.resting();
        let authorized = connector.authorized.take();
        self.timers.retain(|(_, timer)| *timer != Timer::PlugTimeout { connector: number });
        self.set_status(number, status, now);
        if let Some(id_tag) = authorized.filter(|_| status == "Preparing") {
            self.begin(number, id_tag, now);
        }
        Ok(())
    }

    /// Holds a card to the reader: asks for it, then starts; or stops the transaction of the same card.
    ///
    /// # Errors
    /// Returns an error where another driver charges, or the connector is out of service.
    pub fn tap(&mut self, number: u32, id_tag: &str, now: Instant) -> Result<(), NotPossible> {
        let connector = self.connector(number)?;
        if let Some(running) = &connector.running {
            if !running.id_tag.eq_ignore_ascii_case(id_tag) {
                return Err(NotPossible::Occupied);
            }
            self.stop(number, "Local", Some(id_tag.to_owned()), now);
            return Ok(());
        }
        if connector.error != "NoError" || !connector.operative {
            return Err(NotPossible::OutOfService);
        }
        let id_tag = id_tag.to_owned();
        if self.online && self.accepted {
            let message = Message::Authorize { id_tag: id_tag.clone() };
            self.push(message, Purpose::Tap { connector: number, id_tag });
        } else {
            self.decide_offline(number, id_tag, now);
        }
        Ok(())
    }

    /// Unplugs the car; a running transaction stops.
    ///
    /// # Errors
    /// Returns an error where no car is plugged in.
    pub fn unplug(&mut self, number: u32, now: Instant) -> Result<(), NotPossible> {
        let connector = self.connector(number)?;
        if !std::mem::replace(&mut connector.plugged, false) {
            return Err(NotPossible::NotPluggedIn);
        }
        if connector.running.is_some() {
            self.stop(number, "EVDisconnected", None, now);
        }
        self.rest(number, now);
        Ok(())
    }

    /// Sets or, with `NoError`, clears a fault. A transaction stops with it.
    ///
    /// # Errors
    /// Returns an error where there is no such connector.
    pub fn fault(&mut self, number: u32, code: &str, now: Instant) -> Result<(), NotPossible> {
        code.clone_into(&mut self.connector(number)?.error);
        if self.connector(number)?.running.is_some() && code != "NoError" {
            self.stop(number, "Other", None, now);
        }
        if self.connector(number)?.running.is_none() {
            self.rest(number, now);
        }
        Ok(())
    }

    /// The register in Wh, the power in W and the status of a connector, and the id of its transaction once it has one.
    ///
    /// # Errors
    /// Returns an error where there is no such connector.
    pub fn reading(&mut self, number: u32, now: Instant) -> Result<Reading, NotPossible> {
        let connector = self.connector(number)?;
        let (energy_wh, power_w) = (connector.meter.wh(now), connector.meter.power_w());
        let (status, plugged, running) = (connector.status, connector.plugged, connector.running.clone());
        let transaction_id = running.as_ref().and_then(|running| self.outbox.id_of(running.key));
        Ok(Reading { energy_wh, power_w, status, plugged, charging: running.is_some(), transaction_id })
    }

    pub(super) fn rest(&mut self, number: u32, now: Instant) {
        let Ok(status) = self.connector(number).map(|connector| connector.resting()) else { return };
        self.set_status(number, status, now);
    }

    pub(super) fn set_status(&mut self, number: u32, status: &'static str, now: Instant) {
        let Ok(connector) = self.connector(number) else { return };
        connector.status = status;
        self.events.push(Event::Status { connector: number, status });
        self.report_status(number, now);
    }

    /// Sends the status of a connector, 0 being the charger itself. Without a connection it is sent after the next one.
    pub(super) fn report_status(&mut self, number: u32, now: Instant) {
        let (status, error_code) = match self.connector(number) {
            Ok(connector) => (connector.status, connector.error.clone()),
            Err(_) => ("Available", "NoError".to_owned()),
        };
        if self.online && self.accepted {
            let timestamp = self.clock.text(now);
            self.send(Message::StatusNotification { connector_id: number, error_code, status, timestamp });
        }
    }

    pub(super) fn report_all_statuses(&mut self, now: Instant) {
        for number in 0..=self.model.connectors {
            self.report_status(number, now);
        }
    }

    pub(super) fn tapped(&mut self, connector: u32, status: String) {
        self.events.push(Event::Tapped { connector, status });
    }

    pub(super) fn authorized(&mut self, number: u32, id_tag: &str, status: &str, now: Instant) {
        self.cache.insert(id_tag.to_ascii_uppercase(), status == "Accepted");
        self.tapped(number, status.to_owned());
        if status == "Accepted" {
            self.admit(number, id_tag.to_owned(), now);
        }
    }

    /// Decides without the central system: by the local list, the cache, or the setting for unknown tags.
    pub(super) fn decide_offline(&mut self, number: u32, id_tag: String, now: Instant) {
        let known = self.local_list.accepts(&id_tag, self.clock.time(now));
        let known = known.or_else(|| self.cache.get(&id_tag.to_ascii_uppercase()).copied());
        let known = known.filter(|_| self.configuration.flag("LocalAuthorizeOffline"));
        let admitted = known.unwrap_or_else(|| self.configuration.flag("AllowOfflineTxForUnknownId"));
        self.tapped(number, if admitted { "Offline" } else { "Refused offline" }.to_owned());
        if admitted {
            self.admit(number, id_tag, now);
        }
    }

    /// The driver may charge: at once if the cable is plugged in.
    pub(super) fn admit(&mut self, number: u32, id_tag: String, now: Instant) {
        let limit = self.configuration.seconds("ConnectionTimeOut");
        let Ok(connector) = self.connector(number) else { return };
        if connector.running.is_some() {
            return;
        }
        if connector.plugged {
            return self.begin(number, id_tag, now);
        }
        connector.authorized = Some(id_tag);
        self.rest(number, now);
        if let Some(limit) = limit {
            self.at(now + limit, Timer::PlugTimeout { connector: number });
        }
    }

    pub(super) fn plug_timed_out(&mut self, number: u32, now: Instant) {
        if self.connector(number).is_ok_and(|connector| connector.authorized.take().is_some()) {
            self.rest(number, now);
        }
    }

    fn begin(&mut self, number: u32, id_tag: String, now: Instant) {
        self.transactions += 1;
        let (key, timestamp, power) = (Key(self.transactions), self.clock.text(now), self.model.power_w);
        let Ok(connector) = self.connector(number) else { return };
        connector.running = Some(Running { key, id_tag: id_tag.clone() });
        connector.meter.draw(now, power);
        let meter_start = connector.meter.wh(now);
        let reserved = connector.reservation.take_if(|held| held.id_tag.eq_ignore_ascii_case(&id_tag));
        let reservation_id = reserved.map(|held| held.id);
        let start = Message::StartTransaction {
            connector_id: number,
            id_tag,
            meter_start,
            reservation_id,
            timestamp,
        };
        self.push(start, Purpose::Transaction(key));
        self.set_status(number, "Charging", now);
        self.pace_samples(number, now);
        self.begin_flood();
    }

    pub(super) fn begin_flood(&mut self) {
        if self.misbehaves(Misbehaviour::Flood) {
            self.flood = FLOOD;
        }
    }

    fn pace_samples(&mut self, number: u32, now: Instant) {
        if let Some(interval) = self.configuration.seconds("MeterValueSampleInterval") {
            self.at(now + interval / self.model.speed.max(1), Timer::Sample { connector: number });
        }
    }

    pub(super) fn sample(&mut self, number: u32, now: Instant) {
        if self.connector(number).is_ok_and(|connector| connector.running.is_some()) {
            self.report_meter(number, "Sample.Periodic", now);
            self.pace_samples(number, now);
        }
    }

    /// Sends the meter values of a connector, as part of its transaction if one runs.
    pub(super) fn report_meter(&mut self, number: u32, context: &'static str, now: Instant) {
        let timestamp = self.clock.text(now);
        let Ok(connector) = self.connector(number) else { return };
        let value = MeterValue::of(timestamp, connector.meter.wh(now), connector.meter.power_w(), context);
        let purpose = connector.running.as_ref().map(|running| Purpose::Transaction(running.key));
        let meter_value = vec![value];
        let message = Message::MeterValues { connector_id: number, transaction_id: None, meter_value };
        self.push(message, purpose.unwrap_or(Purpose::Plain));
    }

    /// Stops the transaction of a connector, if one runs.
    pub(super) fn stop(&mut self, number: u32, reason: &'static str, id_tag: Option<String>, now: Instant) {
        let timestamp = self.clock.text(now);
        let Ok(connector) = self.connector(number) else { return };
        let Some(Running { key, .. }) = connector.running.take() else { return };
        connector.meter.draw(now, 0);
        let meter_stop = connector.meter.wh(now);
        let faulted = connector.error != "NoError";
        self.timers.retain(|(_, timer)| *timer != Timer::Sample { connector: number });
        let stop = Message::StopTransaction { id_tag, meter_stop, timestamp, transaction_id: -1, reason };
        self.push(stop, Purpose::Transaction(key));
        self.set_status(number, if faulted { "Faulted" } else { "Finishing" }, now);
    }

    pub(super) fn stop_all(&mut self, reason: &'static str, now: Instant) {
        (1..=self.model.connectors).for_each(|number| self.stop(number, reason, None, now));
    }

    pub(super) fn transaction_answered(&mut self, key: Key, entry: &Entry, payload: &Value, now: Instant) {
        match &entry.message {
            Message::StartTransaction { connector_id, id_tag, .. } => {
                let transaction_id = payload["transactionId"].as_i64().unwrap_or(-1);
                self.outbox.named(key, transaction_id);
                self.events.push(Event::Started { connector: *connector_id, transaction_id });
                if self.misbehaves(Misbehaviour::DuplicateStart) {
                    self.push(entry.message.clone(), Purpose::Duplicate(transaction_id));
                }
                let accepted = payload["idTagInfo"]["status"] == "Accepted";
                self.cache.insert(id_tag.to_ascii_uppercase(), accepted);
                let running = self.connector(*connector_id).is_ok_and(|connector| {
                    connector.running.as_ref().is_some_and(|running| running.key == key)
                });
                if running && !accepted && self.configuration.flag("StopTransactionOnInvalidId") {
                    self.stop(*connector_id, "DeAuthorized", None, now);
                }
            }
            Message::StopTransaction { meter_stop, transaction_id, .. } => {
                self.outbox.forget(key);
                let (transaction_id, meter_stop) = (*transaction_id, *meter_stop);
                self.events.push(Event::Stopped { transaction_id, meter_stop });
            }
            _ => {}
        }
    }
}

/// What can be read off a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The register in Wh.
    pub energy_wh: i64,
    /// The power in W.
    pub power_w: u32,
    /// The status of OCPP.
    pub status: &'static str,
    /// Whether a car is plugged in.
    pub plugged: bool,
    /// Whether a transaction runs.
    pub charging: bool,
    /// The id that the central system answered to its start.
    pub transaction_id: Option<i64>,
}
