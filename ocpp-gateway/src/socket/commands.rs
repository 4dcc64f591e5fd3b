//! Sends commands, one at a time, and ends them.

use std::sync::Arc;
use std::time::Instant;

use actix_web::rt;
use charging::chargers::Registration;
use charging::chargers::commands::{self as stored, CommandState, End};
use charging::chargers::connections::{self, Known};
use ocpp::MessageId;
use ocpp::connection::Outgoing;
use ocpp::v16::to_charger::{MessageTrigger, TriggerMessage};
use uuid::Uuid;

use super::{CLOSE_LIMIT, Ending, SETTLED_AFTER, Socket};
use crate::commands;
use crate::sockets::Word;

const MAX_WAITING: usize = 64;

impl Socket {
    pub(super) async fn hear(&mut self, word: Word) -> Result<(), Ending> {
        match word {
            Word::Command(id) => {
                let is_known =
                    self.waiting.contains(&id) || self.out.as_ref().is_some_and(|(out, _)| *out == id);
                if is_known {
                    return Ok(());
                }
                if self.waiting.len() >= MAX_WAITING {
                    let why = "too many commands wait for this charger";
                    self.end_command(id, End::without_answer(CommandState::Busy, why));
                    return Ok(());
                }
                self.settled |= self.connected_at.elapsed() > SETTLED_AFTER;
                self.waiting.push_back(id);
                Ok(())
            }
            Word::Changed => self.look_again().await,
        }
    }

    /// An operator has changed something of the charger.
    async fn look_again(&mut self) -> Result<(), Ending> {
        let station = self.charger.station;
        let name = Arc::clone(&self.charger.name);
        let found = self.node.db.read(async |tx| connections::known(tx, &name).await).await;
        // While the database is away, what is known stays.
        let Ok(found) = found else { return Ok(()) };
        // It was removed, renamed or disabled.
        let known = found.filter(|known| known.station_id == station && known.terms.enabled);
        let Some(Known { terms: row, .. }) = known else { return Err(Ending::Removed) };
        let before = std::mem::replace(&mut self.charger.registration, row.registration);
        if before != Registration::Accepted && row.registration == Registration::Accepted {
            self.ask_to_boot().await;
        }
        self.charger.clock_offset_minutes = row.clock_offset_minutes;
        Ok(())
    }

    /// A charger that is accepted now would otherwise wait for its next boot.
    async fn ask_to_boot(&self) {
        let requested_message = MessageTrigger::BootNotification;
        let trigger = TriggerMessage { requested_message, connector_id: None };
        commands::request(&self.node, &self.charger, &trigger).await;
    }

    /// Commands that were requested while the charger was away.
    pub(super) async fn look_for_commands(&mut self) {
        let station = self.charger.station;
        let limit = i64::try_from(MAX_WAITING).unwrap_or(i64::MAX);
        let found = self.node.db.read(async move |tx| stored::queued_for(tx, station, limit).await);
        if let Ok(Ok(found)) = tokio::time::timeout(CLOSE_LIMIT, found).await {
            for command in found {
                if !self.waiting.contains(&command.id) {
                    self.waiting.push_back(command.id);
                }
            }
        }
    }

    pub(super) async fn send_command(
        &mut self,
        taken: Option<(Uuid, String, Outgoing)>,
    ) -> Result<(), Ending> {
        self.taking = None;
        let Some((command, action, outgoing)) = taken else { return Ok(()) };
        if self.connection.send(outgoing).is_err() {
            let why = "too many commands wait for this charger";
            self.end_command(command, End::without_answer(CommandState::Busy, why));
            return Ok(());
        }
        self.out = Some((command, action.clone()));
        match self.connection.next(Instant::now()) {
            Some(outgoing) => self.write(outgoing.text, Some(&action)).await,
            None => Ok(()),
        }
    }

    pub(super) fn end_command(&self, id: Uuid, how: End) {
        rt::spawn(self.node.tasks.track_future(commands::end(self.node.db.clone(), id, how)));
    }

    pub(super) fn late_answer(&mut self, id: &MessageId, text: &str) {
        let Some(command) = id.as_str().parse().ok().filter(|id| self.late.remove(id)) else { return };
        if let Ok(ocpp::Frame::Result { payload, .. }) = ocpp::Frame::parse(text) {
            rt::spawn(self.node.tasks.track_future(commands::late(self.node.db.clone(), command, payload)));
        }
    }
}
