//! Booting, heartbeats, and whatever else happens at its time.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Reset, Station, Timer};
use crate::event::Event;
use crate::message::Message;

/// The wait before the next boot if the central system names none.
pub(super) const BOOT_RETRY: Duration = Duration::from_secs(60);

impl Station {
    pub(super) fn booted(&mut self, payload: &Value, now: Instant) {
        let registration = payload["status"].as_str().unwrap_or_default().to_owned();
        let interval = u32::try_from(payload["interval"].as_i64().unwrap_or(0)).unwrap_or(0);
        self.accepted = registration == "Accepted";
        self.events.push(Event::Booted { registration });
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Boot | Timer::Heartbeat));
        if self.accepted {
            if interval > 0 {
                self.configuration.set("HeartbeatInterval", &interval.to_string());
            }
            self.pace_heartbeats(now);
            self.report_all_statuses(now);
            self.begin_flood();
        } else {
            let wait = if interval > 0 { Duration::from_secs(interval.into()) } else { BOOT_RETRY };
            self.at(now + wait, Timer::Boot);
        }
    }

    pub(super) fn pace_heartbeats(&mut self, now: Instant) {
        self.timers.retain(|(_, timer)| *timer != Timer::Heartbeat);
        if let Some(interval) = self.configuration.seconds("HeartbeatInterval") {
            self.at(now + interval, Timer::Heartbeat);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        self.timers.iter().map(|(at, _)| *at).chain(self.outbox.wake()).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        let timers = std::mem::take(&mut self.timers);
        let (due, later): (Vec<_>, Vec<_>) = timers.into_iter().partition(|(at, _)| *at <= now);
        self.timers = later;
        for (_, timer) in due {
            match timer {
                Timer::Boot => self.boot(),
                Timer::Heartbeat => {
                    if self.online {
                        self.send(Message::Heartbeat {});
                    }
                    self.pace_heartbeats(now);
                }
                Timer::Sample { connector } => self.sample(connector, now),
                Timer::PlugTimeout { connector } => self.plug_timed_out(connector, now),
                Timer::Report(message) => self.send(message),
                Timer::Restart => {
                    self.stop_all("Reboot", now);
                    self.reset = Some(Reset::Soft);
                }
                Timer::ReservationEnd { id } => drop(self.end_reservation(id, now)),
            }
        }
    }

    pub(super) fn boot(&mut self) {
        let id = self.new_id();
        let message = Message::BootNotification {
            charge_point_model: "Simulator".to_owned(),
            charge_point_serial_number: self.name.chars().take(25).collect(),
            charge_point_vendor: "Voltgate".to_owned(),
            firmware_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.outbox.push_boot(id, message);
    }
}
