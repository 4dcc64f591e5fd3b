//! One socket. It reads frames, carries calls out in their order, sends commands one at a time, and ends when the charger is
//! silent, a newer connection has come, or the process stops. Nothing that a call waits for keeps it from reading.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use actix_web::rt;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session};
use charging::At;
use charging::chargers::boots::Observed;
use charging::chargers::commands::{CommandState, End};
use charging::chargers::messages::Direction;
use charging::chargers::{self, commands as stored};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ocpp::connection::{Connection, Outgoing, Received};
use ocpp::v16::Request;
use ocpp::{Leniencies, MessageId, frame};
use uuid::Uuid;

use crate::calls::{self, ChargerIdentity, Outcome};
use crate::commands;
use crate::message_log::Frame;
use crate::metrics::{CALL, CALLS, DISCONNECTS, DROPPED, LENIENCIES};
use crate::node::Node;
use crate::sockets::{Place, Word};
use crate::writer::Report;

const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take, after which it is aborted.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long commands wait for the boot of a charger that may not boot, as it has only reconnected.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
const MAX_WAITING: usize = 64;
/// How often what was noticed about a charger is recorded.
const OBSERVED_EVERY: Duration = Duration::from_secs(60);
/// How many commands are remembered whose answer may still come.
const MAX_LATE: usize = 64;

type Step = Pin<Box<dyn Future<Output = Outcome>>>;
type Decision = Pin<Box<dyn Future<Output = (Pending, String)>>>;
type Taking = Pin<Box<dyn Future<Output = Option<(Uuid, String, Outgoing)>>>>;

/// A call of the charger that is carried out.
struct Pending {
    id: MessageId,
    action: String,
    since: Instant,
}

/// One socket.
pub(crate) struct Socket {
    node: Arc<Node>,
    charger: ChargerIdentity,
    epoch: i64,
    session: Session,
    place: Place,
    connection: Connection,
    /// Calls that wait for the one before them.
    queue: VecDeque<(Pending, Request)>,
    step: Option<(Pending, Step)>,
    deciding: FuturesUnordered<Decision>,
    /// Commands that wait for the one before them.
    waiting: VecDeque<Uuid>,
    taking: Option<Taking>,
    /// The command on the wire.
    out: Option<(Uuid, String)>,
    late: HashSet<Uuid>,
    connected_at: Instant,
    heard_at: Instant,
    pinged_at: Instant,
    ponged: bool,
    settled: bool,
    observed: Observed,
    observed_at: Instant,
}

/// Why a socket ends. The words are those of metrics and of the charger's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Closed,
    Lost,
    Silent,
    Superseded,
    Slow,
    Nonsense,
    TooLarge,
    NotText,
    Stopping,
    Removed,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Superseded => "superseded",
            Self::Slow => "slow",
            Self::Nonsense => "nonsense",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::Stopping => "stopping",
            Self::Removed => "removed",
        }
    }

    /// The code to close with; `None` if the charger is not there to read it.
    fn code(self) -> Option<CloseCode> {
        match self {
            Self::Lost | Self::Silent | Self::Slow => None,
            Self::Closed => Some(CloseCode::Normal),
            Self::Superseded | Self::Nonsense | Self::Removed => Some(CloseCode::Policy),
            Self::TooLarge => Some(CloseCode::Size),
            Self::NotText => Some(CloseCode::Invalid),
            Self::Stopping => Some(CloseCode::Away),
        }
    }
}

impl Socket {
    pub(crate) fn new(
        node: Arc<Node>,
        charger: ChargerIdentity,
        epoch: i64,
        session: Session,
        place: Place,
    ) -> Self {
        let now = Instant::now();
        Self {
            node,
            charger,
            epoch,
            session,
            place,
            connection: Connection::new(),
            queue: VecDeque::new(),
            step: None,
            deciding: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            taking: None,
            out: None,
            late: HashSet::new(),
            connected_at: now,
            heard_at: now,
            pinged_at: now,
            ponged: false,
            settled: false,
            observed: Observed::default(),
            observed_at: now,
        }
    }

    /// Serves the socket until its end, then carries out what was read.
    pub(crate) async fn serve(mut self, mut frames: AggregatedMessageStream) {
        let end = self.talk(&mut frames).await;
        counter!(DISCONNECTS, "reason" => end.as_str()).increment(1);
        tracing::debug!(charger = &*self.charger.name, reason = end.as_str(), "a charger has disconnected");
        self.node.sockets.leave(self.charger.station, self.epoch);
        if let Some(code) = end.code() {
            let closing = self.session.clone().close(Some(CloseReason::from(code)));
            let _ = tokio::time::timeout(CLOSE_LIMIT, closing).await;
        }
        drop(frames);
        self.finish().await;
        let (node, station, epoch) = (Arc::clone(&self.node), self.charger.station, self.epoch);
        self.observe();
        let report = Report::Disconnected { epoch, reason: end.as_str() };
        let _ = node.writer.write(station, report).await;
    }

    async fn talk(&mut self, frames: &mut AggregatedMessageStream) -> Ending {
        let superseded = self.place.superseded.clone();
        let stopping = self.node.stopping.clone();
        loop {
            self.begin_next();
            let timer = self.next_timer();
            let done = tokio::select! {
                biased;
                () = superseded.cancelled() => return Ending::Superseded,
                () = stopping.cancelled() => return Ending::Stopping,
                outcome = stepped(&mut self.step) => self.stepped(outcome).await,
                Some((pending, text)) = self.deciding.next() => self.answer(&pending, text, "answered").await,
                taken = taken(&mut self.taking) => self.send_command(taken).await,
                word = self.place.words.recv() => match word {
                    Some(word) => self.hear(word).await,
                    None => Ok(()),
                },
                message = frames.next(), if self.connection.may_read() => self.read(message).await,
                () = tokio::time::sleep_until(timer.into()) => self.tick().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Begins the next call, if the one before it has passed its own step, and the next command.
    fn begin_next(&mut self) {
        if self.step.is_none()
            && let Some((pending, request)) = self.queue.pop_front()
        {
            let (node, charger) = (Arc::clone(&self.node), self.charger.clone());
            let step = calls::carry_out(node, charger, pending.id.clone(), request);
            self.step = Some((pending, Box::pin(step)));
        }
        if self.settled
            && self.taking.is_none()
            && self.out.is_none()
            && let Some(id) = self.waiting.pop_front()
        {
            self.taking = Some(Box::pin(commands::take(Arc::clone(&self.node), id)));
        }
    }

    async fn read(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), Ending> {
        self.heard_at = Instant::now();
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
                std::io::ErrorKind::Other => match error.to_string().contains("continuation size") {
                    true => Ending::TooLarge,
                    false => Ending::NotText,
                },
                std::io::ErrorKind::InvalidData => Ending::NotText,
                _ => Ending::Lost,
            }),
            Some(Err(_)) => Err(Ending::Nonsense),
            None => Err(Ending::Lost),
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

    async fn stepped(&mut self, outcome: Outcome) -> Result<(), Ending> {
        let Some((pending, _)) = self.step.take() else { return Ok(()) };
        match outcome {
            Outcome::Answer(text) => {
                if pending.action == "BootNotification" {
                    self.settled = true;
                    self.look_for_commands().await;
                }
                self.answer(&pending, text, "answered").await
            }
            Outcome::Deciding(deciding) => {
                self.deciding.push(Box::pin(async move { (pending, deciding.await) }));
                Ok(())
            }
            Outcome::Unanswered => {
                counter!(CALLS, "action" => pending.action, "result" => "unanswered").increment(1);
                self.connection.unanswered(&pending.id);
                Ok(())
            }
        }
    }

    async fn answer(&mut self, pending: &Pending, text: String, result: &'static str) -> Result<(), Ending> {
        self.connection.answered(&pending.id, &text, Instant::now());
        counter!(CALLS, "action" => known(&pending.action), "result" => result).increment(1);
        histogram!(CALL, "action" => known(&pending.action)).record(pending.since.elapsed().as_secs_f64());
        let action = pending.action.clone();
        self.write(text, Some(&action)).await
    }

    async fn write(&mut self, text: String, action: Option<&str>) -> Result<(), Ending> {
        self.log(Direction::Out, action, &text);
        within(self.session.text(text)).await
    }

    async fn hear(&mut self, word: Word) -> Result<(), Ending> {
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
        let found = self.node.db.read(async move |tx| chargers::find(tx, station).await).await;
        let Ok(Some(row)) = found else { return Ok(()) };
        if !row.enabled {
            return Err(Ending::Removed);
        }
        self.charger.registration = row.registration;
        self.charger.clock_offset_minutes = row.clock_offset_minutes;
        Ok(())
    }

    /// Commands that were requested while the charger was away.
    async fn look_for_commands(&mut self) {
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

    async fn send_command(&mut self, taken: Option<(Uuid, String, Outgoing)>) -> Result<(), Ending> {
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

    fn end_command(&self, id: Uuid, how: End) {
        rt::spawn(self.node.tasks.track_future(commands::end(self.node.db.clone(), id, how)));
    }

    fn late_answer(&mut self, id: &MessageId, text: &str) {
        let Some(command) = id.as_str().parse().ok().filter(|id| self.late.remove(id)) else { return };
        if let Ok(ocpp::Frame::Result { payload, .. }) = ocpp::Frame::parse(text) {
            rt::spawn(self.node.tasks.track_future(commands::late(self.node.db.clone(), command, payload)));
        }
    }

    fn next_timer(&self) -> Instant {
        let ping = self.pinged_at + self.node.config.ping;
        let silent = self.heard_at + self.silence();
        let observed = self.observed_at + OBSERVED_EVERY;
        let settled =
            if self.settled || self.waiting.is_empty() { ping } else { self.connected_at + SETTLED_AFTER };
        let next = ping.min(silent).min(observed).min(settled);
        self.connection.deadline().map_or(next, |deadline| deadline.min(next))
    }

    /// How long a charger may be silent. Some never answer pings, and live by their calls (lbbrhzn/ocpp#553, #211).
    fn silence(&self) -> Duration {
        let config = &self.node.config;
        match self.ponged {
            true => 2 * config.ping + Duration::from_secs(10),
            false => (2 * config.heartbeat + Duration::from_secs(30))
                .max(2 * config.ping + Duration::from_secs(10)),
        }
    }

    async fn tick(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        if let Some(id) = self.connection.expired(now) {
            let out = self.out.take().filter(|(command, _)| command.to_string() == id.as_str());
            if let Some((command, _)) = out {
                if self.late.len() < MAX_LATE {
                    self.late.insert(command);
                }
                let why = "the charger has not answered in time";
                self.end_command(command, End::without_answer(CommandState::Timeout, why));
            }
        }
        if now >= self.heard_at + self.silence() {
            return Err(Ending::Silent);
        }
        self.settled |= now >= self.connected_at + SETTLED_AFTER;
        if now >= self.observed_at + OBSERVED_EVERY {
            self.observe();
        }
        if now >= self.pinged_at + self.node.config.ping {
            self.pinged_at = now;
            return within(self.session.ping(b"")).await;
        }
        Ok(())
    }

    fn lenient(&mut self, leniencies: Leniencies) {
        for kind in leniencies.iter() {
            counter!(LENIENCIES, "kind" => kind.as_str()).increment(1);
            *self.observed.leniencies.entry(kind.as_str().to_owned()).or_default() += 1;
        }
    }

    /// Records what was noticed since the last time.
    fn observe(&mut self) {
        self.observed_at = Instant::now();
        let silent = self.heard_at.elapsed();
        let observed =
            Observed { last_seen: Some(At::now().minus(silent)), ..std::mem::take(&mut self.observed) };
        self.node.writer.note(self.charger.station, Report::Observed(observed));
    }

    fn log(&self, direction: Direction, action: Option<&str>, text: &str) {
        let (station, epoch) = (self.charger.station, self.epoch);
        self.node.log.add(|| Frame {
            station,
            epoch,
            direction,
            action: action.map(ToOwned::to_owned),
            text: text.to_owned(),
        });
    }

    /// Carries out what was read, also when there is no charger left to answer: a hard reset sends its stop and closes
    /// without waiting (TC_013). Commands that are out have no answer any more.
    async fn finish(&mut self) {
        if let Some((command, _)) = self.out.take() {
            let why = "the connection ended before the charger answered";
            self.end_command(command, End::without_answer(CommandState::Unknown, why));
        }
        if let Some((_, step)) = self.step.take() {
            finished(step.await).await;
        }
        while let Some((pending, request)) = self.queue.pop_front() {
            let (node, charger) = (Arc::clone(&self.node), self.charger.clone());
            finished(calls::carry_out(node, charger, pending.id, request).await).await;
        }
        while self.deciding.next().await.is_some() {}
    }
}

async fn finished(outcome: Outcome) {
    if let Outcome::Deciding(deciding) = outcome {
        deciding.await;
    }
}

async fn stepped(step: &mut Option<(Pending, Step)>) -> Outcome {
    match step {
        Some((_, step)) => step.await,
        None => std::future::pending().await,
    }
}

async fn taken(taking: &mut Option<Taking>) -> Option<(Uuid, String, Outgoing)> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

/// A charger that does not read is cut off.
async fn within(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), Ending> {
    match tokio::time::timeout(WRITE_LIMIT, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Lost),
        Err(_) => Err(Ending::Slow),
    }
}

/// The charger's own moment in a request that is sent when it happens.
fn moment(request: &Request) -> Option<i64> {
    match request {
        Request::StatusNotification(status) => status.at.map(ocpp::Timestamp::millis),
        _ => None,
    }
}

/// The action as a label: a charger may send any text.
fn known(action: &str) -> String {
    let is_known = action.len() <= 40 && action.chars().all(|letter| letter.is_ascii_alphabetic());
    if is_known && ocpp::v16::is_known(action) { action.to_owned() } else { "other".to_owned() }
}
