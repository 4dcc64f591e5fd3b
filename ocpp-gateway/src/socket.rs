//! One socket. It reads frames, carries calls out in their order, sends commands one at a time, and ends when the charger is
//! silent, a newer connection has come, or the process stops. Nothing that a call waits for keeps it from reading. What is
//! seldom and large is on the heap while it lasts: the task of each socket is as large as its largest part.

mod answers;
mod commands;
mod ending;
mod reading;
mod timers;

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::counter;
use actix_ws::{AggregatedMessageStream, CloseReason, Session};
use charging::chargers::Registration;
use charging::chargers::boots::Observed;
use charging::chargers::commands::{CommandState, End};
use charging::chargers::messages::Direction;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ocpp::MessageId;
use ocpp::connection::{Connection, Outgoing};
use ocpp::v16::Request;
use uuid::Uuid;

use self::ending::Ending;
use crate::calls::{self, ChargerIdentity, Outcome};
use crate::large_frames::{Held, Share};
use crate::message_log::Frame;
use crate::metrics::DISCONNECTS;
use crate::node::Node;
use crate::sockets::Place;
use crate::writer::Report;

const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take, after which it is aborted.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long commands wait for the boot of a charger that may not boot, as it has only reconnected.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

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
    held: Held,
    /// The shares of large frames that are carried out.
    large: Vec<Share>,
    /// When it leaves the node, which stops, and by when at the latest.
    leaving: Option<(Instant, Instant)>,
}

impl Socket {
    pub(crate) fn new(
        node: Arc<Node>,
        charger: ChargerIdentity,
        epoch: i64,
        session: Session,
        place: Place,
        held: Held,
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
            held,
            large: Vec::new(),
            leaving: None,
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
        if end == Ending::Lost {
            let rest = Box::pin(self.read_rest(&mut frames));
            let _ = tokio::time::timeout(CLOSE_LIMIT, rest).await;
        }
        drop(frames);
        Box::pin(self.finish()).await;
        let (node, station, epoch) = (Arc::clone(&self.node), self.charger.station, self.epoch);
        self.observe();
        let report = Report::Disconnected { epoch, reason: end.as_str() };
        let _ = Box::pin(node.writer.write(station, report)).await;
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
                () = stopping.cancelled(), if self.leaving.is_none() => {
                    self.leaving = Some(self.node.leaving(self.charger.station, Instant::now()));
                    Ok(())
                }
                outcome = stepped(&mut self.step) => self.stepped(outcome).await,
                Some((pending, text)) = self.deciding.next() => self.answer(&pending, text, "answered").await,
                taken = taken(&mut self.taking) => self.send_command(taken).await,
                word = self.place.words.recv() => match word {
                    Some(word) => Box::pin(self.hear(word)).await,
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
        if self.step.is_none() {
            self.large.clear();
        }
        // A rejected charger is not called: it answers nothing.
        let stays = self.leaving.is_none_or(|(at, _)| Instant::now() < at);
        if self.settled
            && stays
            && self.charger.registration != Registration::Rejected
            && self.taking.is_none()
            && self.out.is_none()
            && let Some(id) = self.waiting.pop_front()
        {
            self.taking = Some(Box::pin(crate::commands::take(Arc::clone(&self.node), id)));
        }
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
