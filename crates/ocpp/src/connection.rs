//! The rules of one connection (OCPP-J 1.6, section 4.1.1), without I/O: one CALL of ours at a time and others waiting in
//! order, the charger's CALLs within a bound, repeated ones answered as before, and a charger that sends nonsense cut off.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::call::{MessageId, Refusal};
use crate::error_code::ErrorCode;
use crate::frame::{Dropped, Frame};

/// How many CALLs of ours wait behind the one that is out.
pub const MAX_WAITING: usize = 64;
/// How many CALLs of the charger are in flight, before its socket is no longer read.
pub const MAX_IN_FLIGHT: usize = 32;
/// How long an answer is kept for a repeated CALL. A retry keeps its id (MicroOcpp#50).
const ANSWERS_KEPT: Duration = Duration::from_secs(300);
const MAX_ANSWERS: usize = 256;
/// How many unreadable frames are dropped in a minute, before the connection is closed.
const MAX_DROPPED: usize = 100;
const DROPPED_WITHIN: Duration = Duration::from_secs(60);

/// A CALL of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its id.
    pub id: MessageId,
    /// Its text.
    pub text: String,
    /// How long the charger may take.
    pub limit: Duration,
}

/// What is to be done about a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Carry this out, and pass the answer to [`Connection::answered`].
    Call {
        /// Its id.
        id: MessageId,
        /// What is requested.
        action: String,
        /// The request.
        payload: Map<String, Value>,
    },
    /// Send this answer again: the CALL is a repeated one.
    Again(String),
    /// Nothing: the first one of a repeated CALL is still being carried out.
    InFlight,
    /// Refuse it.
    Refuse(MessageId, Refusal),
    /// A CALL of ours was answered.
    Answered(MessageId, Result<Value, (ErrorCode, String)>),
    /// An answer to nothing that is out: it came late, or twice.
    Late(MessageId),
    /// It cannot be read, and is counted.
    Dropped(Dropped),
    /// It cannot be read, like too many before it: close with 1008.
    Close(Dropped),
}

/// What is not accepted for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} calls wait for this charger already")]
pub struct Busy;

/// One connection.
#[derive(Debug, Default)]
pub struct Connection {
    out: Option<(MessageId, Instant)>,
    waiting: VecDeque<Outgoing>,
    theirs: HashMap<MessageId, Their>,
    in_flight: usize,
    dropped: VecDeque<Instant>,
}

/// A CALL of the charger.
#[derive(Debug)]
struct Their {
    /// Of its text: the same id with another text is another CALL, as ids begin again after a reboot.
    digest: u64,
    answer: Option<(String, Instant)>,
}

impl Connection {
    /// A connection on which nothing was sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether another frame may be read: not while too many CALLs of the charger are in flight.
    pub fn may_read(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT
    }

    /// Takes a frame of the charger.
    pub fn received(&mut self, text: &str, now: Instant) -> Received {
        match Frame::parse(text) {
            Ok(Frame::Call { id, action, payload }) => self.call(id, action, payload, text, now),
            Ok(Frame::Malformed { id, refusal }) => Received::Refuse(id, refusal),
            Ok(Frame::Result { id, payload }) => self.answer(id, Ok(payload)),
            Ok(Frame::Error { id, code, description }) => self.answer(id, Err((code, description))),
            Err(reason) => self.unreadable(reason, now),
        }
    }

    fn call(
        &mut self,
        id: MessageId,
        action: String,
        payload: Map<String, Value>,
        text: &str,
        now: Instant,
    ) -> Received {
        self.forget(now);
        let digest = digest(text);
        match self.theirs.get(&id) {
            Some(Their { digest: known, answer: Some((answer, _)) }) if *known == digest => {
                return Received::Again(answer.clone());
            }
            Some(Their { digest: known, answer: None }) if *known == digest => return Received::InFlight,
            _ => {}
        }
        self.theirs.insert(id.clone(), Their { digest, answer: None });
        self.in_flight += 1;
        Received::Call { id, action, payload }
    }

    /// Notes the answer to a CALL of the charger, for a repeated one. The answer is to be sent by the caller.
    pub fn answered(&mut self, id: &MessageId, answer: &str, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(their) = self.theirs.get_mut(id) {
            their.answer = Some((answer.to_owned(), now));
        }
    }

    /// Notes that a CALL of the charger gets no answer: it has to repeat it.
    pub fn unanswered(&mut self, id: &MessageId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.theirs.remove(id);
    }

    /// Takes a CALL of ours. It is sent when [`Connection::next`] returns it.
    ///
    /// # Errors
    /// Returns an error if too many are waiting.
    pub fn send(&mut self, call: Outgoing) -> Result<(), Busy> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(Busy);
        }
        self.waiting.push_back(call);
        Ok(())
    }

    /// The CALL to be sent now, if none is out.
    pub fn next(&mut self, now: Instant) -> Option<Outgoing> {
        if self.out.is_some() {
            return None;
        }
        let call = self.waiting.pop_front()?;
        self.out = Some((call.id.clone(), now + call.limit));
        Some(call)
    }

    /// When the CALL that is out runs out.
    pub fn deadline(&self) -> Option<Instant> {
        self.out.as_ref().map(|(_, until)| *until)
    }

    /// The CALL that has run out. Its answer is late from now on, and the next one may be sent.
    pub fn expired(&mut self, now: Instant) -> Option<MessageId> {
        let (id, _) = self.out.take_if(|(_, until)| *until <= now)?;
        Some(id)
    }

    /// The CALLs of ours that were not sent, and the one that was and has no answer, when the connection ends.
    pub fn close(self) -> (Option<MessageId>, Vec<MessageId>) {
        (self.out.map(|(id, _)| id), self.waiting.into_iter().map(|call| call.id).collect())
    }

    fn answer(&mut self, id: MessageId, answer: Result<Value, (ErrorCode, String)>) -> Received {
        match self.out.take_if(|(out, _)| *out == id) {
            Some(_) => Received::Answered(id, answer),
            None => Received::Late(id),
        }
    }

    fn unreadable(&mut self, reason: Dropped, now: Instant) -> Received {
        self.dropped.push_back(now);
        while self.dropped.front().is_some_and(|at| now.duration_since(*at) > DROPPED_WITHIN) {
            self.dropped.pop_front();
        }
        match self.dropped.len() > MAX_DROPPED {
            true => Received::Close(reason),
            false => Received::Dropped(reason),
        }
    }

    /// Forgets answers that are old, and the oldest where there are too many.
    fn forget(&mut self, now: Instant) {
        self.theirs.retain(|_, their| match &their.answer {
            Some((_, at)) => now.duration_since(*at) <= ANSWERS_KEPT,
            None => true,
        });
        while self.theirs.len() >= MAX_ANSWERS {
            let answered =
                self.theirs.iter().filter_map(|(id, their)| Some((their.answer.as_ref()?.1, id.clone())));
            let Some((_, oldest)) = answered.min_by_key(|(at, _)| *at) else { return };
            self.theirs.remove(&oldest);
        }
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
