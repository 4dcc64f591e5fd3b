//! Keeps the frames of chargers for people to look at. It never holds up a socket: what it cannot store in time is dropped and
//! counted.

use std::time::Duration;

use ::metrics::counter;
use charging::chargers::messages::{self, Direction, Message};
use charging::{At, Db};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::masking::masked;
use crate::metrics::MESSAGES_LOST;

const WAITING: usize = 8192;
const AT_ONCE: usize = 128;
/// So that frames that follow each other share a transaction.
const GATHERED_FOR: Duration = Duration::from_millis(200);
/// A longer text is cut: the log is for people.
const MAX_TEXT: usize = 64 * 1024;

/// A frame.
pub(crate) struct Frame {
    pub(crate) station: Uuid,
    pub(crate) epoch: i64,
    pub(crate) direction: Direction,
    pub(crate) action: Option<String>,
    pub(crate) text: String,
}

/// Takes frames.
#[derive(Clone)]
pub(crate) struct MessageLog(Option<mpsc::Sender<(Frame, Uuid, At)>>);

/// The part that stores them.
pub(crate) struct Frames(mpsc::Receiver<(Frame, Uuid, At)>);

impl MessageLog {
    /// A log, which keeps nothing unless `keeps`.
    pub(crate) fn new(keeps: bool) -> (Self, Frames) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(keeps.then_some(sender)), Frames(receiver))
    }

    /// Takes a frame.
    pub(crate) fn add(&self, frame: impl FnOnce() -> Frame) {
        let Some(sender) = &self.0 else { return };
        match sender.try_reserve() {
            Ok(permit) => permit.send((frame(), Uuid::now_v7(), At::now())),
            Err(_) => counter!(MESSAGES_LOST).increment(1),
        }
    }
}

impl Frames {
    /// Stores frames until `stop`, and then what was taken until then.
    pub(crate) async fn store(mut self, db: Db, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                received = self.0.recv_many(&mut batch, AT_ONCE) => {
                    if received == 0 {
                        return;
                    }
                }
                () = stop.cancelled(), if !self.0.is_closed() => {
                    self.0.close();
                    continue;
                }
            }
            let full = batch.len() >= AT_ONCE;
            let count = batch.len();
            let rows: Vec<(Uuid, Message)> = batch.drain(..).map(row).collect();
            if let Err(error) = db.write(async move |tx| messages::add(tx, &rows).await).await {
                tracing::debug!(%error, "messages of chargers cannot be stored");
                counter!(MESSAGES_LOST).increment(count as u64);
            }
            if !full {
                tokio::time::sleep(GATHERED_FOR).await;
            }
        }
    }
}

fn row((frame, id, at): (Frame, Uuid, At)) -> (Uuid, Message) {
    let size = i64::try_from(frame.text.len()).unwrap_or(i64::MAX);
    // PostgreSQL refuses a text with a null character.
    let mut body = masked(&frame.text).replace('\0', "");
    if body.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
        body.truncate(end);
    }
    let action = frame.action.map(|action| action.replace('\0', "").chars().take(64).collect());
    let (epoch, direction) = (frame.epoch, frame.direction);
    (frame.station, Message { id, epoch, direction, action, size, body, at })
}
