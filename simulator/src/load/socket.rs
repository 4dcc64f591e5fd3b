//! One socket of a load: as little work as possible for a CALL, and an answer to whatever the central system asks.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message as WebSocketMessage;

use super::listen::Asked;
use crate::event::Event;
use crate::frame::{self, Frame};
use crate::link::{Dial, Link, LinkError};
use crate::message::{Message, MeterValue};
use crate::shape;
use crate::station::{Model, Station};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Why a CALL has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", .0.kind())]
    Link(#[from] LinkError),
    #[error("closed by the central system")]
    Closed,
    #[error("connection lost")]
    Lost,
    #[error("no answer")]
    Late,
    #[error("refused with {0}")]
    Refused(String),
    #[error("registration is {0}")]
    NotAccepted(String),
}

impl Failure {
    /// Whether the socket is of no use any more.
    pub(super) fn is_end(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NotAccepted(_))
    }
}

pub(super) struct Socket {
    link: Link,
    name: String,
    calls: u64,
    /// Made when the central system asks something.
    station: Option<Box<Station>>,
    /// What the central system has asked, if that is of interest.
    pub(super) asked: Option<Vec<Asked>>,
    pub(super) violations: BTreeMap<String, u64>,
}

impl Socket {
    /// Connects and boots.
    pub(super) async fn open(dial: &Dial) -> Result<Self, Failure> {
        let link = dial.connect().await?;
        let name = dial.charger.clone();
        let mut socket =
            Self { link, name, calls: 0, station: None, asked: None, violations: BTreeMap::new() };
        let boot = Message::BootNotification {
            charge_point_model: "Load".to_owned(),
            charge_point_serial_number: socket.name.chars().take(25).collect(),
            charge_point_vendor: "Voltgate".to_owned(),
            firmware_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let answer = socket.call(boot.action(), &boot.to_json()).await?;
        match answer["status"].as_str() {
            Some("Accepted") => Ok(socket),
            other => Err(Failure::NotAccepted(other.unwrap_or("unknown").to_owned())),
        }
    }

    /// Sends a CALL and waits for its answer.
    pub(super) async fn call(&mut self, action: &str, payload: &str) -> Result<serde_json::Value, Failure> {
        self.calls += 1;
        let id = self.calls.to_string();
        self.write(frame::call(&id, action, payload)).await?;
        let limit = Instant::now() + LIMIT;
        loop {
            match timeout_at(limit, self.next()).await.map_err(|_| Failure::Late)?? {
                Frame::Result { id: answered, payload } if answered == id => {
                    if let Err(violation) = shape::check_answer(action, &payload) {
                        self.violation(format!("{action}: {violation}"));
                    }
                    return Ok(payload);
                }
                Frame::Error { id: answered, code, .. } if answered == id => {
                    return Err(Failure::Refused(code));
                }
                _ => self.violation("an answer to no CALL that is out".to_owned()),
            }
        }
    }

    /// Stays connected until then.
    pub(super) async fn hold(&mut self, until: Instant) -> Result<(), Failure> {
        while let Ok(frame) = timeout_at(until, self.next()).await {
            frame?;
            self.violation("an answer to no CALL that is out".to_owned());
        }
        Ok(())
    }

    /// The next answer; the CALLs before it are answered.
    async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            let text = match self.link.next().await {
                Some(Ok(WebSocketMessage::Text(text))) => text,
                Some(Ok(WebSocketMessage::Close(_))) | None => return Err(Failure::Closed),
                Some(Ok(_)) => continue,
                Some(Err(_)) => return Err(Failure::Lost),
            };
            match Frame::parse(&text) {
                Ok(Frame::Call { id, action, payload }) => self.answer(&id, &action, &payload).await?,
                Ok(frame) => return Ok(frame),
                Err(error) => self.violation(error.to_string()),
            }
        }
    }

    async fn answer(&mut self, id: &str, action: &str, payload: &serde_json::Value) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(asked) = &mut self.asked {
            asked.push(Asked { id: id.to_owned(), at: now });
        }
        let name = &self.name;
        let station = self.station.get_or_insert_with(|| Box::new(Station::new(name, Model::default(), now)));
        let answer = station.answer(action, payload, now);
        for event in station.take_events() {
            if let Event::Violation { action, what } = event {
                self.violation(format!("{action}: {what}"));
            }
        }
        let text = match answer {
            Ok(payload) => frame::result(id, &payload),
            Err((code, text)) => frame::error(id, code, &text),
        };
        self.write(text).await
    }

    fn violation(&mut self, what: String) {
        *self.violations.entry(what).or_default() += 1;
    }

    async fn write(&mut self, text: String) -> Result<(), Failure> {
        let sent = timeout(LIMIT, self.link.send(WebSocketMessage::text(text))).await;
        sent.map_err(|_| Failure::Late)?.map_err(|_| Failure::Lost)
    }

    /// Ends the connection with a reset.
    pub(super) fn cut(mut self) {
        self.link.get_mut().abort();
    }

    /// Closes the connection in the ordinary way.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.link.close(None)).await;
    }
}

/// The messages of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are those of OCPP 1.6")]
pub enum Action {
    Heartbeat,
    Authorize,
    StatusNotification,
    MeterValues,
}

impl Action {
    /// The message.
    pub(super) fn message(self, tag: &str, time: String, wh: i64) -> Message {
        match self {
            Self::Heartbeat => Message::Heartbeat {},
            Self::Authorize => Message::Authorize { id_tag: tag.to_owned() },
            Self::StatusNotification => Message::StatusNotification {
                connector_id: 1,
                error_code: "NoError".to_owned(),
                status: "Available",
                timestamp: time,
            },
            Self::MeterValues => {
                let meter_value = vec![MeterValue::of(time, wh, 11_000, "Sample.Periodic")];
                Message::MeterValues { connector_id: 1, transaction_id: None, meter_value }
            }
        }
    }
}
