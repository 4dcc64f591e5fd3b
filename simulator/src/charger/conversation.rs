//! One connection of a charger, from the open WebSocket to its end.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message as WebSocketMessage;

use super::{Life, Request, until};
use crate::event::Event;
use crate::frame::{self, Frame};
use crate::link::Link;
use crate::misbehaviour::{Misbehaviour, distorted};
use crate::station::Reset;

/// Time limit of writing a message.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Time limit of a closing handshake.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long a soft reset waits for the answers.
const RESET_LIMIT: Duration = Duration::from_secs(10);
/// One in this number of transaction messages is cut off.
const CUT_ONE_IN: u32 = 4;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    #[error("closed by the central system{0}")]
    Closed(String),
    #[error("lost: {0}")]
    Lost(String),
    #[error("cut by the charger")]
    Cut,
    #[error("closed for a restart")]
    Restart,
    #[error("switched off")]
    Stopped,
}

pub(super) struct Conversation<'a> {
    life: &'a mut Life,
    link: Link,
    /// The id of the CALL that is out, with when it was sent.
    out: Option<(String, Instant)>,
    /// The ids of a flood.
    flood: HashSet<String>,
    /// Answers that are held back.
    late: VecDeque<(Instant, String)>,
    next_ping: Option<Instant>,
    reset_since: Option<Instant>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(life: &'a mut Life, mut link: Link) -> Self {
        if life.station.misbehaves(Misbehaviour::NoPong) {
            link.get_mut().withhold_pongs();
        }
        Self {
            life,
            link,
            out: None,
            flood: HashSet::new(),
            late: VecDeque::new(),
            next_ping: None,
            reset_since: None,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let end = self.talk().await.err().unwrap_or(End::Stopped);
        match end {
            End::Cut => self.link.get_mut().abort(),
            End::Restart | End::Stopped => drop(timeout(CLOSE_LIMIT, self.link.close(None)).await),
            End::Closed(_) | End::Lost(_) => {}
        }
        end
    }

    async fn talk(&mut self) -> Result<(), End> {
        let stop = self.life.stop.clone();
        loop {
            self.send_what_is_due().await?;
            self.life.publish(true);
            self.reset_if_asked_for()?;
            let half_open =
                self.life.station.misbehaves(Misbehaviour::HalfOpen) && self.life.station.is_accepted();
            let wake = self.wake();
            tokio::select! {
                message = self.link.next(), if !half_open => self.take(message).await?,
                request = self.life.requests.recv() => match request {
                    Some(Request::Use(act)) => act(&mut self.life.station, Instant::now()),
                    Some(Request::Cut) => return Err(End::Cut),
                    None => return Ok(()),
                },
                () = until(wake) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        let deadline = self.out.as_ref().map(|(_, sent)| *sent + self.life.settings.answer_limit);
        let late = self.late.front().map(|(at, _)| *at);
        let reset = self.reset_since.map(|since| since + RESET_LIMIT);
        [self.life.station.wake(), deadline, late, self.next_ping, reset].into_iter().flatten().min()
    }

    async fn send_what_is_due(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.life.station.tick(now);
        if let Some((id, sent)) = &self.out
            && now >= *sent + self.life.settings.answer_limit
        {
            self.life.station.timed_out(id, now);
            self.out = None;
        }
        while self.late.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, text)) = self.late.pop_front() else { break };
            self.write(text).await?;
        }
        if let Some((id, action, payload)) = self.life.station.next_call(now) {
            self.out = Some((id.clone(), now));
            self.call(&id, action, payload).await?;
            let of_transaction = matches!(action, "StartTransaction" | "StopTransaction" | "MeterValues");
            let station = &mut self.life.station;
            if of_transaction && station.misbehaves(Misbehaviour::Cut) && station.dice(CUT_ONE_IN) == 0 {
                return Err(End::Cut);
            }
        }
        for _ in 0..self.life.station.take_flood() {
            let id = self.life.station.new_id();
            self.flood.insert(id.clone());
            self.call(&id, "Heartbeat", "{}".to_owned()).await?;
        }
        self.ping(now).await
    }

    async fn ping(&mut self, now: Instant) -> Result<(), End> {
        let interval = self.life.station.configuration().seconds("WebSocketPingInterval");
        let due = self.next_ping.is_some_and(|at| at <= now);
        if due {
            self.send(WebSocketMessage::Ping(Vec::new().into())).await?;
        }
        if due || interval.is_none() || self.next_ping.is_none() {
            self.next_ping = interval.map(|interval| now + interval);
        }
        Ok(())
    }

    fn reset_if_asked_for(&mut self) -> Result<(), End> {
        let Some(reset) = self.life.station.reset() else { return Ok(()) };
        let since = *self.reset_since.get_or_insert_with(Instant::now);
        let waited = since.elapsed() >= RESET_LIMIT;
        // A hard reset leaves when its messages are written; here one of them may be out.
        let ready = self.life.station.is_idle() || (reset == Reset::Hard && self.out.is_some());
        if ready || waited { Err(End::Restart) } else { Ok(()) }
    }

    async fn call(&mut self, id: &str, action: &str, payload: String) -> Result<(), End> {
        let payload = distorted(payload, self.life.station.misbehaviours());
        let shown = serde_json::from_str(&payload).unwrap_or_default();
        self.life.station.note(Event::Sent {
            action: action.to_owned(),
            kind: "call".to_owned(),
            payload: shown,
        });
        self.write(frame::call(id, action, &payload)).await
    }

    async fn write(&mut self, text: String) -> Result<(), End> {
        self.send(WebSocketMessage::text(text)).await
    }

    async fn send(&mut self, message: WebSocketMessage) -> Result<(), End> {
        match timeout(WRITE_LIMIT, self.link.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Lost(error.to_string())),
            Err(_) => Err(End::Lost(format!("nothing could be written for {WRITE_LIMIT:?}"))),
        }
    }

    async fn take(
        &mut self,
        message: Option<Result<WebSocketMessage, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(WebSocketMessage::Text(text))) => match Frame::parse(&text) {
                Ok(frame) => self.answer(frame).await,
                Err(error) => {
                    self.violation("", error.to_string());
                    Ok(())
                }
            },
            Some(Ok(WebSocketMessage::Binary(_))) => {
                self.violation("", "a binary frame".to_owned());
                Ok(())
            }
            Some(Ok(WebSocketMessage::Close(frame))) => {
                let code = frame.map(|frame| format!(" with {} {}", u16::from(frame.code), frame.reason));
                Err(End::Closed(code.unwrap_or_default().trim_end().to_owned()))
            }
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(End::Lost(error.to_string())),
            None => Err(End::Closed(String::new())),
        }
    }

    fn violation(&mut self, action: &str, what: String) {
        self.life.station.note(Event::Violation { action: action.to_owned(), what });
    }

    async fn answer(&mut self, frame: Frame) -> Result<(), End> {
        match frame {
            Frame::Call { id, action, payload } => self.answer_call(&id, action, payload).await,
            Frame::Result { id, payload } => {
                self.received(&id, Ok(payload));
                Ok(())
            }
            Frame::Error { id, code, text } => {
                self.received(&id, Err((code, text)));
                Ok(())
            }
        }
    }

    async fn answer_call(&mut self, id: &str, action: String, payload: Value) -> Result<(), End> {
        let now = Instant::now();
        let station = &mut self.life.station;
        let answer = station.answer(&action, &payload, now);
        let kind = "call".to_owned();
        station.note(Event::Received { action: action.clone(), kind, payload, took_us: None });
        let (text, kind, payload) = match answer {
            Ok(payload) => {
                let shown = serde_json::from_str(&payload).unwrap_or_default();
                (frame::result(id, &payload), "result".to_owned(), shown)
            }
            Err((code, text)) => (frame::error(id, code, &text), code.to_owned(), text.into()),
        };
        if station.misbehaves(Misbehaviour::LateAnswer) {
            self.late.push_back((now + self.life.settings.lateness, text));
            return Ok(());
        }
        station.note(Event::Sent { action, kind, payload });
        self.write(text).await
    }

    fn received(&mut self, id: &str, answer: Result<Value, (String, String)>) {
        let now = Instant::now();
        if self.flood.remove(id) {
            return;
        }
        let station = &mut self.life.station;
        let Some(action) = station.action_of(id).map(str::to_owned) else {
            return self.violation("", "an answer to no CALL that is out".to_owned());
        };
        let took = self.out.take().map(|(_, sent)| now.duration_since(sent));
        let took_us = took.and_then(|took| u64::try_from(took.as_micros()).ok());
        let station = &mut self.life.station;
        match answer {
            Ok(payload) => {
                let (kind, shown) = ("result".to_owned(), payload.clone());
                station.note(Event::Received { action, kind, payload: shown, took_us });
                station.answered(id, Ok(&payload), now);
            }
            Err((code, text)) => {
                let kind = code.clone();
                station.note(Event::Received { action, kind, payload: text.into(), took_us });
                station.answered(id, Err(&code), now);
            }
        }
    }
}
