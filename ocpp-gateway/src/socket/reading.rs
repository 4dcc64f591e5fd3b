//! Reads frames. Nothing that a call waits for keeps a socket from reading.

use std::time::Instant;

use ::metrics::counter;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError};
use charging::At;
use charging::chargers::messages::Direction;
use futures_util::StreamExt;
use ocpp::connection::Received;
use ocpp::v16::Request;
use ocpp::{Leniencies, frame};

use super::{Ending, Pending, Socket, within};
use crate::calls;
use crate::commands;
use crate::large_frames::{NO_ROOM, TOO_LARGE};
use crate::metrics::{CALLS, DROPPED, LENIENCIES};

impl Socket {
    pub(super) async fn read(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), Ending> {
        self.heard_at = Instant::now();
        if let Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Binary(_))) = message {
            self.large.extend(self.held.complete());
        }
        if let Some(Ok(AggregatedMessage::Ping(bytes) | AggregatedMessage::Pong(bytes))) = &message {
            self.held.control(bytes);
        }
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => self.received(&text).await,
            Some(Ok(AggregatedMessage::Ping(bytes))) => within(self.session.pong(&bytes)).await,
            Some(Ok(AggregatedMessage::Pong(_))) => {
                self.ponged = true;
                Ok(())
            }
            Some(Ok(AggregatedMessage::Binary(_))) => {
                counter!(DROPPED, "reason" => "binary").increment(1);
                Ok(())
            }
            Some(Ok(AggregatedMessage::Close(_))) => Err(Ending::Closed),
            Some(Err(ProtocolError::Overflow)) => Err(Ending::TooLarge),
            Some(Err(ProtocolError::Io(error))) => Err(match error.kind() {
                std::io::ErrorKind::Other => match error.to_string() {
                    text if text.contains("continuation size") || text.contains(TOO_LARGE) => {
                        Ending::TooLarge
                    }
                    text if text.contains(NO_ROOM) => Ending::NoRoom,
                    _ => Ending::Lost,
                },
                std::io::ErrorKind::InvalidData => Ending::NotText,
                _ => Ending::Lost,
            }),
            Some(Err(_)) => Err(Ending::Nonsense),
            None => Err(Ending::Lost),
        }
    }

    /// Takes what had arrived before the connection broke: the stream reports its end first.
    pub(super) async fn read_rest(&mut self, frames: &mut AggregatedMessageStream) {
        while let Some(Ok(message)) = frames.next().await {
            if let AggregatedMessage::Text(text) = message {
                // There is no one to answer, and nothing more to end.
                let _ = self.received(&text).await;
            }
        }
    }

    async fn received(&mut self, text: &str) -> Result<(), Ending> {
        let now = Instant::now();
        match self.connection.received(text, now) {
            Received::Call { id, action, payload } => {
                self.log(Direction::In, Some(&action), text);
                let pending = Pending { id, action, since: now };
                let offset = self.charger.clock_offset_minutes;
                match Request::read(&pending.action, payload, offset) {
                    Ok((request, leniencies)) => {
                        self.lenient(leniencies);
                        self.take_call(pending, request).await
                    }
                    Err(refusal) => {
                        let text = frame::error(&pending.id, &refusal, None);
                        self.answer(&pending, text, "refused").await
                    }
                }
            }
            Received::Again(answer) => {
                self.log(Direction::In, None, text);
                counter!(CALLS, "action" => "repeated", "result" => "repeated").increment(1);
                self.write(answer, None).await
            }
            Received::InFlight => {
                self.log(Direction::In, None, text);
                Ok(())
            }
            Received::Refuse(id, refusal) => {
                self.log(Direction::In, None, text);
                let answer = frame::error(&id, &refusal, None);
                self.write(answer, None).await
            }
            Received::Answered(id, answer) => {
                let out = self.out.take();
                self.log(Direction::In, out.as_ref().map(|(_, action)| action.as_str()), text);
                let command = out.filter(|(command, _)| command.to_string() == id.as_str());
                if let Some((command, _)) = command {
                    self.end_command(command, commands::end_of(answer));
                }
                Ok(())
            }
            Received::Late(id) => {
                self.log(Direction::In, None, text);
                counter!(DROPPED, "reason" => "late").increment(1);
                self.late_answer(&id, text);
                Ok(())
            }
            Received::Dropped(reason) => {
                self.log(Direction::In, None, text);
                counter!(DROPPED, "reason" => reason.to_string()).increment(1);
                Ok(())
            }
            Received::Close(_) => Err(Ending::Nonsense),
        }
    }

    /// A heartbeat overtakes what waits; everything else is carried out in its order.
    async fn take_call(&mut self, pending: Pending, request: Request) -> Result<(), Ending> {
        if matches!(request, Request::Heartbeat) {
            let text = match calls::unaccepted(self.charger.registration, &request) {
                Some(refusal) => frame::error(&pending.id, &refusal, None),
                None => calls::heartbeat(&pending.id),
            };
            return self.answer(&pending, text, "answered").await;
        }
        if let Some(at) = moment(&request) {
            self.observed.clock_skew_ms = Some(at - At::now().millis());
        }
        self.queue.push_back((pending, request));
        Ok(())
    }

    fn lenient(&mut self, leniencies: Leniencies) {
        for kind in leniencies.iter() {
            counter!(LENIENCIES, "kind" => kind.as_str()).increment(1);
            *self.observed.leniencies.entry(kind.as_str().to_owned()).or_default() += 1;
        }
    }
}

/// The charger's own moment in a request that is sent when it happens.
fn moment(request: &Request) -> Option<i64> {
    match request {
        Request::StatusNotification(status) => status.at.map(ocpp::Timestamp::millis),
        _ => None,
    }
}
